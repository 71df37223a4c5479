-- Arrays in files, as src/bind/l_array.c registers them. dynamo.read and dynamo.write choose by the file.
return {
  ["npy_read"] = {
    sig = "core.npy_read(path[, { limit= }]) -> Tensor or list",
    doc = [[
The array of a .npy file (gzip and zstd are undone): booleans, integers and floats of 1 to 8 bytes as float where that
is exact, else double (64-bit integers beyond 2^53 are rounded); text as a flat list of strings. At most 6 dimensions.
Raises EFORMAT: pickled objects, record arrays, "e.npy: shape (20000, 128) needs 10240000 bytes, the file has 10239488";
EIO.]],
  },
  ["npy_write"] = {
    sig = "core.npy_write(path, value)",
    doc = [[Write a tensor (<f4, <f8) or a list of strings (<U) as version 1.0, C order. The file is complete or as it was.
Raises EIO.]],
  },
  ["npz_read"] = {
    sig = "core.npz_read(path[, { limit= }]) -> table, names",
    doc = [[
The arrays of a zip archive of .npy files (stored or deflated, zip64), by name, and the names in the order of the file.
Checksums are checked and names of members are never paths. Raises EFORMAT: "e.npz: member 'x.npy' is damaged"; EIO.]],
  },
  ["npz_write"] = {
    sig = "core.npz_write(path, names, values)",
    doc = [[Write arrays as a zip archive, stored, without dates: same content, same bytes. Raises EVALUE (a name that is
there twice, empty or has a slash; over 4 GiB), EIO.]],
  },
  ["safetensors_read"] = {
    sig = "core.safetensors_read(path[, { only = {names}, limit= }]) -> table, metadata",
    doc = [[
The tensors of a safetensors file by name (float where that is exact: F32, F16, BF16, integers of up to 16 bits, else
double), and its metadata. The header is checked: overlaps, gaps, shapes, names twice. Raises EFORMAT, EIO.]],
  },
  ["safetensors_info"] = {
    sig = "core.safetensors_info(path) -> list, metadata",
    doc = [[What is in a safetensors file, from its header alone: { name=, dtype=, shape= } per tensor. Raises EFORMAT, EIO.]],
  },
  ["safetensors_write"] = {
    sig = "core.safetensors_write(path, names, tensors[, keys, values])",
    doc = [[Write tensors (F32, F64) in the order given, with metadata. Same content, same bytes. Raises EVALUE, EIO.]],
  },
}
