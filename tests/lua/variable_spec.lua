-- Every method of variables has a gradient that central differences confirm. The list of methods comes from the class
-- itself, so that a new one without a case here fails.
local core = require "dynamo.core"
local grad = require "dynamo.grad"
local A = require "dynamo.arrays"
local L = require "dynamo.linalg"

local x = core.randn(1, 3, 4, "double")
local y = core.randn(2, 3, 4, "double")
local positive = x:abs() + 0.3
local square = core.randn(3, 3, 3, "double")
local mask = x:gt(0)
local function sparse() return core.sparse(2, 3, { 1, 1, 2 }, { 1, 3, 2 }, { 0.5, -2, 3 }) end

-- A scalar of v whose derivative by v is not constant; sums of squares would be blind to directions.
local function scalar(v)
  local n = v:count()
  return (v:reshape(n) * core.linspace(-1, 2, n, "double"):cos()):sum() + (v * 0.3):square():sum()
end

local function definite(p) return p:matmul(p:t()) + core.eye(3, "double") end

local function all(...)
  local sum
  for _, v in ipairs { ... } do
    if core.is_var(v) then sum = sum and sum + scalar(v) or scalar(v) end
  end
  return sum
end

-- name -> parameters, function of them that gives one or more variables
local cases = {}
for name in ("neg abs square exp tanh sigmoid relu gelu softplus sin cos expm1 log_softmax softmax sum mean logsumexp var "
  .. "std norm prod max min sort sorted median cumsum t squeeze"):gmatch "%S+" do
  cases[name] = { x, function(v) return v[name](v) end }
end
for name in ("sqrt log log1p reciprocal"):gmatch "%S+" do cases[name] = { positive, function(v) return v[name](v) end } end
for name in ("add sub mul maximum minimum"):gmatch "%S+" do
  cases[name] = { { x, y }, function(p) return p[1][name](p[1], p[2]), p[1][name](p[1], 0.1), p[1][name](p[1], y) end }
end
for name in ("sum mean logsumexp var std norm prod max min sort cumsum median"):gmatch "%S+" do
  cases[name .. " over each dimension"] = { core.randn(4, 2, 3, 4, "double"), function(v)
    return all(v[name](v, 1), (v[name](v, 2)), (v[name](v, -1)))
  end }
end
for name in ("mse row_pearson"):gmatch "%S+" do
  cases[name] = { x, function(v) return v[name](v, y), v[name](v, y, positive, mask) end }
end
cases.bce_logits = { x, function(v) return v:bce_logits(mask), v:bce_logits(mask, positive) end }
cases.div = { { x, positive }, function(p) return p[1]:div(p[2]), 2 / p[2], p[1] / 3 end }
cases.pow = { { positive, y }, function(p) return p[1]:pow(p[2]), p[1] ^ 2.5, 2 ^ p[2], positive ^ p[2] end }
cases.matmul = { { x, square }, function(p) return p[2]:matmul(p[1]), square:matmul(p[1]), sparse():matmul(p[1]),
  sparse():tmatmul(p[1]:rows(1, 2)) end }
