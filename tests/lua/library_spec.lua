-- libdynamo.so through LuaJIT's FFI: values, errors, lifetimes.
local core = require "dynamo.core"
local library = require "dynamo.library"

if not jit then
  test("without LuaJIT the message says what is missing", function() raises("needs LuaJIT", library.open) end)
  return
end

local ok, lib = pcall(library.open)
if not ok then
  print("# skip the library: " .. tostring(lib))
  return
end

test("functions of the library give what those of the modules give", function()
  local x = core.randn(1, 4, 3, "double")
  local a = library.from(lib, x)
  local function same(h, t) near((h:tensor() - t):abs():max():item(), 0, 0) end
  same(lib.tensor_random("normal", 1, "double", 2, { 4, 3 }), x)
  same(lib.map("exp", a), x:exp())
  same(lib.combine("mul", a, a), x * x)
  same(lib.reduce("sum", a, 1), x:sum(2))
  same(lib.matmul(lib.tensor_swap(a, 0, 1), a), x:t():matmul(x))
  same(lib.tensor_narrow(a, 0, 1, 2), x:rows(2, 3))
  same(lib.tensor_convert(a, "float"), x:to "float")
  local u, s, v = lib.svd(a)
  local cu, cs, cv = core.svd(x)
  same(u, cu) same(s, cs) same(v, cv)
  assert(tonumber(lib.tensor_size(a, 0)) == 4 and lib.tensor_ndim(a) == 2)
end)

test("gradients, graphs and operators through handles", function()
  local t = lib.tape_new()
  local x = lib.tape_leaf(t, lib.tensor_new("double", 1, { 2 }, library.from(lib, core.tensor({ 3, 4 }, "double")):array().p), 1)
  local y = lib.tape_apply(t, "square", { x }, 1, -1, 0)
  lib.tape_backward(t, lib.tape_apply(t, "sum", { y }, 1, -1, 0))
  assert(lib.tape_gradient(t, x):array()[2] == 8)
  raises("tape: there is no 'sqare'", lib.tape_apply, t, "sqare", { x }, 1, -1, 0)
  raises("tape: no variable 9", lib.tape_apply, t, "square", { 9 }, 1, -1, 0)
  raises("backward: 2 is not a scalar", lib.tape_backward, t, y)
  local g = lib.graph_new(3, { "A", "A", "B" }, { "B", "C", "C" }, nil, 1)
  assert(tonumber(lib.graph_nodes(g)) == 3 and tonumber(lib.graph_find(g, "C")) == 2 and tonumber(lib.graph_find(g, "Z")) == -1)
  local e = lib.node2vec(g, 4, 2, 5, 2, 1, 1, 7)
  assert(tonumber(lib.tensor_count(e)) == 12)
  local one = lib.tensor_new("double", 2, { 2, 1 }, nil)
  local k = lib.operator_new(one, one, nil, "affine")
  local z = library.from(lib, core.tensor({ 1, 2 }, "double"))
  assert(lib.operator_apply(lib.operator_compose({ k, k }, 2, "product", 1), z, 0):array()[2] == 2)
  assert(lib.operator_commutator(k, k) == 0)
end)

test("what is wrong raises with a code, and says what was expected", function()
  local a, b = lib.tensor_new("float", 1, { 3 }, nil), lib.tensor_new("float", 1, { 4 }, nil)
  raises("add: shapes 3 and 4 do not match", lib.combine, "add", a, b)
  local good, e = pcall(lib.combine, "add", a, b)
  assert(not good and e.code == "ESHAPE")
  raises("there is no 'plus'", lib.combine, "plus", a, a)
  raises("matmul: a tensor is expected, got number", lib.matmul, a, 5)
  raises("matmul: a tensor is expected, got a tape", lib.matmul, a, lib.tape_new())
  raises("matmul: a tensor is expected, got userdata", lib.matmul, a, core.zeros(3))
  local foreign = require("ffi").new "int[4]"
  raises("map: a tensor is expected, got cdata", lib.map, "exp", foreign)
  a:close() a:close()
  raises("the tensor was closed", lib.map, "exp", a)
  raises("array: the tensor was closed", a.array, a)
  assert(tostring(a) == "tensor handle (closed)" and tostring(b) == "tensor handle")
  raises("libdynamo.so is not found", library.open, "/nowhere/libdynamo.so")
  raises("EIO", function()
    local _, problem = pcall(lib.npy_read, "/nowhere/x.npy")
    error(problem.code, 0)
  end)
end)

test("an array outlives its handle while the collector never rests", function()
  collectgarbage("setpause", 1)
  local arrays = {}
  for i = 1, 200 do
    local h = lib.tensor_new("double", 1, { 1000 }, nil)
    arrays[i] = h:array()
    arrays[i][1000] = i
    if i % 2 == 0 then h:close() end
    h = nil
    for _ = 1, 20 do lib.tensor_random("uniform", i, "double", 1, { 100 }) end
  end
  collectgarbage() collectgarbage()
  for i = 1, 200 do assert(arrays[i][1000] == i and arrays[i][1] == 0) end
  raises("index 1001 outside 1..1000", function() return arrays[1][1001] end)
  collectgarbage("setpause", 200)
end)
