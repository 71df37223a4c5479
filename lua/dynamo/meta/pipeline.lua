-- What src/bind/l_sparse.c and l_eval.c have for reading and scoring.
return {
  ["sparse_cat"] = {
    sig = "core.sparse_cat({ a, b, ... }) -> Sparse",
    doc = "The rows of all matrices, one below the other; as many columns in each. O(entries).",
  },
  ["Sparse:log1p"] = { sig = "s:log1p() -> Sparse", doc = "A copy with log(1 + v) of every stored value. O(entries)." },
  ["Sparse:merge_cols"] = {
    sig = "s:merge_cols(map, n) -> Sparse",
    doc = "A matrix with n columns: column j is added to column map[j] (from 1). For genes that occur twice. O(entries).",
  },
  ["distance_rows"] = {
    sig = "core.distance_rows(a, b, { exclude = lists, space = 'l2' }) -> Tensor double (n, m)",
    doc = [[
Distances between the rows of a (n, G) and b (m, G), from differences, so that ties stay ties. space: l2, l1, cosine (1 less
it; 1 if one is zero), pearson (1 less it). `exclude`: per row of a the columns that are left out. The same bytes for any number of threads; Ctrl-C stops. O(n m G).]],
  },
}
