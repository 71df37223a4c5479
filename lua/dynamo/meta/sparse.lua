-- What src/bind/l_sparse.c registers: matrices in compressed rows, float values, 1 where none are stored.
return {
  ["sparse"] = {
    sig = [[core.sparse(nrow, ncol, rows, cols[, values]) -> Sparse]],
    doc = [[From places (lists or tensors of indices from 1) and values (default: 1 each). Entries of one place are added.
Raises: an index outside, lists of different lengths. O(entries).]],
  },
  ["sparse_from_dense"] = {
    sig = [[core.sparse_from_dense(t) -> Sparse]],
    doc = [[The entries of a matrix that are not 0. O(n m).]],
  },
  ["is_sparse"] = { sig = [[core.is_sparse(x) -> boolean]], doc = [[Is x a Sparse matrix?]] },
  ["Sparse:size"] = { sig = [[s:size([dim]) -> rows, columns]], doc = [[Both sizes, or one of them.]] },
  ["Sparse:nnz"] = { sig = [[s:nnz() -> integer]], doc = [[Stored entries.]] },
  ["Sparse:get"] = { sig = [[s:get(i, j) -> number]], doc = [[One element, 0 if it is not stored. O(entries of the row).]] },
  ["Sparse:row"] = { sig = [[s:row(i) -> columns, values]], doc = [[Two lists: the entries of a row.]] },
  ["Sparse:row_sums"] = { sig = [[s:row_sums() -> Tensor double (n)]], doc = [[The sum of each row.]] },
  ["Sparse:col_sums"] = { sig = [[s:col_sums() -> Tensor double (m)]], doc = [[The sum of each column.]] },
  ["Sparse:matmul"] = {
    sig = [[s:matmul(x) -> Tensor]],
    doc = [[s x for x (m, k), a tensor or variable, in its type, added in double. O(entries k); the same bytes for any threads.]],
  },
  ["Sparse:tmatmul"] = { sig = [[s:tmatmul(x) -> Tensor]], doc = [[s' x for x (n, k), a tensor or variable; s is not transposed.]] },
  ["Sparse:dense"] = { sig = [[s:dense([type]) -> Tensor]], doc = [[As a tensor, "float" by default. O(n m) memory.]] },
  ["Sparse:t"] = { sig = [[s:t() -> Sparse]], doc = [[Transposed. O(entries).]] },
  ["Sparse:rows"] = { sig = [[s:rows({ i, j, ... }) -> Sparse]], doc = [[Those rows, in that order.]] },
  ["Sparse:cols"] = { sig = [[s:cols({ i, j, ... }) -> Sparse]], doc = [[Those columns, in that order.]] },
  ["Sparse:index"] = { sig = [[s:index(dim, { i, j, ... }) -> Sparse]], doc = [[rows (dim 1) or cols (dim 2).]] },
  ["Sparse:group_means"] = {
    sig = [[s:group_means({ group per row }, n) -> Tensor double (n, m)]],
    doc = [[Mean row of each of n groups; rows of group 0 are left out, a group without rows is 0. O(entries + n m).]],
  },
  ["Sparse:scale_rows"] = { sig = [[s:scale_rows(v) -> Sparse]], doc = [[A copy with row i times v[i]; v is a Tensor (n).]] },
  ["Sparse:close"] = { sig = [[s:close()]], doc = [[Drop the entries at once, without waiting for the collector.]] },
  ["sparse_csr"] = {
    sig = [[core.sparse_csr(nrow, ncol, start, cols[, values]) -> Sparse]],
    doc = [[From compressed rows: start has nrow + 1 positions from 1, the last one past the end; columns from 1. Raises:
offsets that fall or do not fit, an index outside.]],
  },
  ["sparse_csc"] = {
    sig = [[core.sparse_csc(nrow, ncol, start, rows[, values]) -> Sparse]],
    doc = [[The same from compressed columns.]],
  },
  ["Sparse:csr"] = {
    sig = [[s:csr() -> start, columns, values]],
    doc = [[Compressed rows as tensors (double, double, float), positions and columns from 1. A copy.]],
  },
  ["Sparse:csc"] = { sig = [[s:csc() -> start, rows, values]], doc = [[The same by columns. O(entries).]] },
  ["Sparse:narrow"] = {
    sig = [[s:narrow(dim, first[, last]) -> Sparse]],
    doc = [[Rows (dim 1) or columns (dim 2) first .. last, both included; negative ones count from the end.]],
  },
  ["Sparse:count"] = { sig = [[s:count(dim) -> Tensor double]], doc = [[Entries that are not 0 along a dimension: dim 1 gives one
number per column, dim 2 one per row, as t:sum(dim) does. O(entries).]] },
  ["Sparse:mean"] = { sig = [[s:mean(dim) -> Tensor double]], doc = [[Means along a dimension, zeros included.]] },
  ["Sparse:var"] = { sig = [[s:var(dim) -> Tensor double]], doc = [[Variances along a dimension, zeros included, n - 1.]] },
  ["Sparse:max"] = { sig = [[s:max(dim) -> Tensor double]], doc = [[Largest values along a dimension, zeros included.]] },
  ["Sparse:min"] = { sig = [[s:min(dim) -> Tensor double]], doc = [[Smallest values along a dimension, zeros included.]] },
  ["Sparse:topk"] = {
    sig = [[s:topk(k) -> Sparse]],
    doc = [[The k largest entries of each row; of equal ones the first. O(entries log k).]],
  },
}