cases.linear = { { x, core.randn(5, 4, 2, "double") }, function(p) return p[1]:linear(p[2], nil, "tanh", 0.3, 5) end }
cases.dropout = { x, function(v) return v:dropout(0.4, 3) end }
cases.narrow = { x, function(v) return v:narrow(2, -2, -1) end }
cases.select = { x, function(v) return v:select(2, -1) end }
cases.swap = { x, function(v) return v:swap(1, 2) end }
cases.permute = { x, function(v) return v:permute(2, 1) end }
cases.reshape = { x, function(v) return v:t():reshape(2, -1) end }
cases.expand = { x, function(v) return v:unsqueeze(1):expand(2, -1, -1) end }
cases.unsqueeze = { x, function(v) return v:unsqueeze(-1) end }
cases.rows = { x, function(v) return v:rows { 1, 3, 1 } end }
cases.index = { x, function(v) return v:index(2, { 4, 4, 1 }), v:index(1, { 2 }) end }
cases.scatter_rows = { x, function(v) return v:scatter_rows({ 1, 4, 1 }, 4) end }
cases.cat = { { x, y }, function(p) return p[1]:cat({ p[2], p[1] }, 2) end }
cases.gather = { x, function(v) return v:gather(1, core.full(2, 1, 4, "double")) end }
cases.scatter_add = { { x, y }, function(p) return p[1]:scatter_add(1, core.full(2, 3, 4, "double"), p[2]) end }
cases.topk = { x, function(v) return v:topk(2), (v:topk(1, 1, true)) end }
cases.quantile = { x, function(v) return v:quantile(0.3), v:quantile(0.9, 2), v:quantile(0, 1) end }
cases.clamp = { x, function(v) return v:clamp(-0.5, 0.5) end }
cases.masked_fill = { x, function(v) return v:masked_fill(mask, 3) end }
cases.masked_select = { x, function(v) return v:masked_select(mask) end }
cases.diagonal = { x, function(v) return v:diagonal(), v:diagonal(1), v:diagonal(-1) end }
cases.solve = { { square, x }, function(p) return definite(p[1]):solve(p[2]), p[1]:solve(x), L.solve(square, p[2]) end }
cases.cholesky = { square, function(v) return definite(v):cholesky() end }
cases.logdet = { square, function(v) return v:logdet() end }
cases.eigh = { square, function(v) return definite(v):eigh() end }
cases.qr = { square, function(v) return v:qr() end }
cases.svd = { x, function(v) return v:svd() end }
cases.custom = { x, function(v)
  return grad.op { forward = function(a) return a * a end, backward = function(g, _, a) return g * a * 2 end }(v)
end }
cases.batch_norm = { { core.randn(9, 7, 3, "double"), core.randn(10, 3, "double"), core.randn(11, 3, "double") },
  function(p) return p[1]:batch_norm(p[2], p[3], 0.1), p[1]:batch_norm(p[2], p[3], 0.1, 0.01) end }
cases.gene_decoder = { { core.randn(1, 2, 4, 2, "double"), core.randn(2, 3, 2, "double"), core.randn(3, 2, "double"),
  core.randn(4, 2, "double"), core.randn(5, 2, 3, "double"), core.randn(6, 3, "double"), core.randn(7, 3, "double"),
  core.randn(8, 3, 2, "double"), core.randn(9, 2, "double"), core.randn(10, 2, "double"), core.randn(11, 4, 2, "double"),
  core.randn(12, 4, "double") }, function(p)
  return p[1]:gene_decoder({ p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12] }, 0.1)
end }
cases.detach = { x, function(v) return v:detach() * 0 + v end }

-- functions of other modules that take variables
cases["arrays.stack"] = { { x, y }, function(p) return A.stack({ p[1], p[2] }, 2) end }
cases["arrays.split"] = { x, function(v) return A.split(v, { 1, 3 }, 2)[2] end }
cases["arrays.outer"] = { { x, y }, function(p) return A.outer(p[1]:select(1, 1), p[2]:select(1, 2)) end }
cases["arrays.einsum"] = { { x, square }, function(p) return A.einsum("ij,ki->kj", p[1], p[2]), A.einsum("ij->i", p[1]) end }
cases["arrays.expm"] = { square, function(v) return A.expm(v) end }
cases["arrays.pinv"] = { x, function(v) return A.pinv(v) end }
cases["arrays.lstsq"] = { x, function(v) return (A.lstsq(v:t(), core.linspace(0, 1, 4, "double"))) end }
cases["arrays.batched"] = { core.randn(6, 2, 3, 3, "double"), function(v) return A.batched(A.expm, v) end }
cases["linalg.inverse"] = { square, function(v) return L.inverse(v) end }
cases["linalg.pad"] = { x, function(v) return L.pad(v, 2, 1, 2, 0.5), L.pad(v, 1, 0, 1) end }
cases["linalg of batches"] = { { core.randn(7, 2, 3, 3, "double"), core.randn(8, 2, 3, 2, "double") }, function(p)
  local a = p[1]:matmul(p[1]:swap(2, 3)) + core.eye(3, "double")
  return all(L.solve(a, p[2])) + all(L.cholesky(a)) + all(L.eigh(a)) + all(L.logdet(a)), all(L.qr(p[2])) + all(L.svd(p[2])),
    L.inverse(a)
end }
cases["core.where"] = { { x, y }, function(p) return core.where(mask, p[1], p[2]) end }

