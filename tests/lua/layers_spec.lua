-- Gradients of every layer and of operations written in Lua, against central differences; products with Jacobians.
local core = require "dynamo.core"
local grad = require "dynamo.grad"
local A = require "dynamo.arrays"
local L = require "dynamo.layers"

local x = core.randn(1, 4, 3, "double")
local target = core.randn(2, 4, 2, "double")

local function check(f, p, tol) assert(grad.gradcheck(f, p) < (tol or 1e-7)) end

local layers = {
  linear = { function(p) return L.linear(p.x, p.l, "tanh"):mse(target) end, { x = x, l = L.init.linear(3, 3, 2, "double") } },
  mlp = { function(p) return L.mlp(p.x, p.net, { activation = "gelu", dropout = 0.3 }):mse(target) end,
    { x = x, net = L.init.mlp(3, { 3, 5, 2 }, "double") } },
  embedding = { function(p) return (L.embedding(p.e, { 2, 1, 2, 4 }) * x):sum() end, { e = x } },
  layer_norm = { function(p) return (L.layer_norm(p.x, p.n) * x):sum() end, { x = x, n = L.init.norm(3, "double") } },
  batch_norm = { function(p) return (L.batch_norm(p.x, p.n) * x):sum() end, { x = x, n = L.init.norm(3, "double") } },
  dropout = { function(p) return L.dropout(p.x, 0.5, 7):square():sum() end, { x = x } },
  graph_conv = { function(p)
    return L.graph_conv(L.propagation(core.sparse(4, 4, { 1, 2, 3 }, { 2, 1, 3 }), "double"), p.x, p.l, "sigmoid"):mse(target)
  end, { x = x, l = L.init.linear(3, 3, 2, "double") } },
}

test("every layer has the gradient of central differences", function()
  for name, f in pairs(L) do
    if type(f) == "function" and name ~= "propagation" then
      assert(layers[name], name .. " has no case")
      check(layers[name][1], layers[name][2])
    end
  end
end)

test("layers do what their papers say", function()
  local tape = core.tape()
  local v = tape:leaf(x)
  local y = L.layer_norm(v, {}):value()
  near(y:mean(2):abs():max():item(), 0, 1e-12)
  near(y:square():mean(2):get(1), 1, 1e-3)
  local z, stats = L.batch_norm(v, {})
  near(z:value():mean(1):abs():max():item(), 0, 1e-12)
  local again = L.batch_norm(v, {}, nil, stats)
  near((again:value() - z:value()):abs():max():item(), 0, 1e-12)
  local e = L.embedding(v, { 1, 3 }, 0.5):value():norm(2)
  near(e:max():item(), 0.5, 1e-12)
  local s = L.propagation(core.tensor({ { 0, 1 }, { 1, 0 } }, "double"))
  near(s:get(1, 2), 0.5, 1e-12)
  raises("linear: a variable is expected", L.linear, x, {})
  raises("mlp: there are no layers", L.mlp, v, {})
  raises("max_norm is 0", L.embedding, v, { 1 }, 0)
  raises("dropot", L.mlp, v, {}, { dropot = 1 })
  tape:close()
end)

test("functions of arrays have gradients", function()
  check(function(p) return A.expm(p):square():sum() end, core.randn(3, 3, 3, "double"))
  check(function(p) return A.einsum("ij,kj,il->kl", p.a, p.b, p.a):square():sum() end,
    { a = x, b = core.randn(4, 2, 3, "double") })
  check(function(p) return (A.stack({ p.a, p.b }, 2) * A.outer(p.a, p.b):sum()):square():sum() end,
    { a = core.randn(5, 3, "double"), b = core.randn(6, 3, "double") })
  check(function(p) return A.split(p, 2)[2]:square():sum() end, x)
  check(function(p) return core.where(x:gt(0), p, p * 3):square():sum() end, x)
  check(function(p)
    local _, at = p:value():sort(1)
    return (p:gather(1, at) * x):sum()
  end, x)
  check(function(p)
    return p:permute(2, 1):cumsum():sin():sum() + p:cos():sum() + p:expm1():logsumexp() + p:minimum(0.3):sum()
      + p:reshape(1, 4, 3):expand(2, -1, 3):square():sum()
  end, x)
end)

