local core = require "dynamo.core"

test("a tape with products in bfloat16", function()
  raises("unknown option", core.tape, { precison = "bf16" })
  raises("invalid option 'half'", core.tape, { precision = "half" })
  if not core.bf16() then return raises("AVX512-BF16", core.tape, { precision = "bf16" }) end
  local x, w, b = core.randn(1, 200, 150), core.randn(2, 150, 90), core.randn(3, 90)
  local function run(precision)
    local tape = core.tape { precision = precision }
    local vx, vw, vb = tape:leaf(x, true), tape:leaf(w, true), tape:leaf(b, true)
    vx:linear(vw, vb, "tanh"):mean():backward()
    local out = { vx:grad():clone(), vw:grad():clone(), vb:grad():clone() }
    tape:close()
    return out
  end
  local half, full = run "bf16", run "float"
  for k = 1, 3 do
    local far = (half[k] - full[k]):norm():item() / full[k]:norm():item()
    assert(far > 0 and far < 0.05, far)
  end
end)
local grad = require "dynamo.grad"

test("gradient of a small expression", function()
  local tape = core.tape()
  local x = tape:leaf(core.tensor { 1, 2 }, true)
  local w = tape:leaf(core.tensor { { 3, 4 }, { 5, 6 } }, true)
  local y = (w * x):sum():backward()
  assert(y:item() == 3 + 8 + 5 + 12)
  assert(x:grad():get(2) == 4 + 6) -- summed over the broadcast rows
  assert(w:grad():get(2, 1) == 1)
  assert(tostring(y) == "Var(sum, scalar, float)" and tostring(tape) == "Tape(4 entries)")
end)

test("numbers and tensors mix in as constants", function()
  local tape = core.tape()
  local x = tape:leaf(core.tensor({ 1, 2 }, "double"), true)
  local c = core.tensor({ 10, 20 }, "double")
  local y = (2 * x + c - x / 4 - (c - x) + 1 / x + (-x) ^ 2):sum():backward()
  near(x:grad():get(2), 2 - 1 / 4 + 1 - 1 / 4 + 4)
  assert(x:need() and not (x:detach()):need() and x:type() == "double" and y:need())
  raises("add: double and float do not mix", function() return x + core.tensor { 1, 2 } end)
end)

test("shapes, rows and sums", function()
  local tape = core.tape()
  local x = tape:leaf(core.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, "double"), true)
  assert(x:t():size(1) == 3 and x:swap(1, 2):reshape(-1):value():get(2) == 4)
  assert(x:narrow(2, 2, 3):value():get(2, 1) == 5 and x:rows(2):size(1) == 1)
  assert(x:rows { 2, 1, 2 }:value():get(3, 1) == 4)
  assert(x:scatter_rows({ 3, 3 }, 3):value():get(3, 2) == 7)
  assert(x:cat({ x, core.zeros(2, 1, "double") }, 2):size(2) == 7)
  assert(tape:cat { x, x }:size(1) == 4)
  assert(x:sum(1):value():get(3) == 9 and x:mean(2):value():get(2) == 5)
  assert(x:maximum(3):value():get(1, 1) == 3)
  raises("index out of range", x.narrow, x, 3, 1, 1)
  raises("index 1 is not an integer in 1..2", x.rows, x, { 7 })
  raises("2x3 does not have that many items", x.reshape, x, 4)
end)

test("layers: linear, matmul, dropout", function()
  local tape = core.tape()
  local x = tape:leaf(core.randn(1, 4, 3, "double"), true)
  local w, b = core.randn(2, 3, 5, "double"), core.randn(3, 5, "double")
  local y = x:linear(w, b, "tanh"):value()
  local z = (x:matmul(w) + b):tanh():value()
  near((y - z):norm():item(), 0)
  local d = x:linear(w, b, "relu", 0.5, 7)
  assert(d:value():sub(x:linear(w, b, "relu", 0.5, 7):value()):norm():item() == 0)
  near(x:dropout(0.25, 1):value():get(1, 1) % x:value():get(1, 1), 0, 1)
  raises("rate outside [0, 1)", x.dropout, x, 1, 1)
  raises("linear: x 4x3, w 5x3 and b 5 do not match", x.linear, x, w:t(), b)
  raises("none, relu, tanh", x.linear, x, w, b, "rellu")
  assert(core.is_var(w:t():matmul(x:t())))
end)

