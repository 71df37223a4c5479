-- What src/bind/l_h5ad.c and l_model.c register: AnnData, 10x and model files, digests.
return {
  ["h5_open"] = {
    sig = "core.h5_open(path [, { genome = string, limit = bytes }]) -> H5File",
    doc = [[Open an AnnData (.h5ad, every generation), 10x HDF5 or loom file for reading. Cells are rows (obs), genes columns (var).
The structure is checked at once: links and data outside the file, loops, depth above 64 and columns that are listed but
absent are errors. genome: which group of an old 10x file. limit: refuse what is larger (80% of the machine's memory).
Raises EIO (cannot be opened), EFORMAT ("FILE: MEMBER: what"). Time O(members); no data is read.]],
  },
  ["mtx_read"] = {
    sig = "core.mtx_read(path[, { transpose = boolean, limit = bytes }]) -> Sparse, info",
    doc = [[A MatrixMarket file (gzip and zstd undone): coordinate (integer, real, pattern; general or symmetric) or array;
repeated places add up. transpose: columns become rows, as the cells of 10x folders. info as from H5File:matrix. Raises
EFORMAT ("matrix.mtx: line 40: row 33695 outside 1..33694", "header says 2938 entries, found 2900 (truncated?)"), EIO.]],
  },
  ["h5_probe"] = {
    sig = "core.h5_probe(path [, { cell_names = boolean, seconds = n, memory = bytes }]) -> true",
    doc = [[Let the HDF5 library see a file in a child process, before it is opened in this one: libhdf5 crashes on some damaged files,
and this turns that into an error. The child can read files and compute, nothing else (Linux: a filter of system calls).
cell_names: false, if they will not be read here either (default true: all that can be asked of the file). seconds: limit of CPU
time (600). memory: bytes for a matrix that only the library can read (80% of the machine's); all else gets 512 MiB and 256
bytes per cell and gene. Raises EFORMAT ("HDF5 crashed while reading X/data; the file is damaged", or why it does not open), EIO.
dynamo.data.read does it without names of cells (isolate=false: not at all), at 9 to 13 ms for 100,000 x 5,000 cells, 4 to 6 %
of reading X on two threads (make bench ONLY=io); matrices are looked up, not read, where we unpack them ourselves.]],
  },
  ["H5File:kind"] = { sig = "f:kind() -> string", doc = [["h5ad", "10x", "loom", "model" or "other"; the last two have no cells.]] },
  ["H5File:generation"] = {
    sig = "f:generation() -> string",
    doc = [["0.5" (tables), "0.7" (categories by reference), "0.8+" (every member has an encoding); "2" or "3" for 10x.]],
  },
  ["H5File:path"] = { sig = "f:path() -> string", doc = "The path as it was opened." },
  ["H5File:size"] = {
    sig = "f:size() -> n_obs, n_var, n_raw or nil",
    doc = "Number of cells, of genes, and of the genes of raw if there is one.",
  },
  ["H5File:names"] = {
    sig = [[f:names("obs" | "var" | "raw") -> list, repeat or nil]],
    doc = [[Names along an axis, UTF-8. If a name is there twice, the second result is { name =, first =, second =, count = }: the
first such name, its positions, and how many names repeat an earlier one. 10x: barcodes and gene symbols.
Raises EFORMAT: not UTF-8, line breaks.]],
  },
  ["H5File:columns"] = {
    sig = [[f:columns("obs" | "var" | "raw") -> list of { name =, kind = }]],
    doc = [[Columns in the order of the file; kind is "text" (strings and categories), "number", "boolean", or "other", which
f:column refuses. 10x: gene_ids, feature_types, genome, ... of var.]],
  },
  ["H5File:column"] = {
    sig = [[f:column("obs" | "var" | "raw", name) -> table]],
    doc = [[{ kind = "text", levels = { strings }, codes = { 1-based, 0 missing }, ordered = boolean }, levels being the stored
categories or the distinct strings in the order of their first row; or { kind = "number" | "boolean", values = Tensor
double (n), NaN missing }. Raises EFORMAT: "obs column 'x' not found (have: ...)", codes outside, wrong lengths.]],
  },
  ["H5File:layers"] = { sig = "f:layers() -> list of names", doc = "Names of the layers, sorted." },
  ["H5File:obsm"] = { sig = "f:obsm() -> list of names", doc = [[Names in obsm; read with f:matrix("obsm/NAME").]] },
  ["H5File:varm"] = { sig = "f:varm() -> list of names", doc = [[Names in varm; read with f:matrix("varm/NAME").]] },
  ["H5File:matrix"] = {
    sig = "f:matrix([name [, { rows = indices }]]) -> Sparse or Tensor float (n_obs, n_var), info",
    doc = [[X (no name), raw/X ("raw"), a layer by name, or "obsm/X_pca", "varm/...", "obsp/...". CSR and CSC give Sparse (columns
sorted, repeats added), everything else a dense Tensor. info = { nonfinite =, nan =, infinite =, row =, col = (of the first
that is not finite, 1-based, else nil), negative =, integers =, min =, max = (of the finite values) }, about the whole
matrix even with rows =. Values that are not finite are counted, not refused. Raises EFORMAT: shape, indptr, indices.
Time and memory O(stored entries), twice for CSC.]],
  },
  ["H5File:stream"] = {
    sig = "f:stream([name [, { memory = bytes }]]) -> H5Stream",
    doc = [[X (no name), "raw" or a layer to be read shard by shard, some thousand cells at a time; f may be closed then. memory: bytes
of the matrix held at a time (256 MiB): the shard in hand and three ahead. dynamo.stream has the rest. Raises EFORMAT: as
f:matrix, and for CSC, loom, types and filters that only the HDF5 library reads. Memory for good: 8 bytes per cell.]],
  },
  ["H5Stream:size"] = { sig = "s:size() -> cells, genes, cells in a shard", doc = "The last shard may have fewer cells." },
  ["H5Stream:start"] = {
    sig = "s:start([shards [, { threads = n }]])",
    doc = [[Begin a pass through these shards (numbers, in this order; all of them), unpacked ahead by a thread of its own on n threads;
one under way is given up.]],
  },
  ["H5Stream:next"] = {
    sig = "s:next() -> Sparse or Tensor float (cells, genes), first cell, info; or nil",
    doc = [[The next shard, with info as f:matrix gives it; nil after the last one, and without s:start. Raises EFORMAT: indices out of
order, repeated or outside, a chunk that is damaged.]],
  },
  ["H5Stream:cost"] = {
    sig = "s:cost() -> { waited =, busy =, shards =, entries = }",
    doc = [[Seconds that s:next waited for the file, seconds that the reading thread worked, shards and entries given so far.]],
  },
  ["H5Stream:close"] = { sig = "s:close()", doc = "Give up the pass and the file. Idempotent; using s then is an error." },
  ["H5File:uns"] = { sig = "f:uns(key) -> string or nil", doc = "uns[key] if that is one string; nil for everything else." },
  ["H5File:describe"] = {
    sig = "f:describe() -> list of { path, what }",
    doc = [[What is in the file, at most 200 members: { "X", "csr_matrix 5961 x 500" }, { "obs/n", "integer64 5961" }.]],
  },
  ["H5File:close"] = { sig = "f:close()", doc = "Close the file; later calls are errors. Garbage collection does it, too." },
  ["h5ad_write"] = {
    sig = "core.h5ad_write(path, { x =, obs_names =, var_names =, obs =, var =, layers =, obsm =, varm =, uns = })",
    doc = [[Write an AnnData file as 0.8 does. x: Tensor or Sparse (cells, genes), stored as float32. obs_names, var_names: lists of
strings. obs, var: lists of { name =, values = list of strings | Tensor (n), categorical = true, boolean = true }; whole
numbers are stored as int64, others as double. layers, obsm (a row per cell), varm (a row per gene): { name = Tensor | Sparse }. uns: { key = string }. The file is old or
new, never half: temporary name, sync, read back, rename. Same content, same bytes. Raises EIO, ENOMEM; a wrong shape or
name is a plain error.]],
  },
  ["model_write"] = {
    sig = "core.model_write(path, { strings = { name = string }, lists = { name = list }, tensors = { name = Tensor } })",
    doc = [[Write a model file: a block with length and SHA-256, then HDF5 (gzip, shuffle, checksums). Names are paths such as
"params/flat"; the string "config" is an attribute of the root. Equal contents are equal files. Raises EIO, ENOMEM.]],
  },
  ["model_read"] = {
    sig = "core.model_read(path) -> { strings =, lists =, tensors =, info = { writer =, sha256 =, bytes = } }",
    doc = [[Read a model file back, after its length and digest have been checked. Raises EIO, EFORMAT: "not a dynamo model",
"N bytes promised, M found: truncated", "SHA-256 differs", "format 2, written by dynamo V; ...".]],
  },
  ["sha256"] = { sig = "core.sha256(string) -> 64 hexadecimal digits", doc = "SHA-256 (FIPS 180-4) of the bytes of a string." },
  ["sha256_file"] = {
    sig = "core.sha256_file(path) -> 64 hexadecimal digits",
    doc = "SHA-256 of the bytes of a file, read in blocks. Raises EIO.",
  },
  ["md5_file"] = {
    sig = "core.md5_file(path) -> 32 hexadecimal digits",
    doc = "MD5 (RFC 1321) of the bytes of a file, what archives publish: it finds damage, not malice. Raises EIO.",
  },
}
