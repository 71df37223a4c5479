-- A method of one's own in twenty lines: an operation with its derivative, checked, and a model that is trained with it.
-- Claim: the gradient is right to 1e-7, and a small network fits a curve with it.
local dynamo = require "dynamo"
local core, grad, layers = require "dynamo.core", require "dynamo.grad", require "dynamo.layers"

-- The Huber loss: square near 0, linear beyond 1.
local huber = grad.op { name = "huber",
  forward = function(x) return dynamo.where(x:abs():lt(1), x:square() * 0.5, x:abs() - 0.5) end,
  backward = function(g, _, x) return g * x:clamp(-1, 1) end }

local worst = grad.gradcheck(function(x) return huber(x):sum() end, core.randn(1, 6, 4, "double") * 2)
print(("huber: worst difference %.1e"):format(worst))
assert(worst < 1e-7)

local x = dynamo.linspace(-1, 1, 64):reshape(-1, 1)
local y = (x * 3):sin()
local p = core.params { { "w1", 1, 32 }, { "b1", 32 }, { "w2", 32, 1 }, { "b2", 1 } }
local start = layers.init.mlp(1, { 1, 32, 1 })
for i = 1, 2 do p:view("w" .. i):copy_(start[i].w) end
local optimiser = core.adamw(p, { lr = 1e-2, decay = 0 })
local loss = grad.value_and_grad(function(q)
  return huber(layers.mlp(x, { { w = q.w1, b = q.b1 }, { w = q.w2, b = q.b2 } }, { activation = "tanh" }) - y):mean()
end)
local first, last
for _ = 1, 300 do
  local value, g = loss { w1 = p:view "w1", b1 = p:view "b1", w2 = p:view "w2", b2 = p:view "b2" }
  for _, name in ipairs(p:names()) do p:grad(name):copy_(g[name]) end
  optimiser:step()
  first, last = first or value, value
end
print(("loss %.4f at the start, %.5f after 300 steps"):format(first, last))
assert(last < first / 20)
