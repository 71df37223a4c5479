-- What no other spec calls: every element-wise function against Lua's own arithmetic, the machine, files.
local core = require "dynamo.core"

local X = { -1.5, -0.25, 0.5, 2 }

local function erf(x) -- Abramowitz and Stegun, Handbook, 7.1.5: the series
  local sum, term = 0, x
  for n = 0, 60 do
    sum = sum + term / (2 * n + 1)
    term = -term * x * x / (n + 1)
  end
  return 2 / math.sqrt(math.pi) * sum
end

local unary = {
  neg = function(x) return -x end, abs = math.abs, sign = function(x) return x < 0 and -1 or x > 0 and 1 or 0 end,
  square = function(x) return x * x end, exp = math.exp, expm1 = function(x) return math.exp(x) - 1 end,
  tanh = function(x) return (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1) end,
  sigmoid = function(x) return 1 / (1 + math.exp(-x)) end, relu = function(x) return math.max(x, 0) end,
  gelu = function(x) return x * 0.5 * (1 + erf(x / math.sqrt(2))) end,
  softplus = function(x) return math.log(1 + math.exp(x)) end, sin = math.sin, cos = math.cos, floor = math.floor,
  round = function(x) return x < 0 and math.ceil(x - 0.5) or math.floor(x + 0.5) end,
  reciprocal = function(x) return 1 / x end, isnan = function() return 0 end,
}
local positive = { sqrt = math.sqrt, log = math.log, log1p = function(x) return math.log(1 + x) end }

test("element-wise functions of one operand", function()
  local x, y = core.tensor(X, "double"), core.tensor({ 0.25, 1, 3, 100 }, "double")
  for name, f in pairs(unary) do
    local r = x[name](x)
    for i = 1, 4 do if X[i] ~= 0.5 or name ~= "round" then near(r:get(i), f(X[i]), 1e-12) end end
  end
  for name, f in pairs(positive) do
    for i = 1, 4 do near(y[name](y):get(i), f(y:get(i)), 1e-12) end
  end
  local odd = core.tensor { 0 / 0, 1, 1 / 0 }
  assert(odd:isnan():get(1) == 1 and odd:isnan():get(3) == 0)
end)

local function truth(b) return b and 1 or 0 end
local binary = {
  add = function(a, b) return a + b end, sub = function(a, b) return a - b end, mul = function(a, b) return a * b end,
  div = function(a, b) return a / b end, pow = function(a, b) return a ^ b end, maximum = math.max, minimum = math.min,
  lt = function(a, b) return truth(a < b) end, le = function(a, b) return truth(a <= b) end,
  eq = function(a, b) return truth(a == b) end, ne = function(a, b) return truth(a ~= b) end,
  gt = function(a, b) return truth(a > b) end, ge = function(a, b) return truth(a >= b) end,
}

test("element-wise functions of two operands, also in place", function()
  local a, b = { 1, 2, 3 }, { 3, 2, 0.5 }
  local names = { "add_", "sub_", "mul_", "div_", "pow_", "maximum_", "minimum_", "lt_", "le_", "eq_", "ne_", "gt_",
    "ge_" }
  for _, in_place in ipairs(names) do
    local name = in_place:sub(1, -2)
    local t, u = core.tensor(a, "double"), core.tensor(b, "double")
    local r, s = t[name](t, u), t[name](t, 2)
    for i = 1, 3 do
      near(r:get(i), binary[name](a[i], b[i]), 1e-14)
      near(s:get(i), binary[name](a[i], 2), 1e-14)
      assert(t:get(i) == a[i])
    end
    assert(t[in_place](t, u) == t)
    for i = 1, 3 do near(t:get(i), r:get(i), 0) end
  end
end)

test("functions of variables have the values of those of tensors", function()
  local tape = core.tape()
  local x = tape:leaf(core.tensor({ 0.5, 2 }, "double"), true)
  for _, name in ipairs { "neg", "sigmoid", "softplus" } do
    near(x[name](x):value():get(2), unary[name](2), 1e-12)
  end
  near(x:pow(3):value():get(2), 8)
  near(x:mul(x):value():get(2), 4)
  tape:close()
end)

test("uniform numbers, eigenvalues, sparse products", function()
  local r = core.rand(3, 1000)
  assert(r:min():item() >= 0 and r:max():item() < 1 and core.is_tensor(r) and not core.is_tensor {})
  near(r:mean():item(), 0.5, 0.05)
  assert((core.rand(3, 1000) - r):abs():max():item() == 0)
  local re, im = core.eigvals(core.tensor({ { 0, -2 }, { 2, 0 } }, "double"))
  near(re:get(1), 0)
  near(math.abs(im:get(1)), 2)
  local s = core.sparse(2, 3, { 1, 1, 2 }, { 1, 3, 2 }, { 1, 2, 4 })
  local y = s:tmatmul(core.tensor({ { 10 }, { 1 } }, "double")):reshape(-1)
  assert(y:get(1) == 10 and y:get(2) == 4 and y:get(3) == 20)
  local half = s:scale_rows(core.tensor { 0.5, 2 })
  assert(half:get(1, 3) == 1 and half:get(2, 2) == 8)
  local d = core.distance_rows(core.tensor { { 0, 0 }, { 3, 4 } }, core.tensor { { 0, 0 } })
  near(d:get(2, 1), 5)
  near(core.distance_rows(core.tensor { { 3, 4 } }, core.tensor { { 0, 0 } }, { exclude = { { 1 } } }):get(1, 1), 4)
end)

