-- What src/bind/l_variable.c and l_inplace.c register: methods of tensors on a tape, and in-place forms.
local M = {
  ["Var:clamp"] = { sig = [[v:clamp(low or nil, high or nil) -> Var]],
    doc = [[Every element brought into low .. high; no gradient through those that were moved.]] },
  ["Var:count"] = { sig = [[v:count() -> integer]], doc = [[How many elements there are.]] },
  ["Var:diagonal"] = { sig = [[v:diagonal([k]) -> Var]], doc = [[The k-th diagonal of a matrix: a view.]] },
  ["Var:t"] = { sig = [[v:t() -> Var]], doc = [[The transposed matrix: a view.]] },
  ["Var:select"] = { sig = [[v:select(dim, i) -> Var]], doc = [[Without dimension `dim`, at index i.]] },
  ["Var:squeeze"] = { sig = [[v:squeeze([dim]) -> Var]], doc = [[Without the dimensions of size 1, or that one.]] },
  ["Var:unsqueeze"] = { sig = [[v:unsqueeze(dim) -> Var]], doc = [[With a dimension of size 1 at place `dim`.]] },
  ["Var:index"] = { sig = [[v:index(dim, { i, j, ... }) -> Var]],
    doc = [[Those rows (or columns) in that order; repeats add up in the gradient.]] },
  ["Var:masked_fill"] = { sig = [[v:masked_fill(mask, number) -> Var]],
    doc = [[The number where the mask (a tensor) is not 0; no gradient there.]] },
  ["Var:masked_select"] = { sig = [[v:masked_select(mask) -> Var (k)]],
    doc = [[The elements where the mask, a tensor of the same shape, is not 0.]] },
  ["Var:scatter_add"] = { sig = [[v:scatter_add(dim, positions, x) -> Var]],
    doc = [[A copy of v with x added at those positions (from 1), as Tensor:scatter_add_; the adjoint of gather.]] },
  ["Var:sort"] = { sig = [==[v:sort([dim[, descending]]) -> Var, positions]==],
    doc = [[Every line along `dim` (the last) in order, and where its elements were, a tensor.]] },
  ["Var:sorted"] = { sig = [==[v:sorted([dim[, descending]]) -> Var]==], doc = [[The values of sort alone.]] },
  ["Var:topk"] = { sig = [==[v:topk(k[, dim[, smallest]]) -> Var, positions]==],
    doc = [[The k largest (or smallest) of every line, best first, and where they were. Raises: k larger than the line.]] },
  ["Var:median"] = { sig = [[v:median([dim]) -> Var]], doc = [[quantile 0.5.]] },
  ["Var:quantile"] = { sig = [[v:quantile(q[, dim]) -> Var]],
    doc = [[Of all elements or along `dim`, as Tensor:quantile for one q; the gradient goes to the two elements between which
it lies.]] },
  ["Var:softmax"] = { sig = [[v:softmax() -> Var]], doc = [[e^v over the sum of them, along the last dimension.]] },
  ["Var:reciprocal"] = { sig = [[v:reciprocal() -> Var]], doc = [[Element-wise: 1 / v.]] },
  ["Var:pow"] = { sig = [[v:pow(w) -> Var, v ^ w]],
    doc = [[Element-wise power; w is a number, a tensor or a variable, and v may be a number in v ^ w. Where the base is 0 the
gradient of the exponent is 0.]] },
  ["Var:maximum"] = { sig = [[v:maximum(w) -> Var]],
    doc = [[The larger one; w is a number, a tensor or a variable. Of equal ones the gradient goes to v, but to no number.]] },
  ["Var:minimum"] = { sig = [[v:minimum(w) -> Var]], doc = [[The smaller one, as maximum.]] },
  ["Var:solve"] = { sig = [[a:solve(b) -> Var]],
    doc = [[x with a x = b, as core.solve; either may be a tensor. Raises EVALUE: singular.]] },
  ["Var:cholesky"] = { sig = [[a:cholesky() -> Var]],
    doc = [[Lower l with l l' = a. The gradient is symmetric. Raises EVALUE: not positive definite.]] },
  ["Var:logdet"] = { sig = [[a:logdet() -> Var]], doc = [[log |det a|; its gradient is the inverse, transposed.]] },
  ["Var:eigh"] = { sig = [[a:eigh() -> w, v]],
    doc = [[As core.eigh. The gradient is symmetric; vectors of equal values get none within their space.]] },
  ["Var:qr"] = { sig = [[a:qr() -> q, r]], doc = [[As core.qr; for a gradient the columns of a are independent.]] },
  ["Var:svd"] = { sig = [[a:svd() -> u, s, v]],
    doc = [[As core.svd (derivative: Townsend, 2016); for gradients of u and v the singular values are distinct.]] },
  ["Tensor:clamp_"] = { sig = [[t:clamp_(low or nil, high or nil) -> t]], doc = [[As clamp, but t itself changes.]] },
  ["Tensor:masked_fill_"] = { sig = [[t:masked_fill_(mask, number) -> t]],
    doc = [[As masked_fill, but t itself changes; the mask is broadcast to its shape.]] },
  ["Tensor:index_add_"] = { sig = [[t:index_add_({ i, j, ... }, x) -> t]],
    doc = [[Row i of t gets the first row of x added, row j the second, ..., in order. Raises: an index outside, shapes.]] },
  ["Tensor:save"] = { sig = [[t:save(path) -> t]],
    doc = [[Write a .npy file, or a .npz file with the array "arr_0"; dynamo.tensor reads both. Raises EIO.]] },
}

for name, what in pairs { var = "The variance, n - 1 in the denominator,",
  std = "The standard deviation (derivative 0 where it is 0)", norm = "The Euclidean norm (derivative 0 at 0)",
  prod = "The product (right where elements are 0)" } do
  M["Var:" .. name] = { sig = ("v:%s([dim]) -> Var"):format(name), doc = what .. " of all elements or over one dimension." }
end
for name, which in pairs { max = "largest", min = "smallest" } do
  M["Var:" .. name] = { sig = ("v:%s([dim]) -> Var[, positions]"):format(name),
    doc = ("The %s of all elements, or over one dimension, then with its positions; the gradient goes to the first of equals.")
      :format(which) }
end
for name in ("neg abs sign square sqrt exp expm1 log log1p tanh sigmoid relu gelu softplus sin cos floor round reciprocal isnan")
  :gmatch "%S+" do
  M["Tensor:" .. name .. "_"] = { sig = ("t:%s_() -> t"):format(name), nan = "as the form without _",
    doc = ("As %s, but t itself changes."):format(name) }
end
for _, name in ipairs { "clamp_", "masked_fill_", "index_add_" } do M["Tensor:" .. name].nan = "as the form without _" end
M["Tensor:index_add_"].nan = "propagates to the sums it is in"

return M
