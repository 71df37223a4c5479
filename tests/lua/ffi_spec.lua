-- Typed pointers for LuaJIT: values, bounds, and that nothing dangles.
local core = require "dynamo.core"
local F = require "dynamo.ffi"
local grad = require "dynamo.grad"

test("without LuaJIT the message says what is missing", function()
  assert(F.available() == (jit ~= nil))
  if not jit then raises("needs LuaJIT", F.array, core.zeros(2)) end
end)

if not jit then return end

test("arrays and pointers see the numbers, and change them", function()
  for _, kind in ipairs { "float", "double" } do
    local t = core.tensor({ { 1, 2 }, { 3, 4 } }, kind)
    local a, p = F.array(t), F.pointer(t)
    local sum = 0
    for i = 1, tonumber(a.n) do sum = sum + a[i] end
    assert(sum == 10 and #a == 4 and p[3] == 4)
    a[2] = 7
    p[2] = 9
    assert(t:get(1, 2) == 7 and t:get(2, 1) == 9)
    raises("index 0 outside 1..4", function() return a[0] end)
    raises("index 5 outside 1..4", function() a[5] = 1 end)
    raises("outside", function() return a[0 / 0] end)
    assert(not pcall(function() a.n = 99 end) and not pcall(function() a.p = p end) and #a == 4)
    assert(F.array(t:rows(2, 2))[1] == 9 and F.array(core.tensor(3, kind))[1] == 3)
    assert(tonumber(F.array(core.zeros(0, kind)).n) == 0)
  end
end)

test("an array outlives its tensor, closed or collected", function()
  local t = core.tensor({ 5, 6 }, "double")
  local a, p = F.array(t), F.pointer(t)
  t:close()
  t = nil
  collectgarbage() collectgarbage()
  assert(a[2] == 6 and p[1] == 6)
end)

test("what cannot be pointed at is refused", function()
  raises("a strided view; clone it first", F.array, core.zeros(2, 3):t())
  raises("a tensor is expected, got table", F.array, {})
  local t = core.zeros(2)
  t:close()
  raises("tensor was closed", F.array, t)
  local x = core.tensor({ 1, 2 }, "double")
  raises("was changed in place", grad.grad(function(v)
    F.array(x)[1] = 3
    F.touch(x)
    return v:sum()
  end), x)
  assert(F.touch(core.zeros(0)):count() == 0)
end)
