-- What src/bind/l_tensor.c and l_math.c register: tensors, arithmetic, linear algebra.
local M = {
  -- ---- making ---------------------------------------------------------------------------
  ["tensor"] = {
    sig = [[core.tensor(number or nested tables[, type]) -> Tensor]],
    doc = [[A tensor of those numbers; `type` is "float" (default) or "double". Its shape is that of the tables, whose rows
must be equally long. Indices count from 1, negative ones from the end. Raises: rows of different lengths, no numbers.]],
  },
  ["zeros"] = { sig = [[core.zeros(n, m, ...[, type]) -> Tensor]], doc = [[Zeros of that shape (up to 6 dimensions).]] },
  ["full"] = { sig = [[core.full(value, n, m, ...[, type]) -> Tensor]], doc = [[The same number everywhere.]] },
  ["eye"] = { sig = [[core.eye(n[, type]) -> Tensor (n, n)]], doc = [[The identity.]] },
  ["rand"] = {
    sig = [[core.rand(seed, n, m, ...[, type]) -> Tensor]],
    doc = [[Uniform in [0, 1), from stream 0 of `seed` (an integer): the same numbers on every machine.]],
  },
  ["randn"] = { sig = [[core.randn(seed, n, m, ...[, type]) -> Tensor]], doc = [[Standard normal numbers; see rand.]] },
  ["cat"] = {
    sig = [[core.cat({ a, b, ... }[, dim]) -> Tensor]],
    doc = [[Joined along a dimension (default 1). The other sizes and the types must agree.]],
  },
  ["is_tensor"] = { sig = [[core.is_tensor(x) -> boolean]], doc = [[Is x a Tensor?]] },
  ["Tensor:to"] = {
    sig = [[t:to(type) -> Tensor]],
    doc = [["float" or "double"; itself if it has that type. Types are never mixed: an operation on both raises ETYPE.]],
  },
  ["Tensor:clone"] = { sig = [[t:clone() -> Tensor]], doc = [[A dense copy with numbers of its own.]] },
  ["Tensor:close"] = {
    sig = [[t:close()]],
    doc = [[Drop the numbers at once, without waiting for the collector; later uses raise "tensor was closed".]],
  },
  -- ---- views ----------------------------------------------------------------------------
  ["Tensor:rows"] = {
    sig = [[t:rows(first[, last]) -> Tensor]],
    doc = [[View of rows first .. last (inclusive; default: to the end). Views share numbers: a change shows in both.]],
  },
  ["Tensor:narrow"] = { sig = [[t:narrow(dim, first[, last]) -> Tensor]], doc = [[The same along any dimension.]] },
  ["Tensor:select"] = { sig = [[t:select(dim, i) -> Tensor]], doc = [[View without dimension `dim`, at index i.]] },
  ["Tensor:t"] = { sig = [[t:t() -> Tensor]], doc = [[View of the transposed matrix.]] },
  ["Tensor:swap"] = { sig = [[t:swap(d1, d2) -> Tensor]], doc = [[View with two dimensions exchanged.]] },
  ["Tensor:reshape"] = {
    sig = [[t:reshape(n, m, ...) -> Tensor]],
    doc = [[The same numbers in another shape; one size may be -1: what is left. A view if t is dense, else a copy.]],
  },
  ["Tensor:index"] = {
    sig = [[t:index(dim, { i, j, ... }) -> Tensor]],
    doc = [[A copy of those rows (or columns) in that order. Raises: an index outside.]],
  },
  -- ---- reading and writing -------------------------------------------------------------------
  ["Tensor:size"] = { sig = [[t:size([dim]) -> n, m, ...]], doc = [[All sizes, or that of one dimension.]] },
  ["Tensor:count"] = { sig = [[t:count() -> integer]], doc = [[How many elements there are.]] },
  ["Tensor:type"] = { sig = [[t:type() -> string]], doc = [["float" or "double".]] },
  ["Tensor:get"] = {
    sig = [[t:get(i, j, ...) -> number]],
    doc = [[One element. For tests and printing: loops over elements are slow, whole-tensor operations are not.]],
  },
  ["Tensor:set"] = { sig = [[t:set(value, i, j, ...)]], doc = [[Change one element; the value comes first.]] },
  ["Tensor:item"] = { sig = [[t:item() -> number]], doc = [[The number of a tensor with one element.]] },
  ["Tensor:totable"] = { sig = [[t:totable() -> nested tables]], doc = [[All numbers as Lua tables.]] },
  ["Tensor:nonfinite"] = {
    sig = [[t:nonfinite() -> count, row, column]],
    doc = [[How many values of a matrix are NaN or infinite, and where the first one is (0, 0 if there is none).]],
  },
  ["Tensor:argsort"] = {
    sig = [[t:argsort([descending]) -> list]],
    doc = [[Positions that sort a vector; ties by position, NaN last.]],
  },
  ["Tensor:fill_"] = { sig = [[t:fill_(value) -> t]], doc = [[The same number everywhere, in place.]] },
  ["Tensor:copy_"] = { sig = [[t:copy_(other) -> t]], doc = [[The numbers of a tensor of the same shape, any type.]] },
  -- ---- linear algebra -------------------------------------------------------------------------
  ["matmul"] = {
    sig = [[core.matmul(a, b) -> Tensor]],
    doc = [[(n, k)(k, m) -> (n, m); matrix by vector; batches (b, n, k)(b, k, m), where one b may be 1. Transposed views cost
nothing. The same bytes for any number of threads. Raises ESHAPE, ETYPE.]],
  },
  ["qr"] = {
    sig = [[core.qr(a) -> q, r]],
    doc = [[Thin QR of a (n, k), n >= k: q (n, k) orthonormal, r (k, k) upper with diagonal >= 0.]],
  },
  ["svd"] = {
    sig = [[core.svd(a) -> u, s, v]],
    doc = [[Thin SVD a = u diag(s) v', s descending; the largest |component| of each column of u is positive.]],
  },
  ["eigh"] = {
    sig = [[core.eigh(a) -> w, v]],
    doc = [[Eigenvalues, ascending, and vectors (columns) of a symmetric matrix; the sign rule of svd.]],
  },
  ["eigvals"] = { sig = [[core.eigvals(a) -> re, im]], doc = [[Eigenvalues of a square matrix.]] },
  ["eig"] = {
    sig = [[core.eig(a) -> re, im, right, left]],
    doc = [[Eigenvalues of a square matrix with right and left eigenvectors (columns, norm 1); a complex pair takes two columns,
real and imaginary part.]],
  },
  ["solve"] = {
    sig = [[core.solve(a, b) -> x]],
    doc = [[x with a x = b; a (n, n), b (n) or (n, m). Raises EVALUE: singular.]],
  },
  ["cholesky"] = {
    sig = [[core.cholesky(a) -> l]],
    doc = [[Lower l with l l' = a. Raises EVALUE: not positive definite.]],
  },
}
M["Tensor:matmul"] = { sig = [[a:matmul(b) -> Tensor]], doc = M.matmul.doc }

-- ---- element by element: one entry per function -------------------------------------------------
local unary = { neg = "-x", abs = "|x|", sign = "-1, 0 or 1", square = "x^2", sqrt = "the square root", exp = "e^x",
  expm1 = "e^x - 1, exact for small x", log = "the natural logarithm", log1p = "log(1 + x), exact for small x",
  tanh = "tanh x", sigmoid = "1 / (1 + e^-x)", relu = "max(x, 0)",
  gelu = "x Phi(x), the Gaussian error linear unit (Hendrycks and Gimpel, 2016)", softplus = "log(1 + e^x)",
  sin = "sin x, radians", cos = "cos x, radians", floor = "the integer below", round = "the nearest integer",
  reciprocal = "1 / x", isnan = "1 where x is not a number, else 0" }
for name, what in pairs(unary) do
  M["Tensor:" .. name] = { sig = ("t:%s() -> Tensor"):format(name), doc = ("Of every element x: %s."):format(what) }
end

local binary = { add = "a + b", sub = "a - b", mul = "a * b", div = "a / b", pow = "a ^ b",
  maximum = "the larger one", minimum = "the smaller one", lt = "1 where a < b, else 0", le = "1 where a <= b, else 0",
  eq = "1 where a == b, else 0", ne = "1 where a ~= b, else 0", gt = "1 where a > b, else 0",
  ge = "1 where a >= b, else 0" }
for name, what in pairs(binary) do
  M["Tensor:" .. name] = { sig = ("a:%s(b) -> Tensor"):format(name),
    doc = ("Element by element: %s. b is a tensor or a number; sizes that are 1 or missing are broadcast."):format(what) }
  M["Tensor:" .. name .. "_"] = { sig = ("a:%s_(b) -> a"):format(name),
    doc = ("As %s, but a itself changes; b is broadcast to its shape."):format(name) }
end

local reductions = { sum = "The sum", mean = "The mean", var = "The variance, n - 1 in the denominator",
  std = "The standard deviation, n - 1 in the denominator", prod = "The product",
  logsumexp = "log of the sum of e^x, without overflow (-inf of nothing),",
  norm = "The Euclidean norm", max = "The largest value", min = "The smallest value",
  argmax = "The position of the largest value (the first of ties)",
  argmin = "The position of the smallest value (the first of ties)" }
for name, what in pairs(reductions) do
  M["Tensor:" .. name] = { sig = ("t:%s([dim]) -> Tensor"):format(name),
    doc = what .. " of all elements (a scalar: see item), or along one dimension, which goes away. Added in double." }
end

for name, which in pairs { max = "largest", min = "smallest" } do
  M["Tensor:" .. name] = { sig = ("t:%s([dim]) -> Tensor[, positions]"):format(name),
    doc = ("The %s value of all elements, or along one dimension, then with its positions (from 1; the first of ties). NaN "
      .. "propagates. Raises: nothing to choose from."):format(which) }
end

-- ---- what becomes of NaN ------------------------------------------------------------------------
local passes = "propagates to the elements that depend on it"
for name in pairs(unary) do M["Tensor:" .. name].nan = passes end
M["Tensor:isnan"].nan = "is what it looks for: 1"
M["Tensor:sign"].nan = "has no sign: 0"
for name in pairs(binary) do
  for _, form in ipairs { "", "_" } do
    M["Tensor:" .. name .. form].nan = passes
    if name:match "^[lg][te]$" or name == "eq" then M["Tensor:" .. name .. form].nan = "compares as false: 0" end
    if name == "ne" then M["Tensor:" .. name .. form].nan = "differs from everything, itself included: 1" end
  end
end
for name in pairs(reductions) do M["Tensor:" .. name].nan = "propagates to the line it is in" end
for _, name in ipairs { "argmax", "argmin" } do M["Tensor:" .. name].nan = "the first one of a line is its extreme" end
for _, name in ipairs { "Tensor:matmul", "matmul", "solve" } do M[name].nan = passes end
for _, name in ipairs { "qr", "svd", "eigh", "eigvals", "eig", "cholesky" } do
  M[name].nan = "propagates, or raises ENOCONV or EVALUE where the iteration or pivot meets it"
end
M["Tensor:nonfinite"].nan = "is what it counts"
M["Tensor:argsort"].nan = "sorts last"

return M
