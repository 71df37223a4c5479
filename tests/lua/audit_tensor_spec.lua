-- The tensor interface, capability by capability: making, views, arithmetic, comparisons, reductions, order, choice,
-- products, decompositions, sparse matrices, files; of both types, and with nothing and scalars in them.
local core = require "dynamo.core"
local dynamo = require "dynamo"
local meta = require "dynamo.meta"

local kinds = { "float", "double" }

local function shape(t) return table.concat({ t:size() }, "x") end

-- t has that shape and, in order, those numbers.
local function is(t, size, numbers, tol)
  assert(shape(t) == size, shape(t) .. " is not " .. size)
  local flat = t:reshape(-1)
  assert(flat:count() == #numbers, ("%d numbers, not %d"):format(flat:count(), #numbers))
  for i, v in ipairs(numbers) do near(flat:get(i), v, tol or 1e-6) end
end

local function each(f) for _, kind in ipairs(kinds) do f(kind) end end

test("making: tables, ranges, streams, diagonals", function()
  each(function(kind)
    is(dynamo.tensor({ { 1, 2 }, { 3, 4 } }, kind), "2x2", { 1, 2, 3, 4 })
    is(dynamo.tensor(5, kind), "", { 5 })
    is(dynamo.tensor({}, kind), "0", {})
    is(dynamo.tensor({ {}, {} }, kind), "2x0", {})
    is(dynamo.zeros(2, 0, kind), "2x0", {})
    is(dynamo.full(3, 2, kind), "2", { 3, 3 })
    is(dynamo.eye(2, kind), "2x2", { 1, 0, 0, 1 })
    is(dynamo.eye(0, kind), "0x0", {})
    is(dynamo.range(1, 2, 0.5, kind), "3", { 1, 1.5, 2 })
    is(dynamo.linspace(0, 1, 3, kind), "3", { 0, 0.5, 1 })
    is(dynamo.diag(dynamo.tensor({ 1, 2 }, kind)), "2x2", { 1, 0, 0, 2 })
    assert(dynamo.randn(1, 3, kind):type() == kind and shape(dynamo.rand(1, kind)) == "" and dynamo.rand(1, 0, kind):count() == 0)
  end)
  assert(shape(dynamo.randint(1, 1, 6, 0)) == "0" and dynamo.randperm(1, 0):count() == 0)
end)

test("views: negative and inclusive ranges, all sharing their numbers", function()
  each(function(kind)
    local t = dynamo.range(1, 24, 1, kind):reshape(2, 3, 4)
    is(t:rows(-1):select(1, 1):rows(1), "3x4", { 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24 })
    is(t:narrow(3, -2, -1):select(1, 1), "3x2", { 3, 4, 7, 8, 11, 12 })
    is(t:narrow(2, 2, 3):select(3, -1), "2x2", { 8, 12, 20, 24 })
    is(t:narrow(1, 2, 1), "0x3x4", {})
    is(t:select(2, -3):t(), "4x2", { 1, 13, 2, 14, 3, 15, 4, 16 })
    is(t:permute(3, 1, 2):select(1, 1), "2x3", { 1, 5, 9, 13, 17, 21 })
    assert(shape(t:swap(1, -1)) == "4x3x2" and shape(t:reshape(-1, 6)) == "4x6" and shape(t:unsqueeze(1)) == "1x2x3x4")
    assert(shape(t:unsqueeze(2):squeeze()) == "2x3x4" and shape(dynamo.zeros(1, kind):expand(3, 4)) == "3x4")
    t:narrow(2, -1, -1):select(3, 2):fill_(0)
    assert(t:get(1, 3, 2) == 0 and t:get(2, -1, -3) == 0)
    is(t:select(1, 1):diagonal(-1), "2", { 5, 0 })
    for _, v in ipairs { t, t:rows(1, 0), dynamo.tensor(1, kind) } do assert(v:clone():count() == v:count()) end
    raises("index out of range", t.select, t, 1, 3)
    raises("index out of range", t.narrow, t, 1, -3)
    raises("integer expected", t.select, t, 1, 1.5)
  end)
end)

local pairs_of_two = { add = 5, sub = 1, mul = 6, div = 1.5, pow = 9, maximum = 3, minimum = 2, lt = 0, le = 0, eq = 0, ne = 1,
  gt = 1, ge = 1 }

test("two operands: broadcasting, numbers, in place, nothing and scalars", function()
  each(function(kind)
    local a, b = dynamo.full(3, 2, 3, kind), dynamo.full(2, 3, kind)
    local none, one = dynamo.zeros(0, 3, kind), dynamo.tensor(2, kind)
    for name, value in pairs(pairs_of_two) do
      local f, g = a[name], a[name .. "_"]
      is(f(a, b), "2x3", { value, value, value, value, value, value })
      is(f(a, 2), "2x3", { value, value, value, value, value, value })
      is(f(dynamo.tensor(3, kind), one), "", { value })
      is(f(none, b), "0x3", {})
      is(f(none, one), "0x3", {})
      local c = a:clone()
      assert(g(c, b) == c)
      is(c, "2x3", { value, value, value, value, value, value })
      assert(g(none:clone(), one):count() == 0)
      raises(name .. ": shapes 2x3 and 2 do not match", f, a, dynamo.zeros(2, kind))
      raises("do not match", g, b:clone(), a)
      raises(name .. ": " .. kind .. " and", f, a, dynamo.zeros(2, 3, kind == "float" and "double" or "float"))
    end
    is(2 ^ a - a / 1 + -a * 2, "2x3", { -1, -1, -1, -1, -1, -1 })
  end)
end)

test("a shape or type error of any operation of two tensors names it and both shapes", function()
  local a, b, c = core.zeros(2, 3), core.zeros(4), core.zeros(2, 3, "double")
  for name in ("add sub mul div pow maximum minimum lt le eq ne gt ge"):gmatch "%S+" do
    for _, form in ipairs { "", "_" } do
      raises(("%s: shapes 2x3 and 4 do not match"):format(name), a[name .. form], a, b)
      raises(("%s: float and double do not mix"):format(name), a[name .. form], a, c)
    end
  end
  raises("matmul: shapes 2x3 and 4", core.matmul, a, b)
  raises("2x3", core.matmul, a, a)
  raises("matmul: float and double", core.matmul, a, c:t())
  raises("solve: ", core.solve, core.eye(3), b)
  raises("copy_: shapes 2x3 and 4 do not match", a.copy_, a, b)
  raises("cat: shapes 2x3 and 4 do not match", core.cat, { a, b })
  raises("cat: float and double do not mix", core.cat, { a, c })
  raises("where: ", core.where, a, b, 0)
  raises("gather: positions", a.gather, a, 1, b)
  raises("scatter_add_: ", a.scatter_add_, a, 1, core.full(1, 2, 3), b)
  raises("masked_select: mask 4 does not fit 2x3", a.masked_select, a, b)
  raises("index_add_: shapes 2x3 and 4 do not match", a.index_add_, a, { 1, 2, 1, 2 }, b)
  raises("index_add_: float and double", a.index_add_, a, { 1, 2 }, c)
  local s = core.sparse(2, 3, {}, {})
  raises("sparse 2 x 3 times 4", s.matmul, s, b)
end)

local unary = { neg = -0.25, abs = 0.25, sign = 1, square = 0.0625, sqrt = 0.5, exp = 1.2840254166877414,
  expm1 = 0.2840254166877414, log = -1.3862943611198906, log1p = 0.22314355131420976, tanh = 0.24491866240370913,
  sigmoid = 0.5621765008857981, relu = 0.25, gelu = 0.14967658031415544, softplus = 0.8259394198788299,
  sin = 0.24740395925452294, cos = 0.9689124217106447, floor = 0, round = 0, reciprocal = 4, isnan = 0 }

test("one operand: every function, in place too, on nothing and on scalars", function()
  each(function(kind)
    for name, value in pairs(unary) do
      local x = dynamo.full(0.25, 2, kind)
      is(x[name](x), "2", { value, value }, 1e-6)
      assert(x[name .. "_"](x) == x)
      is(x, "2", { value, value }, 1e-6)
      is(dynamo.tensor(0.25, kind)[name](dynamo.tensor(0.25, kind)), "", { value }, 1e-6)
      assert(x[name](dynamo.zeros(0, 2, kind)):count() == 0 and x[name .. "_"](dynamo.zeros(0, kind)):count() == 0)
    end
    local x = dynamo.tensor({ -2, 0.5, 3 }, kind)
    is(x:clone():clamp_(-1, 1), "3", { -1, 0.5, 1 })
    is(x:clone():masked_fill_(x:lt(0), 7), "3", { 7, 0.5, 3 })
    local strided = dynamo.range(1, 6, 1, kind):reshape(2, 3):t()
    strided:select(2, 1):neg_()
    is(strided, "3x2", { -1, 4, -2, 5, -3, 6 })
    is(dynamo.zeros(3, 2, kind):index_add_({ 3, 1, 3 }, dynamo.full(1, 3, 2, kind)), "3x2", { 1, 1, 0, 0, 2, 2 })
    raises("a strided view", x.index_add_, strided, { 1 }, dynamo.zeros(1, 2, kind))
    raises("no bound", x.clamp_, x)
  end)
  for name in pairs(core.zeros(1).exp and unary) do assert(core.zeros(1)[name .. "_"], name) end
  -- the names, so that each occurs: neg_ abs_ sign_ square_ sqrt_ exp_ expm1_ log_ log1p_ tanh_ sigmoid_ relu_ gelu_ softplus_
  -- sin_ cos_ floor_ round_ reciprocal_ isnan_
end)

test("reductions over all elements and over each axis", function()
  each(function(kind)
    local t = dynamo.tensor({ { 1, 4 }, { 3, 2 }, { 2, 9 } }, kind)
    is(t:sum(1), "2", { 6, 15 })
    is(t:mean(2), "3", { 2.5, 2.5, 5.5 })
    is(t:var(1), "2", { 1, 13 })
    is(t:std(-1), "3", { math.sqrt(4.5), math.sqrt(0.5), math.sqrt(24.5) })
    is(t:norm(1), "2", { math.sqrt(14), math.sqrt(101) })
    is(t:prod(1), "2", { 6, 72 })
    is(t:logsumexp(), "", { 9.0107743 }, 1e-4)
    is(t:median(1), "2", { 2, 4 })
    is(t:quantile(0.25, 1), "2", { 1.5, 3 })
    is(t:cumsum(1), "3x2", { 1, 4, 4, 6, 6, 15 })
    local value, at = t:max(1)
    is(value, "2", { 3, 9 }) is(at, "2", { 2, 3 })
    value, at = t:min(2)
    is(value, "3", { 1, 2, 2 }) is(at, "3", { 1, 2, 1 })
    is(t:argmax(), "", { 6 }) is(t:argmin(1), "2", { 1, 2 })
  end)
end)

test("sums of float are added in double", function()
  local t = dynamo.full(0.1, 1000000)
  near(t:sum():item(), 100000.00149, 1e-7)
  near(t:cumsum():get(-1), 100000.00149, 1e-7)
  near(t:reshape(1000, 1000):mean(1):get(1), 0.1, 1e-8)
end)

test("order, choice, joining", function()
  each(function(kind)
    local t = dynamo.tensor({ { 3, 1, 2 }, { 6, 5, 4 } }, kind)
    local v, at = t:sort(2, true)
    is(v, "2x3", { 3, 2, 1, 6, 5, 4 }) is(at, "2x3", { 1, 3, 2, 1, 2, 3 })
    assert(table.concat(t:select(1, 1):argsort(), " "):gsub("%.0", "") == "2 3 1")
    is((t:topk(2)), "2x2", { 3, 2, 6, 5 })
    is((dynamo.tensor({ 2, 1, 2 }, kind):unique()), "2", { 1, 2 })
    is(t:gather(2, dynamo.tensor { { 1 }, { 3 } }), "2x1", { 3, 4 })
    is(t:index(2, { 3, 3 }), "2x2", { 2, 2, 4, 4 })
    is(t:index(1, {}), "0x3", {})
    is(dynamo.zeros(2, 3, kind):scatter_add_(2, dynamo.tensor { { 2 }, { 2 } }, t:narrow(2, 1, 1)), "2x3", { 0, 3, 0, 0, 6, 0 })
    is(dynamo.cat({ t, t:rows(1, 0), t }, 1):sum(2), "4", { 6, 15, 6, 15 })
    is(dynamo.stack({ t, t }, 1):sum(1):select(1, 1), "3", { 6, 2, 4 })
    is(dynamo.arrays.split(t, 2, 2)[2], "2x1", { 2, 4 })
    is(dynamo.pad(t, 2, 1, 0):select(1, 1), "4", { 0, 3, 1, 2 })
    is(dynamo.where(t:gt(2), t, 0):masked_select(t:gt(2)), "4", { 3, 6, 5, 4 })
    is(t:masked_fill(t:ge(4), -1):nonzero():select(2, 1), "6", { 1, 1, 1, 2, 2, 2 })
  end)
end)

test("products: matrices, vectors, batches, einsum", function()
  each(function(kind)
    local a, b = dynamo.range(1, 6, 1, kind):reshape(2, 3), dynamo.range(1, 3, 1, kind)
    is(a:matmul(b), "2", { 14, 32 })
    is(a:matmul(a:t()), "2x2", { 14, 32, 32, 77 })
    local batch = dynamo.stack { a, a * 2 }
    is(batch:matmul(batch:swap(2, 3)):select(3, 1), "2x2", { 14, 32, 56, 128 })
    is(dynamo.outer(b, b):diagonal(), "3", { 1, 4, 9 })
    for pattern, size in pairs { ["ij,kj->ik"] = "2x2", ["ij,kl->ijkl"] = "2x3x2x3", ["ij,ij->j"] = "3", ["ij,ij->"] = "" } do
      assert(shape(dynamo.einsum(pattern, a, a)) == size)
    end
    assert(shape(dynamo.matmul(dynamo.zeros(2, 0, 3, kind), dynamo.zeros(2, 3, 4, kind))) == "2x0x4")
  end)
end)

test("decompositions: of matrices, of batches, of batches of nothing", function()
  each(function(kind)
    local tol = kind == "double" and 1e-12 or 2e-5
    local x = dynamo.randn(1, 2, 5, 3, kind)
    local a = x:swap(2, 3):matmul(x) + dynamo.eye(3, kind)
    local function same(u, v) near((u - v):abs():max():item(), 0, tol) end
    same(a:matmul(dynamo.solve(a, x:swap(2, 3))), x:swap(2, 3))
    same(dynamo.solve(a, a:select(3, 1)), dynamo.stack { dynamo.tensor({ 1, 0, 0 }, kind), dynamo.tensor({ 1, 0, 0 }, kind) })
    same(a:matmul(dynamo.inverse(a)), dynamo.stack { dynamo.eye(3, kind), dynamo.eye(3, kind) })
    local l = dynamo.cholesky(a)
    same(l:matmul(l:swap(2, 3)), a)
    same(dynamo.logdet(a), l:permute(2, 3, 1):reshape(3, 3, 2):select(1, 1):select(1, 1):log() * 2
      + l:select(2, 2):select(2, 2):log() * 2 + l:select(2, 3):select(2, 3):log() * 2)
    local w, v = dynamo.eigh(a)
    same(a:matmul(v), v * w:unsqueeze(2))
    local q, r = dynamo.qr(x)
    same(q:matmul(r), x)
    local u, s, vt = dynamo.svd(x)
    same((u * s:unsqueeze(2)):matmul(vt:swap(2, 3)), x)
    assert(shape(w) == "2x3" and shape(s) == "2x3")
    local none = a:narrow(1, 1, 0)
    w, v = dynamo.eigh(none)
    assert(shape(w) == "0x3" and shape(v) == "0x3x3" and shape(dynamo.solve(none, x:narrow(1, 1, 0):swap(2, 3))) == "0x3x5")
    assert(shape(dynamo.logdet(none)) == "0" and shape((dynamo.qr(x:narrow(1, 1, 0)))) == "0x5x3")
    same(dynamo.pinv(x:select(1, 1)):matmul(x:select(1, 1)), dynamo.eye(3, kind))
    same((dynamo.lstsq(x:select(1, 1), x:select(1, 1))), dynamo.eye(3, kind))
    same(dynamo.batched(dynamo.expm, a * 0):select(1, 2), dynamo.eye(3, kind))
    local _, values = dynamo.svd_lowrank(x:select(1, 2), 2)
    same(values, s:select(1, 2):narrow(1, 1, 2))
    local re, im = dynamo.eigvals(a:select(1, 1))
    same(re:sorted(), (dynamo.eigh(a:select(1, 1))))
    assert(im:abs():max():item() == 0 and select("#", dynamo.eig(a:select(1, 1))) == 4)
    for _, name in ipairs { "qr", "svd", "eigh", "cholesky", "inverse" } do
      assert((dynamo[name](dynamo.zeros(0, 0, kind))):count() == 0)
    end
    assert(dynamo.logdet(dynamo.zeros(0, 0, kind)):item() == 0 and dynamo.solve(dynamo.zeros(0, 0, kind), dynamo.zeros(0, kind)):count() == 0)
    raises("not positive definite", dynamo.cholesky, dynamo.stack { dynamo.eye(2, kind), -dynamo.eye(2, kind) })
    raises("a matrix or a batch of them is expected, got 3", dynamo.eigh, dynamo.zeros(3, kind))
  end)
end)

test("sparse matrices: both compressed forms, products, slices, statistics, the largest", function()
  local s = dynamo.sparse(3, 4, { 1, 1, 2, 3 }, { 1, 4, 2, 4 }, { 1, 2, -3, 4 })
  is(s:matmul(dynamo.eye(4)), "3x4", { 1, 0, 0, 2, 0, -3, 0, 0, 0, 0, 0, 4 })
  is(s:tmatmul(dynamo.full(1, 3, 1)), "4x1", { 1, -3, 0, 6 })
  is(s:t():dense():t(), "3x4", { 1, 0, 0, 2, 0, -3, 0, 0, 0, 0, 0, 4 })
  is(s:narrow(2, -1):dense(), "3x1", { 2, 0, 4 })
  is(s:rows({ 3, 1 }):cols({ 4, 1 }):dense(), "2x2", { 4, 0, 2, 1 })
  is(s:mean(1), "4", { 1 / 3, -1, 0, 2 })
  is(s:var(2), "3", { 0.9166667, 2.25, 4 })
  is(s:max(2), "3", { 2, 0, 4 }) is(s:min(1), "4", { 0, -3, 0, 0 }) is(s:count(2), "3", { 2, 1, 1 })
  is(s:topk(1):row_sums(), "3", { 2, -3, 4 })
  local start, cols, values = s:csr()
  is(dynamo.sparse_csr(3, 4, start, cols, values):dense():sum(), "", { 4 })
  start, cols, values = s:csc()
  is(dynamo.sparse_csc(3, 4, start, cols, values):dense():select(2, 4), "3", { 2, 0, 4 })
end)

test("tensors are written to .npy and .npz and read from them", function()
  local base = os.tmpname()
  os.remove(base)
  each(function(kind)
    local t = dynamo.randn(1, 2, 3, kind)
    for _, x in ipairs { t, t:t(), dynamo.zeros(0, 3, kind), dynamo.tensor(4, kind) } do
      assert(x:save(base .. ".npy") == x)
      local back = dynamo.tensor(base .. ".npy")
      assert(back:type() == kind and shape(back) == shape(x))
      if x:count() > 0 then assert((back - x):abs():max():item() == 0) end
    end
    assert(dynamo.tensor(base .. ".npy", "double"):type() == "double")
    t:save(base .. ".npz")
    assert((dynamo.tensor(base .. ".npz").arr_0 - t):abs():max():item() == 0)
    assert(dynamo.tensor(base .. ".npz", "double", "arr_0"):type() == "double")
  end)
  dynamo.write(base .. ".npz", { w = dynamo.eye(2), names = { "a", "b" } })
  local all = dynamo.tensor(base .. ".npz", "double")
  assert(all.w:type() == "double" and all.names[2] == "b")
  raises("there is no array 'v'; did you mean 'w'?", dynamo.tensor, base .. ".npz", nil, "v")
  raises("array 'names' holds text", dynamo.tensor, base .. ".npz", nil, "names")
  raises("ends in .npy or .npz", dynamo.zeros(1).save, dynamo.zeros(1), base .. ".txt")
  raises("EIO", function()
    local ok, e = pcall(dynamo.zeros(1).save, dynamo.zeros(1), "/nowhere/x.npy")
    error(ok and "written" or e.code, 0)
  end)
  os.remove(base .. ".npy") os.remove(base .. ".npz")
end)

-- ---- NaN ------------------------------------------------------------------------------------------

-- what only looks, moves or names elements, or says itself what it does with NaN
local moves = {}
for name in ("clone close copy_ count diagonal expand fill_ get index item narrow permute reshape rows save select set size "
  .. "squeeze swap t to totable type unsqueeze"):gmatch "%S+" do moves["Tensor:" .. name] = true end

test("the policy for NaN is stated for every operation of tensors", function()
  for name, d in pairs(meta.declared()) do
    if name:match "^Tensor:" then
      assert((d.nan ~= nil) ~= (moves[name] == true), name .. (d.nan and " moves elements" or " does not say what becomes of NaN"))
    end
  end
  assert(meta.entries()["Tensor:sort"].doc:find "NaN: sorts last")
end)

test("and it is what happens", function()
  each(function(kind)
    local t = core.tensor({ 1, 0 / 0, 3 }, kind)
    local function nan(v) return v ~= v end
    for name, d in pairs(meta.declared()) do
      local method = d.nan and name:match "^Tensor:([%w]+)$"
      if method and method ~= "matmul" and d.nan:match "^propagates to the elements" then
        local r = t[method](t, pairs_of_two[method] and t or nil)
        assert(nan(r:get(2)) and not nan(r:get(1)), name)
      elseif method and d.nan:match "^propagates to the line" then
        local args = method == "quantile" and { 0.5 } or {}
        assert(nan((t[method](t, args[1])):item()), name)
      elseif method and d.nan:match "^compares" then
        assert(t[method](t, t):get(2) == 0, name)
      end
    end
    assert(nan(core.matmul(t:unsqueeze(1), t):item()) and t:ne(t):get(2) == 1 and t:isnan():sum():item() == 1 and nan(t:sort():get(3)) and t:sort(1, true):get(1) == 3)
    assert(t:argmax():item() == 2 and nan(t:cumsum():get(3)) and t:cumsum():get(1) == 1 and nan(t:clamp(0, 1):get(2)))
  end)
end)
