-- What src/bind/l_order.c registers: ranges, more views, sorting, positions, masks. NaN: sorts last in both directions.
local M = {
  ["range"] = {
    sig = [==[core.range(first, last[, step[, type]]) -> Tensor]==],
    doc = [[first, first + step, ... up to last, both ends included, like Lua's own loop (NumPy's arange excludes the last).]],
  },
  ["linspace"] = {
    sig = [[core.linspace(first, last, n[, type]) -> Tensor (n)]],
    doc = [[n numbers at equal distances, both ends included.]],
  },
  ["randint"] = {
    sig = [[core.randint(seed, low, high, n) -> Tensor double (n)]],
    doc = [[Uniform integers in low .. high, both included, from stream 0 of `seed`.]],
  },
  ["randperm"] = {
    sig = [[core.randperm(seed, n) -> Tensor double (n)]],
    doc = [[1 .. n in random order (Fisher and Yates), from stream 0 of `seed`.]],
  },
  ["diag"] = {
    sig = [[core.diag(t[, k]) -> Tensor]],
    doc = [[Of a vector the matrix with it on the k-th diagonal (0: the main one, 1 above it); of a matrix the view of that
diagonal.]],
  },
  ["where"] = {
    sig = [[core.where(mask, a, b) -> Tensor]],
    doc = [[a where the mask is not 0, else b; tensors or numbers, broadcast. What is not chosen is not looked at: NaN there
does no harm. The mask may have either type. Raises ESHAPE, ETYPE.]],
  },
  ["Tensor:diagonal"] = { sig = [[t:diagonal([k]) -> Tensor]], doc = [[View of the k-th diagonal of a matrix.]] },
  ["Tensor:permute"] = {
    sig = [[t:permute(d1, d2, ...) -> Tensor]],
    doc = [[View whose dimension i is dimension d_i of t. Raises: not a permutation.]],
  },
  ["Tensor:unsqueeze"] = {
    sig = [[t:unsqueeze(dim) -> Tensor]],
    doc = [[View with a dimension of size 1 at place `dim` (1 .. dimensions + 1; -1: at the end).]],
  },
  ["Tensor:squeeze"] = {
    sig = [[t:squeeze([dim]) -> Tensor]],
    doc = [[View without the dimensions of size 1, or without that one. Raises: its size is not 1.]],
  },
  ["Tensor:expand"] = {
    sig = [[t:expand(n, m, ...) -> Tensor]],
    doc = [[View of that shape: sizes of 1 (and missing first ones) are repeated without a copy, -1 keeps a size. Clone before
changing it in place: repeated elements are one number.]],
  },
  ["Tensor:sort"] = {
    sig = [==[t:sort([dim[, descending]]) -> values, positions]==],
    doc = [[Every line along `dim` (the last) in order, and where its elements were (double, from 1). Equal ones keep
their order; -0 becomes 0. O(n).]],
  },
  ["Tensor:sorted"] = {
    sig = [==[t:sorted([dim[, descending]]) -> values]==],
    doc = [[The values of sort alone, twice as fast.]],
  },
  ["Tensor:topk"] = {
    sig = [==[t:topk(k[, dim[, smallest]]) -> values, positions]==],
    doc = [[The k largest (or smallest) of every line along `dim` (the last), best first; ties by position, NaN last.
O(n log k). Raises: k larger than the line.]],
  },
  ["Tensor:unique"] = {
    sig = [[t:unique() -> values, inverse, counts]],
    doc = [[The distinct values, ascending (all NaN are one); which of them each element is (the shape of t, from 1); how often
each occurs.]],
  },
  ["Tensor:median"] = {
    sig = [[t:median([dim]) -> Tensor]],
    doc = [[quantile 0.5: of an even number of elements the mean of the middle two, as in NumPy.]],
  },
  ["Tensor:quantile"] = {
    sig = [[t:quantile(q or { q, ... }[, dim]) -> Tensor]],
    doc = [[Of all elements or along `dim`, q in 0..1, linear between order statistics (Hyndman and Fan, 1996, type 7;
NumPy's default). With a list the quantiles are the first dimension. NaN propagates. Raises: no elements.]],
  },
  ["Tensor:cumsum"] = {
    sig = [[t:cumsum([dim]) -> Tensor]],
    doc = [[Running sums along `dim` (the last), added in double.]],
  },
  ["Tensor:gather"] = {
    sig = [[t:gather(dim, positions) -> Tensor]],
    doc = [==[r[i][j] = t[positions[i][j]][j] for dim 1, and so on: positions from 1, of the other sizes of t, as sort, topk and
max give them. Raises: a position outside.]==],
  },
  ["Tensor:scatter_add_"] = {
    sig = [[t:scatter_add_(dim, positions, x) -> t]],
    doc = [==[The adjoint of gather: t[positions[i][j]][j] += x[i][j], in order. t is unchanged if it raises.]==],
  },
  ["Tensor:masked_fill"] = {
    sig = [[t:masked_fill(mask, number) -> Tensor]],
    doc = [[A copy with the number where the mask is not 0.]],
  },
  ["Tensor:masked_select"] = {
    sig = [[t:masked_select(mask) -> Tensor (k)]],
    doc = [[The elements where the mask, of the same shape, is not 0.]],
  },
  ["Tensor:nonzero"] = {
    sig = [[t:nonzero() -> Tensor double (k, dimensions)]],
    doc = [[Positions from 1 of the elements that are not 0, in row-major order.]],
  },
  ["Tensor:clamp"] = {
    sig = [[t:clamp(low or nil, high or nil) -> Tensor]],
    doc = [[Every element brought into low .. high; NaN stays.]],
  },
}

-- ---- what becomes of NaN ------------------------------------------------------------------------
for _, name in ipairs { "sort", "sorted", "topk", "unique" } do M["Tensor:" .. name].nan = "sorts last, in both directions" end
M["Tensor:unique"].nan = "is one value, the last"
for _, name in ipairs { "median", "quantile" } do M["Tensor:" .. name].nan = "propagates to the line it is in" end
M["Tensor:cumsum"].nan = "propagates to the sums after it"
for _, name in ipairs { "masked_fill", "masked_select", "nonzero" } do
  M["Tensor:" .. name].nan = "is not 0, so in a mask it is true; among the elements it stays"
end
M["where"].nan = M["Tensor:masked_fill"].nan
M["Tensor:clamp"].nan = "stays"
M["Tensor:gather"].nan = "moves like any number; as a position it is refused"
M["Tensor:scatter_add_"].nan = M["Tensor:gather"].nan

return M
