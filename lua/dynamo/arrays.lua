--- Functions of tensors that are made of others: joining, splitting, einsum, decompositions. Those marked "or variables"
-- work on a tape as well, with gradients.
--
--     local A = require "dynamo.arrays"          -- also dynamo.stack, dynamo.einsum, ...
--     A.einsum("bij,bjk->bik", x, y)
--     A.pinv(x)
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = {}
local unpack = table.unpack or unpack

M.schema = {
  svd_lowrank = {
    oversample = { type = "integer", default = 10, min = 0, help = "columns beyond the rank, for accuracy" },
    iterations = { type = "integer", default = 4, min = 0, help = "power iterations, for slowly falling values" },
    seed = { type = "integer", default = 1, help = "of the random matrix" },
  },
}

local function fail(fmt, ...) err.raise { code = "EVALUE", message = fmt:format(...) } end

local function shape(x) return { x:size() } end

local function text(size)
  return #size == 0 and "scalar" or table.concat(size, "x")
end

local function like(size, dim, n) -- 'size' with n at place dim put in
  local out = { unpack(size) }
  table.insert(out, dim, n)
  return out
end

--- Join tensors or variables of one shape along a new dimension.
---@param list table tensors, or variables of one tape
---@param dim? integer place of the new dimension, 1 .. dimensions + 1; default 1
---@return any joined
function M.stack(list, dim)
  local first = list[1]
  if not first then fail("stack: nothing to join") end
  local size = shape(first)
  dim = dim or 1
  if dim < 0 then dim = dim + #size + 2 end
  if dim < 1 or dim > #size + 1 then fail("stack: place %d outside 1..%d", dim, #size + 1) end
  local parts = {}
  for i, x in ipairs(list) do
    local s = shape(x)
    if text(s) ~= text(size) then fail("stack: shapes %s and %s do not match", text(size), text(s)) end
    parts[i] = x:reshape(unpack(like(size, dim, 1)))
  end
  if not core.is_var(parts[1]) then return core.cat(parts, dim) end
  if #parts == 1 then return parts[1] end
  return parts[1]:cat({ unpack(parts, 2) }, dim)
end