test("losses look at nothing that is masked", function()
  local nan = 0 / 0
  local p = { core.tensor({ { 1, 2, 3 }, { 4, 5, 7 } }, "double") }
  local t = core.tensor({ { 1, nan, 1 }, { 0, 1, 0 } }, "double")
  local m = core.tensor({ { 1, 0, 1 }, { 1, 1, 1 } }, "double")
  local w = core.tensor({ { 1 }, { 2 } }, "double")
  local v = grad.value_and_grad(function(q) return q[1]:mse(t, w, m) end)(p)
  near(v, (0 + 4 + 2 * (16 + 16 + 49)) / (2 + 6))
  for _, name in ipairs { "mse", "bce_logits", "row_pearson" } do
    local e = grad.gradcheck(function(q) return q[1][name](q[1], t, w, m) end, p)
    assert(e < 1e-8, name)
  end
  local x = grad.value_and_grad(function(q) return q:row_pearson(core.tensor({ 2, 4, 6 }, "double")) end)
  near(x(core.tensor({ { 1, 2, 3 } }, "double")), 0, 1e-7)
  raises("mse: prediction 2x3 and target 4 do not match", grad.grad(function(q) return q[1]:mse(core.zeros(4, "double")) end), p)
end)

test("grad follows nested tables and closes its tape", function()
  local p = { layer = { w = core.randn(1, 3, 2, "double"), b = core.zeros(2, "double") }, { core.randn(2, 4, 3, "double") } }
  local f = function(q, scale)
    return (q[1][1]:linear(q.layer.w, q.layer.b, "gelu"):log_softmax() * scale):square():mean()
  end
  local value, g = grad.value_and_grad(f)(p, 2)
  assert(value > 0 and g.layer.w:size(1) == 3 and g[1][1]:size(2) == 3)
  assert(grad.gradcheck(f, p, nil, 2) < 1e-7)
  local only = grad.grad(function(q) return q.a:exp():sum() end) { a = core.zeros(2), b = core.zeros(3) }
  assert(only.a:get(1) == 1 and only.b:sum():item() == 0)
  raises("backward: 2 is not a scalar", grad.grad(function(q) return q * 2 end), core.zeros(2))
  raises("a number, a variable is expected", grad.grad(function() return 2 end), core.zeros(2))
  raises("parameters.a.b is a string", grad.grad(f), { a = { b = "x" } })
end)

test("a value that changes under the tape is refused", function()
  local tape, t = core.tape(), core.tensor { 1, 2 }
  local x = tape:leaf(t, true)
  local y = x:exp():sum()
  t:add_(1)
  raises("leaf (entry 1, 2) was changed in place", y.backward, y)
end)

test("the operation that made the first NaN has a name", function()
  local tape = core.tape()
  local x = tape:leaf(core.tensor { { 1, -1 } }, true)
  x:abs()
  assert(tape:nonfinite() == nil and tape:len() == 2)
  x:sqrt():sum()
  local op, entry, shape = tape:nonfinite()
  assert(op == "sqrt" and entry == 3 and shape == "1x2")
end)

test("variables of different tapes do not mix, closed ones are refused", function()
  local s, t = core.tape(), core.tape()
  local a, b = s:leaf(1, true), t:leaf(2, true)
  raises("another tape", function() return a + b end)
  raises("value expected, got nil", function() return a + nil end)
  raises("backward: 1x2 is not a scalar", function() s:leaf(core.tensor { { 1, 2 } }, true):backward() end)
  s:close()
  raises("the tape was closed", function() return a + 1 end)
  raises("the tape was closed", s.leaf, s, 1)
  assert(tostring(a) == "Var(closed)" and tostring(s) == "Tape(closed)")
end)

test("a tape lives as long as any of its variables", function()
  local x = core.tape():leaf(3, true)
  local y = x * x
  x = nil
  collectgarbage() collectgarbage()
  y:backward()
  near(y:item(), 9)
end)
