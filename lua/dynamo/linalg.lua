--- Linear algebra for tensors, variables (with gradients) and batches of matrices alike: `dynamo.solve(a, b)`,
-- `dynamo.cholesky(a)`, ...
--
-- A batch is a tensor (or variable) of three dimensions: slice i of the result is that of slice i of the operands.
--
--     local L = require "dynamo.linalg"          -- also dynamo.solve, dynamo.eigh, ...
--     local w, v = L.eigh(covariances)           -- (n, d, d) -> (n, d), (n, d, d)
local arrays = require "dynamo.arrays"
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}
local unpack = table.unpack or unpack

local function fail(fmt, ...) err.raise { code = "EVALUE", message = fmt:format(...) } end

local function text(x) return table.concat({ x:size() }, "x") end

local function array(name, x)
  if not (core.is_tensor(x) or core.is_var(x)) then
    fail("%s: a tensor or variable is expected, got %s", name, type(x))
  end
  return x
end

local function kind(x) return x:type() end

-- One slice in place of none: what the results of a batch without slices look like.
local function stand_in(x)
  local size = { x:size() }
  if #size == 3 and size[2] == size[3] then return core.eye(size[2], kind(x)):unsqueeze(1) end
  table.remove(size, 1)
  size[#size + 1] = kind(x)
  return core.zeros(unpack(size)):unsqueeze(1)
end

-- f of every slice; without slices, empty results of the right shape.
local function batch(f, ...)
  local xs = { ... }
  if xs[1]:size(1) > 0 then return arrays.batched(f, ...) end
  for k, x in ipairs(xs) do xs[k] = stand_in(x) end
  local out = { arrays.batched(f, unpack(xs)) }
  for k, r in ipairs(out) do out[k] = r:narrow(1, 1, 0) end
  return unpack(out)
end

-- A function of one matrix (tensor or variable) as one of batches too.
local function of_matrix(name, f)
  return function(a)
    local nd = select("#", array(name, a):size())
    if nd == 3 then return batch(f, a) end
    if nd ~= 2 then fail("%s: a matrix or a batch of them is expected, got %s", name, nd == 0 and "scalar" or text(a)) end
    return f(a)
  end
end

-- The method of variables, the function of the core for tensors.
local function either(name)
  return function(a)
    if core.is_var(a) then return a[name](a) end
    return core[name](a)
  end
end

local function solve(a, b)
  if core.is_var(a) then return a:solve(b) end
  if core.is_var(b) then return b.solve(a, b) end
  return core.solve(a, b)
end

--- The x with a x = b.
--
-- Raises EVALUE: a is singular; ESHAPE. O(n^3 + n^2 m).
---@param a any (n, n), or a batch (k, n, n)
---@param b any (n) or (n, m); of a batch (k, n) or (k, n, m)
---@return any x of the shape of b
function M.solve(a, b)
  array("solve", b)
  if select("#", array("solve", a):size()) == 3 then return batch(solve, a, b) end
  return solve(a, b)
end

--- The lower l with l l' = a.
--
-- Only the lower triangle is looked at; the gradient is symmetric. Raises EVALUE: not positive definite. O(n^3).
---@param a any (n, n) symmetric, or a batch
---@return any l
M.cholesky = of_matrix("cholesky", either "cholesky")

--- Eigenvalues, ascending, and vectors (columns) of a symmetric matrix.
--
-- The sign rule of svd. Gradients treat vectors of equal values as fixed within their space. O(n^3).
---@param a any (n, n) symmetric, or a batch
---@return any w (n)
---@return any v (n, n)
M.eigh = of_matrix("eigh", either "eigh")

--- Thin QR of a matrix with at least as many rows as columns: q orthonormal, r upper with diagonal >= 0. O(n k^2).
---@param a any (n, k), or a batch
---@return any q (n, k)
---@return any r (k, k)
M.qr = of_matrix("qr", either "qr")

--- Thin SVD a = u diag(s) v', s descending; the largest |component| of each column of u is positive.
--
-- Gradients need distinct singular values, and those of u and v beyond the rank a full rank. O(n m min(n, m)).
---@param a any (n, m), or a batch
---@return any u (n, k)
---@return any s (k)
---@return any v (m, k)
M.svd = of_matrix("svd", either "svd")

local function eye_like(a)
  local n, m = a:size()
  if n ~= m then fail("inverse: %s is not a square matrix", text(a)) end
  return core.eye(n, kind(a))
end

--- The inverse, by solve with the identity: prefer solve, which is faster and more exact.
---@param a any (n, n), or a batch
---@return any inverse
M.inverse = of_matrix("inverse", function(a) return solve(a, eye_like(a)) end)

local function logdet(a)
  if core.is_var(a) then return a:logdet() end
  local n, m = a:size()
  if n ~= m then fail("logdet: %s is not a square matrix", text(a)) end
  local _, r = core.qr(a)
  return r:diagonal():log():sum()
end

--- log |det a|, without overflow; -inf if a is singular. The gradient is the inverse, transposed. O(n^3).
---@param a any (n, n), or a batch
---@return any logdet scalar, or (k)
M.logdet = of_matrix("logdet", logdet)

--- The matrix with zeros (or `value`) around it along a dimension. Tensors or variables.
---@param x any
---@param dim integer
---@param before integer how many in front
---@param after integer how many behind
---@param value? number default 0
---@return any padded
function M.pad(x, dim, before, after, value)
  if before < 0 or after < 0 then fail("pad: %d and %d, they must not be negative", before, after) end
  local size = { array("pad", x):size() }
  dim = dim < 0 and dim + #size + 1 or dim
  if not size[dim] then fail("pad: no dimension %d in %s", dim, text(x)) end
  local function filled(n)
    size[dim] = n
    local args = { unpack(size) }
    args[#args + 1] = kind(x)
    return core.full(value or 0, unpack(args))
  end
  local front, behind = filled(before), filled(after)
  if core.is_var(x) then return x:narrow(dim, 1, 0):cat({ front, x, behind }, dim) end
  return core.cat({ front, x, behind }, dim)
end

return M