--- Cut a tensor or variable along a dimension into views.
---@param x any
---@param sizes integer|table the size of each piece (the last may be smaller), or a list of sizes that add up
---@param dim? integer default 1
---@return table pieces
function M.split(x, sizes, dim)
  dim = dim or 1
  local n, list = x:size(dim), sizes
  if type(sizes) == "number" then
    if sizes < 1 then fail("split: pieces of %d", sizes) end
    list = {}
    for at = 1, n, sizes do list[#list + 1] = math.min(sizes, n - at + 1) end
  end
  local total, out, at = 0, {}, 1
  for _, k in ipairs(list) do total = total + k end
  if total ~= n then fail("split: sizes add up to %d, dimension %d has %d", total, dim, n) end
  for i, k in ipairs(list) do
    out[i] = x:narrow(dim, at, at + k - 1)
    at = at + k
  end
  return out
end

--- The outer product of two vectors: r[i][j] = a[i] b[j]. Tensors or variables.
---@param a any (n)
---@param b any (m)
---@return any product (n, m)
function M.outer(a, b)
  return a:reshape(-1, 1) * b:reshape(1, -1)
end

-- ---- einsum -------------------------------------------------------------------------------------

local function letters(s)
  local out, seen = {}, {}
  for c in s:gmatch "." do
    if not c:match "%a" then fail("einsum: '%s' is no letter", c) end
    if seen[c] then fail("einsum: '%s' twice in '%s'; take the diagonal first", c, s) end
    seen[c] = true
    out[#out + 1] = c
  end
  return out
end

local function permuted(x, order)
  local same = true
  for i, d in ipairs(order) do same = same and i == d end
  if same then return x end
  return x:permute(unpack(order))
end

-- x with its letters in the order of the groups (each a list of letters), every group one dimension.
local function grouped(x, have, groups, sizes)
  local place, order, size = {}, {}, {}
  for i, c in ipairs(have) do place[c] = i end
  for g, group in ipairs(groups) do
    size[g] = 1
    for _, c in ipairs(group) do
      order[#order + 1] = place[c]
      size[g] = size[g] * sizes[c]
    end
  end
  return permuted(x, order):reshape(unpack(size))
end

-- Sum over the letters of x that nobody else has.
local function summed(x, have, wanted)
  local left = {}
  for i = #have, 1, -1 do
    if not wanted[have[i]] then x = x:sum(i) else table.insert(left, 1, have[i]) end
  end
  return x, left
end

local function set(...)
  local out = {}
  for _, list in ipairs { ... } do
    for _, c in ipairs(list) do out[c] = true end
  end
  return out
end

-- Product of two operands, keeping the letters that are in 'out'; as one batched matmul.
local function contract(a, la, b, lb, keep, sizes)
  local ina, inb = set(la), set(lb)
  local batch, rows, cols, inner = {}, {}, {}, {}
  for _, c in ipairs(la) do
    local list = inb[c] and (keep[c] and batch or inner) or rows
    list[#list + 1] = c
  end
  for _, c in ipairs(lb) do
    if not ina[c] then cols[#cols + 1] = c end
  end
  local r = grouped(a, la, { batch, rows, inner }, sizes):matmul(grouped(b, lb, { batch, inner, cols }, sizes))
  local have, size = {}, {}
  for _, group in ipairs { batch, rows, cols } do
    for _, c in ipairs(group) do
      have[#have + 1] = c
      size[#size + 1] = sizes[c]
    end
  end
  return r:reshape(unpack(size)), have
end

local function parse(pattern, n)
  local left, right = pattern:gsub("%s", ""):match "^([%a,]*)%->(%a*)$"
  if not left then fail("einsum: '%s', expected something like 'ij,jk->ik'", pattern) end
  local ins = {}
  for part in (left .. ","):gmatch "(.-)," do ins[#ins + 1] = letters(part) end
  if #ins ~= n then fail("einsum: '%s' has %d operands, got %d", pattern, #ins, n) end
  return ins, letters(right)
end

--- Einstein's sum: letters that are not in the result are summed over. Tensors or variables.
--
-- Two operands at a time, from the left, each pair as one (batched) matrix product: the usual patterns ("ij,jk->ik",
-- "bij,bjk->bik", "i,j->ij", "ij->ji", "ij->", "bi,ij,bj->b") at its speed. No repeated letter in one operand.
-- Raises: letters with two sizes, a letter of the result that is nowhere.
---@param pattern string "ij,jk->ik"
---@param ... any one operand per group of letters
---@return any result
function M.einsum(pattern, ...)
  local xs = { ... }
  local ins, out = parse(pattern, #xs)
  local sizes = {}
  for k, have in ipairs(ins) do
    local s = shape(xs[k])
    if #s ~= #have then fail("einsum: '%s' for a tensor %s", table.concat(have), text(s)) end
    for i, c in ipairs(have) do
      if sizes[c] and sizes[c] ~= s[i] then fail("einsum: '%s' is %d and %d", c, sizes[c], s[i]) end
      sizes[c] = s[i]
    end
  end
  for _, c in ipairs(out) do
    if not sizes[c] then fail("einsum: '%s' is in no operand", c) end
  end
  local x, have = xs[1], ins[1]
  for k = 2, #xs do
    x, have = summed(x, have, set(out, unpack(ins, k)))
    local y, other = summed(xs[k], ins[k], set(out, have, unpack(ins, k + 1)))
    x, have = contract(x, have, y, other, set(out, unpack(ins, k + 1)), sizes)
  end
  x, have = summed(x, have, set(out))
  local place, order = {}, {}
  for i, c in ipairs(have) do place[c] = i end
  for i, c in ipairs(out) do order[i] = place[c] end
  return permuted(x, order)
end

--- f of every slice along the first dimension, results stacked: `batched(core.solve, a, b)`.
---@param f function of tensors, giving one or more tensors
---@param ... any tensors of n slices each
---@return any ... stacked results (n, ...)
function M.batched(f, ...)
  local xs, out = { ... }, {}
  local n = xs[1]:size(1)
  if n == 0 then fail("batched: there are no slices") end
  for k, x in ipairs(xs) do
    if x:size(1) ~= n then fail("batched: operand %d has %d slices, the first %d", k, x:size(1), n) end
  end
  for i = 1, n do
    local slices = {}
    for k, x in ipairs(xs) do slices[k] = x:select(1, i) end
    for k, r in ipairs { f(unpack(slices)) } do
      out[k] = out[k] or {}
      out[k][i] = r
    end
  end
  for k, list in ipairs(out) do out[k] = M.stack(list) end
  return unpack(out)
end

-- ---- linear algebra -----------------------------------------------------------------------------

-- 1 / s where s is over the tolerance, 0 elsewhere; and how many are.
local function inverted(s, n, m, rcond)
  local eps = s:type() == "double" and 2.220446049250313e-16 or 1.1920929e-07
  local values = core.is_var(s) and s:value() or s
  local top = values:count() > 0 and values:max():item() or 0
  local keep = values:gt((rcond or math.max(n, m) * eps) * top)
  return core.where(keep, s:reciprocal(), 0), keep:sum():item()
end

local function svd(a)
  if core.is_var(a) then return a:svd() end
  return core.svd(a)
end

--- The pseudo-inverse (Moore and Penrose) of a matrix, by its SVD. Tensor or variable (then of distinct singular values).
---@param a any (n, m)
---@param rcond? number singular values below this times the largest are 0; default max(n, m) times machine precision
---@return any inverse (m, n)
function M.pinv(a, rcond)
  local n, m = a:size()
  local u, s, v = svd(a)
  local inv = inverted(s, n, m, rcond)
  return (v * inv:reshape(1, -1)):matmul(u:t())
end

--- The x of smallest norm among those that minimise |a x - b|, by SVD: any shape and rank of a.
--- Tensors or variables.
---@param a any (n, m)
---@param b any (n) or (n, k)
---@param rcond? number as in pinv
---@return any x (m) or (m, k)
---@return number rank
---@return any s singular values, descending
function M.lstsq(a, b, rcond)
  local n, m = a:size()
  local size = shape(b)
  if size[1] ~= n or #size > 2 then fail("lstsq: shapes %s and %s do not match", text(shape(a)), text(size)) end
  local u, s, v = svd(a)
  local inv, rank = inverted(s, n, m, rcond)
  local y = u:t():matmul(b:reshape(n, -1)) * inv:reshape(-1, 1)
  local x = v:matmul(y)
  if #size == 1 then x = x:reshape(m) end
  return x, rank, s
end

--- The k largest singular values with their vectors, by random projection (Halko, Martinsson and Tropp, SIAM Review 53,
-- 2011, algorithms 4.4 and 5.1).
--
-- a is a tensor (n, m) or Sparse, u (n, k), s (k) descending, v (m, k). Each iteration is two products with a. The same
-- seed gives the same bytes. Raises: k larger than the smaller size.
---@param a userdata
---@param k integer
---@param opts? table oversample, iterations, seed
---@return userdata u
---@return userdata s
---@return userdata v
function M.svd_lowrank(a, k, opts)
  opts = options.check("svd_lowrank", opts or {}, M.schema.svd_lowrank)
  local n, m = a:size()
  if k < 0 or k > math.min(n, m) then fail("svd_lowrank: rank %d of %s", k, text { n, m }) end
  local sparse = core.is_sparse(a)
  local kind = sparse and "double" or a:type()
  local function transposed(x) return sparse and a:tmatmul(x) or a:t():matmul(x) end
  local width = math.min(k + opts.oversample, n, m)
  local q = core.qr(a:matmul(core.randn(opts.seed, m, width, kind)))
  for _ = 1, opts.iterations do
    local z = core.qr(transposed(q))
    q = core.qr(a:matmul(z))
  end
  local v, s, w = core.svd(transposed(q)) -- a' q = v s w'
  return q:matmul(w):narrow(2, 1, k):clone(), s:narrow(1, 1, k):clone(), v:narrow(2, 1, k):clone()
end

--- The matrix exponential: a polynomial of degree 14 of a / 2^s with norm at most 1/2, squared s times (Higham, Functions
-- of Matrices, 2008, section 10.3). Tensor or variable, so it has a gradient.
---@param a any (n, n)
---@return any exponential (n, n)
function M.expm(a)
  local n, m = a:size()
  if n ~= m or #shape(a) ~= 2 then fail("expm: %s is not a square matrix", text(shape(a))) end
  local x = core.is_var(a) and a:value() or a
  local norm = n > 0 and x:abs():sum(1):max():item() or 0
  if norm - norm ~= 0 then fail("expm: NaN or infinity in the matrix") end
  local squarings = 0
  while norm > 0.5 do norm, squarings = norm / 2, squarings + 1 end
  local scaled, eye = a * 2 ^ -squarings, core.eye(n, x:type())
  local r = scaled / 14 + eye
  for k = 13, 1, -1 do r = scaled:matmul(r) / k + eye end
  for _ = 1, squarings do r = r:matmul(r) end
  return r
end

return M