-- methods that look at a variable, and are no operations
local reading = {}
for name in ("backward close count grad item need size statistics type value"):gmatch "%S+" do reading[name] = true end

test("every method of variables has a case", function()
  for name in pairs(debug.getregistry()["dynamo.Var"].__index) do
    assert(cases[name] or reading[name], "Var:" .. name .. " has no gradient check")
    assert(not (cases[name] and reading[name]), name .. " is in both lists")
  end
end)

test("every case has the gradient of central differences, to 1e-7", function()
  local names = {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local worst = grad.gradcheck(function(p) return all(cases[name][2](p)) end, cases[name][1], { step = 3e-6 })
    assert(worst < 1e-7, ("%s: %.1e"):format(name, worst))
  end
end)

-- what has no variable form is not differentiable, or is made of others
local constant = {}
for name in ("sign floor round isnan lt le eq ne gt ge argmax argmin argsort unique nonzero nonfinite totable get clone to "
  .. "save set"):gmatch "%S+" do constant[name] = true end

test("every function of tensors that has a derivative is there for variables", function()
  local variable = debug.getregistry()["dynamo.Var"].__index
  for name in pairs(debug.getregistry()["dynamo.Tensor"].__index) do
    if not name:match "_$" then
      assert(variable[name] or constant[name], "Tensor:" .. name .. " has no form for variables")
    end
  end
end)

test("values and positions are those of tensors", function()
  local tape = core.tape()
  local v = tape:leaf(x, true)
  for _, name in ipairs { "max", "min", "sort", "topk" } do
    local arg = name == "topk" and 2 or 1
    local value, at = v[name](v, arg)
    local want, where = x[name](x, arg)
    near((value:value() - want):abs():max():item(), 0, 0)
    near((at:to "double" - where:to "double"):abs():max():item(), 0, 0)
  end
  near((v:softmax():value():sum(2) - 1):abs():max():item(), 0, 1e-14)
  near(v:matmul(v:t()):logdet():item(), L.logdet(x:matmul(x:t())):item(), 1e-12)
  near((L.pad(x, 2, 1, 1):narrow(2, 2, -2) - x):abs():max():item(), 0, 0)
  raises("masked_select: mask 3x3 does not fit 3x4", v.masked_select, v, square)
  raises("no bound", v.clamp, v)
  raises("the size is not 1", v.squeeze, v, 1)
  raises("pad: no dimension 3 in 3x4", L.pad, x, 3, 1, 1)
  raises("logdet: 3x4 is not a square matrix", L.logdet, x)
  raises("inverse: 3x4 is not a square matrix", L.inverse, x)
  raises("cholesky: a matrix or a batch of them is expected, got scalar", L.cholesky, core.tensor(1))
  raises("solve: a tensor or variable is expected, got number", L.solve, 1, x)
  tape:close()
end)

test("derivatives at corners are finite: zeros in norms, deviations and products", function()
  local function g(f, p) return grad.grad(f)(p) end
  local zero = core.zeros(3, "double")
  assert(g(function(v) return v:norm() end, zero):abs():max():item() == 0)
  assert(g(function(v) return v:std() end, zero + 2):abs():max():item() == 0)
  local one = g(function(v) return v:prod() end, core.tensor({ 0, 2, 3 }, "double"))
  assert(one:get(1) == 6 and one:get(2) == 0)
  assert(g(function(v) return v:max() end, zero):get(1) == 1)
  assert(g(function(v) return (v ^ core.tensor(2, "double")):sum() end, zero):abs():max():item() == 0)
end)

test("a sparse matrix on a tape outlives its handle", function()
  local tape = core.tape()
  local v = tape:leaf(x, true)
  local m = core.sparse(1, 3, { 1 }, { 2 }, { 4 })
  local loss = m:matmul(v):sum()
  m:close()
  m = nil
  collectgarbage() collectgarbage()
  loss:backward()
  assert(v:grad():get(2, 1) == 4 and v:grad():get(1, 1) == 0)
  local other = sparse()
  raises("sparse 2 x 3 times 4x3", other.matmul, other, v:t())
  tape:close()
end)