local cube = grad.op { name = "cube", forward = function(a) return a * a * a end,
  backward = function(g, _, a) return g * a * a * 3 end }
local product = grad.op { forward = function(a, b, k) return a * b * k end,
  backward = function(g, _, a, b, k) return g * b * k, g * a * k end }

test("an operation of one's own, with its derivative", function()
  check(function(p) return cube(p:sin()):sum() end, x)
  check(function(p) return product(p.a, cube(p.b), 2):square():sum() end, { a = x * 0.5, b = x * 0.5 })
  check(function(p) return product(p, x, 2):sum() end, x)
  near((cube(x) - x * x * x):abs():max():item(), 0)
  local wrong = grad.op { forward = function(a) return a * 2 end, backward = function(g) return g:sum() end }
  raises("backward: gradient scalar double for operand 1, which is 4x3 double", grad.grad(function(p) return wrong(p):sum() end), x)
  raises("works in a function given to", function()
    local tape = core.tape()
    local ok, e = pcall(cube, tape:leaf(x, true))
    tape:close()
    assert(ok, e)
  end)
  raises("'forward' and 'backward'", grad.op, {})
  raises("forward gave a nil", grad.op { name = "f", forward = function() end, backward = function() end }, x)
  raises("stop here", grad.grad(function(p)
    return grad.op { forward = function(a) return a end, backward = function() error "stop here" end }(p):sum()
  end), x)
  local tape = core.tape()
  local v = tape:leaf(x, true)
  raises("no rule for entry 2", function() v:custom(x, { v }):sum():backward() end)
  local y, entry = v:custom(x, { v })
  raises("the tape was closed", function() y:sum():backward { [entry] = function() tape:close() end } end)
end)

test("checkpointed segments give the same gradient", function()
  local net = L.init.mlp(3, { 3, 5, 2 }, "double")
  local function segment(v, w, b) return v:linear(w, b, "tanh", 0.2, 5) end
  local function plain(p) return segment(cube(p.x), p.w, p.b):square():sum() end
  local function saved(p) return grad.checkpoint(function(v, w, b) return segment(cube(v), w, b) end, p.x, p.w, p.b):square():sum() end
  local p = { x = x, w = net[1].w, b = net[1].b }
  local a, ga = grad.value_and_grad(plain)(p)
  local b, gb = grad.value_and_grad(saved)(p)
  near(a, b, 0)
  for k in pairs(p) do near((ga[k] - gb[k]):abs():max():item(), 0, 1e-14) end
  check(saved, p)
end)

test("products with the Jacobian from both sides, and its transpose", function()
  local function f(p) return (p.a * p.b):sin():sum(2) end
  local p = { a = x, b = x * 0.5 + 1 }
  local d, u = { a = core.randn(8, 4, 3, "double"), b = core.randn(9, 4, 3, "double") }, core.randn(7, 4, "double")
  local value, ju = grad.vjp(f, p, u)
  local _, jd = grad.jvp(f, p, d)
  near((value - ((p.a * p.b):sin():sum(2))):abs():max():item(), 0, 1e-14)
  near((jd * u):sum():item(), (ju.a * d.a):sum():item() + (ju.b * d.b):sum():item(), 1e-12)
  local h = 1e-6
  local function at(s) return ((p.a + d.a * s) * (p.b + d.b * s)):sin():sum(2) end
  near((((at(h) - at(-h)) / (2 * h)) - jd):abs():max():item(), 0, 1e-8)
  raises("backward: gradient 3 double for a value 4 double", grad.vjp, f, p, core.zeros(3, "double"))
end)
