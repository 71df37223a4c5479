-- Text files, as read by the core (src/bind/l_table.c). All of them: gzip and zstd are unpacked, content decides what a
-- file is, the option `limit` bounds the unpacked text in bytes (default: 3/4 of the memory), Ctrl-C stops.
return {
  ["read_edges"] = {
    sig = "core.read_edges(path, { from=, to=, weight=, sign=, names=, min_score=, directed=, loops= }) -> table",
    doc = [[
A network from a table: CollecTRI, DoRothEA, TRRUST (no header), STRING links, OmniPath, GEARS' GO graph, edge lists
of two or three columns, SIF. Columns are found by the header unless named (or given as "1", "2"); without a header
they are 1, 2 and 3. `names` is a second file, id -> name, for STRING. `min_score` keeps edges with |weight| >= it;
`directed=false` merges a-b with b-a (default for STRING); self-loops are dropped unless `loops=true`.
Result: names (n nodes, also those of dropped self-loops), from, to (double tensors of E 1-based ids), weight (float,
E: |weight|, negative where the sign is -1), sign (float, E: 1, -1, 0 unknown or contradictory), signed, directed,
sources, targets (distinct), lines, repeats (merged: the largest |weight|), loops, below, conflicts (pairs with both
signs), unknown_sign, columns (what was used).
Raises EFORMAT ("g.csv: line 9: weight 'high' is not a number"), EIO. O(bytes): about two million edges a second.]],
  },
  ["read_gmt"] = {
    sig = "core.read_gmt(path, { limit= }) -> list, info",
    doc = [[
Gene sets in GMT format: a list of { name=, genes={...} } in the order of the file, each gene once per set, and
{ empty=, repeats= }: sets without genes and genes named again. Raises EFORMAT for fewer than three fields and for a
set that is there twice.]],
  },
  ["read_long"] = {
    sig = "core.read_long(path, { perturbation=, gene=, value=, weight=, context=, split=, duplicates= }) -> table",
    doc = [[
Responses, a line per perturbation and gene (PerturbQA and the like); columns are found by name unless given.
A pair given twice is an error, or with duplicates="mean" averaged.
Result: perturbations, genes, contexts, splits (distinct names in the order they came), pairs (list of
{ perturbation, context, split name or nil }: distinct pairs), rows (double tensor, N: index into pairs), cols (N: index
into genes), values (double, N), weights (double, N, or nil), binary (all values 0 or 1), columns (role -> column used),
missing (lines without a value: unobserved), repeats (merged). Without a context column there is one context, "all".
Raises EFORMAT: no such column, not a number, a negative weight, a pair twice with different values, a perturbation in
both train and test.]],
  },
  ["read_matrix"] = {
    sig = "core.read_matrix(path, { limit= }) -> table",
    doc = [[
A wide table of numbers: line 1 names the columns, the first field of each line its row. Result: rows, columns (names),
values (double tensor, rows x columns, NaN where missing: empty, NA, NaN, NULL), missing (count).
Raises EFORMAT with line and column for what is no number, and for a name that is there twice.]],
  },
  ["read_vectors"] = {
    sig = "core.read_vectors(path, { transpose=, limit= }) -> table",
    doc = [[
Gene vectors: word2vec text (with or without its first line) and binary, tables with a gene per row, or per column as
exports of scGPT and scFoundation are (`transpose` true or false decides, nil detects). Result: names, values (float
tensor, genes x dimensions), note (how it was read), repeats (names that came again; the first is kept).
Raises EFORMAT: "e.emb: line 40 ('KLF1'): 127 numbers, expected 128", "line 1 promises 23940 vectors, found 23939".]],
  },
  ["read_table"] = {
    sig = "core.read_table(path, { limit= }) -> table",
    doc = [[
A small table as text: names (the header, or "1", "2", ...), data (a list of strings per column), n (rows).
The separator (tab, comma, semicolon, blanks) is the one that gives the first 100 lines the same number of fields;
quotes as in RFC 4180. Raises EFORMAT: "t.csv: line 17: 5 fields, the header has 6".]],
  },
  ["read_text"] = {
    sig = "core.read_text(path[, { limit = bytes }]) -> string",
    doc = "The bytes of a file, unpacked (gzip, zstd). Raises EIO, EFORMAT: damaged, or larger than memory allows.",
  },
  ["sniff"] = {
    sig = "core.sniff(path) -> kind, reason, hint",
    doc = [[
What a file is, by its content: h5 npy npz safetensors mex dynamo json edges long wide vectors gmt table text empty;
with "gzip:" or "zstd:" in front if it is packed; pickle torch parquet rds mat xlsx zarr zip bzip2 xz utf16 binary are
read by nobody here, and `hint` (else nil) says how to convert them; directory. Reads at most 1 MiB. Raises EIO.]],
  },
}