test("what embeddings are made of", function()
  local s = core.sparse(2, 2, { 1, 2 }, { 1, 2 }, { 3, 1 })
  local us, sigma = core.sparse_svd(s, 2)
  near(sigma:get(1), 3, 1e-6)
  near(math.abs(us:get(1, 1)), 3, 1e-6)
  near(core.sparse_cosine(s, { 1, 2 }, { 1 }):get(1, 1), 1)
  near(core.sparse_cosine(s, { 1, 2 }, { 1 }):get(2, 1), 0)
  local v = core.random_vectors({ "A", "B" }, 4, 1)
  assert(v:size(1) == 2 and (core.random_vectors({ "B" }, 4, 1) - v:rows(2)):abs():max():item() == 0)
end)

test("a table is read as a network", function()
  local path = os.tmpname()
  core.write_file(path, "source,target,weight\nA,B,1\nB,C,-1\n")
  local g = core.read_graph(path)
  assert(core.is_graph(g) and not core.is_graph(path) and g:nodes() == 3 and g:edges() == 2 and g:signed())
  os.remove(path)
end)

test("the machine and its terminals", function()
  assert(core.version:match "^%d+%.%d+%.%d+$" and core.blas():find "OpenBLAS")
  assert(core.live() >= 0 and core.max_rss() > 1e6 and core.term_width() >= 20)
  assert(core.isatty(0) == true or core.isatty(0) == false)
  raises("at least 1 MiB expected", core.max_memory, 5)
  raises("1..4096 threads expected", core.threads, 0)
  local ok, e = pcall(core.read_graph, "/no/such/file")
  assert(not ok and getmetatable(e) == core.Error and e.code == "EIO")
end)

test("folders and files", function()
  local folder = os.tmpname()
  os.remove(folder)
  core.mkdir(folder .. "/a/b")
  core.mkdir(folder .. "/a/b")
  core.write_file(folder .. "/a/y", "1")
  core.write_file(folder .. "/a/x", "23")
  assert(table.concat(core.listdir(folder .. "/a"), " ") == "b x y")
  assert(core.stat(folder .. "/a/x").size == 2 and core.stat(folder).type == "directory")
  core.rename(folder .. "/a/x", folder .. "/a/z")
  assert(table.concat(core.listdir(folder .. "/a"), " ") == "b y z" and core.stat(folder .. "/a/x") == nil)
  for _, name in ipairs { "/a/z", "/a/y", "/a/y", "/a/b", "/a", "" } do core.remove(folder .. name) end
  assert(core.stat(folder) == nil)
  raises("cannot be read", core.listdir, folder)
  raises("cannot be written", core.write_file, folder .. "/x", "1")
  raises("cannot be renamed", core.rename, folder .. "/x", folder .. "/y")
end)

-- ---- the response model under dynamo.model --------------------------------------------------------

local function spec(more)
  local s = { head = "operator", form = "affine", how = "symmetric", dim = 3, hidden = 4, depth = 1, latent = 2, rank = 1,
    own = 0, genes = 0 }
  for k, v in pairs(more or {}) do s[k] = v end
  return s
end

test("layout, start, loss, prediction and operator of a response model", function()
  local s = spec()
  local layout = core.response_layout(s)
  assert(layout[1][1] == "trunk.w" and layout[1][2] == 3 and layout[1][3] == 4)
  local p = core.params(layout, "double")
  core.response_init(p, s, 1)
  local q = { features = core.randn(1, 4, 3, "double"), genes = { { 1 }, { 2, 3 } } }
  assert(core.response_predict(p, s, q):abs():max():item() == 0)
  p:flat():add_(core.randn(2, p:count(), "double"):mul_(0.3))
  local loss = core.response_loss(p, s, q, { target = core.zeros(2, 2, "double") })
  near(loss, core.response_predict(p, s, q):square():mean():item(), 1e-14)
  assert(p:grad():norm():item() > 0)
  local u, v, b = core.response_operator(p, s, q, 1)
  assert(u:size(1) == 2 and v:size(2) == 1)
  near((b - core.response_predict(p, s, q):select(1, 1)):abs():max():item(), 0, 1e-14)
  local lesson = { target = core.zeros(2, 2, "double"), precision = "half" }
  raises("half", function() core.response_loss(p, s, q, lesson) end) -- no such word
  lesson.precision = "bf16"
  local ok, message = pcall(core.response_loss, p, s, q, lesson)
  assert(ok == core.bf16() and (ok or tostring(message):find("AVX512-BF16", 1, true)))
  assert(core.response_width(spec { hidden = 100 }) > core.response_width(spec { hidden = 10 }))
end)

test("hostile questions to a response model are errors", function()
  local s = spec()
  local p = core.params(core.response_layout(s), "double")
  local function ask(q)
    q.features = q.features or core.randn(1, 4, 3, "double")
    return core.response_predict(p, s, q)
  end
  raises("no rows", ask, { genes = {} })
  raises("row 1 perturbs nothing", ask, { genes = { {} } })
  raises("gene 0 outside 1..4", ask, { genes = { { 5 - 5 } } })
  raises("outside 1..4", ask, { genes = { { 5 } } })
  raises("outside 1..4", ask, { genes = { { "x" } } })
  raises("outside 1..4", ask, { genes = { { 1e300 } } })
  raises("features must be a matrix with 3 columns", ask, { genes = { { 1 } }, features = core.zeros(4, 2, "double") })
  raises("one state of 2 numbers per row", ask, { genes = { { 1 } }, state = core.zeros(2, 2, "double") })
  raises("mix", ask, { genes = { { 1 } }, state = core.zeros(1, 2) })
  raises("rank 3 over latent 2", core.response_layout, spec { rank = 3 })
  raises("hidden layers", core.response_layout, spec { depth = 9 })
  raises("sizes must be positive", core.response_layout, spec { dim = -1 })
  raises("bad argument", core.response_layout, spec { head = "tail" })
end)
