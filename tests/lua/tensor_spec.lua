local core = require "dynamo.core"

test("tensors from tables, and back", function()
  local t = core.tensor { { 1, 2, 3 }, { 4, 5, 6 } }
  assert(t:type() == "float" and t:size(1) == 2 and t:size(2) == 3)
  assert(t:get(2, -1) == 6)
  local u = t:t():totable()
  assert(u[3][2] == 6 and u[1][2] == 4)
  raises("ragged table: 3 items expected in dimension 2", core.tensor, { { 1, 2, 3 }, { 4 } })
  raises("number expected in tensor, got string", core.tensor, { 1, "x" })
  assert(core.tensor(5, "double"):item() == 5)
  raises("one element expected, tensor is 2x3", t.item, t)
end)

test("arithmetic broadcasts and keeps the type", function()
  local a = core.tensor({ { 1, 2 }, { 3, 4 } }, "double")
  local b = (a + core.tensor({ 10, 20 }, "double")) * 2 - 1
  assert(b:get(2, 1) == 25 and b:get(1, 2) == 43)
  assert((1 / a):get(2, 2) == 0.25 and (a ^ 2):get(2, 1) == 9 and (-a):get(1, 1) == -1)
  raises("add: double and float do not mix", function() return a + core.tensor { 1, 2 } end)
  raises("shapes 2x2 and 3 do not match", function() return a + core.tensor({ 1, 2, 3 }, "double") end)
  a:add_(1):mul_(2)
  assert(a:get(2, 2) == 10)
  assert(a:gt(5):sum():item() == 3)
end)

test("a small result is a tensor like any other", function()
  local a, b = core.tensor { 1, 2, 3 }, core.tensor { 10, 20, 30 }
  local r = a + b
  assert(core.is_tensor(r) and getmetatable(r) == getmetatable(a))
  local twice = r * r -- of results that nobody has looked at
  local first = r:rows(1, 2) -- a view: now they share
  r:add_(1)
  assert(first:get(2) == 23 and twice:get(3) == 33 * 33)
  r:close()
  assert(first:get(1) == 12 and tostring(r) == "Tensor(closed)")
  raises("tensor was closed", function() return r + a end)
  raises("tensor was closed", function() return (a + b):exp():mul(r) end)
  local views = {}
  for k = 1, 2000 do views[k] = (a * k):rows(2, 3) end
  collectgarbage()
  for k = 1, 2000 do assert(views[k]:get(1) == 2 * k) end
  raises("dynamo.Tensor", function() return a + {} end)
  raises("dynamo.Tensor", function() return a.exp(io.stdout) end)
  core.fail_after(0)
  raises("no memory", function() return a + b, (a + b):rows(1, 1) end)
end)

test("views share their numbers", function()
  local t = core.zeros(4, 3)
  t:rows(2, 3):fill_(7)
  assert(t:sum():item() == 42 and t:select(1, 2):sum():item() == 21)
  t:narrow(2, -1, -1):fill_(1)
  assert(t:get(4, 3) == 1 and t:sum(1):get(1) == 14)
  assert(t:reshape(-1):count() == 12)
  raises("index out of range", t.rows, t, 2, 9)
end)

test("reductions, order and selection", function()
  local t = core.tensor { { 3, 1, 2 }, { 9, 8, 7 } }
  assert(t:max():item() == 9 and t:argmax(2):get(1) == 1 and t:argmin(2):get(1) == 2)
  near(t:var(1):get(1), 18) near(t:mean(2):get(2), 8) near(t:select(1, 1):norm():item(), math.sqrt(14), 1e-7)
  local o = t:select(1, 1):argsort()
  assert(o[1] == 2 and o[2] == 3 and o[3] == 1)
  local x = t:index(2, { 3, 1 })
  assert(x:get(2, 1) == 7 and x:get(2, 2) == 9)
  raises("index 2 is not an integer in 1..3", t.index, t, 2, { 1, 4 })
  assert(core.cat({ t, t }, 1):size(1) == 4 and core.cat({ t, t }, 2):size(2) == 6)
end)

test("factorisations give the matrix back", function()
  local a = core.randn(1, 6, 4, "double")
  local u, s, v = core.svd(a)
  local back = (u * s):matmul(v:t()) - a
  assert(back:abs():max():item() < 1e-12)
  local q, r = core.qr(a)
  assert((q:matmul(r) - a):abs():max():item() < 1e-12)
  local c = a:t():matmul(a)
  local w, e = core.eigh(c)
  assert(((e * w):matmul(e:t()) - c):abs():max():item() < 1e-11)
  local x = core.solve(c, core.eye(4, "double"))
  assert((c:matmul(x) - core.eye(4, "double")):abs():max():item() < 1e-10)
  local l = core.cholesky(c)
  assert((l:matmul(l:t()) - c):abs():max():item() < 1e-12)
end)

test("random tensors: a stream per seed", function()
  local a, b, c = core.randn(7, 50, 20), core.randn(7, 50, 20), core.randn(8, 50, 20)
  assert((a - b):abs():max():item() == 0 and (a - c):abs():max():item() > 0.1)
  near(a:mean():item(), 0, 0.1) near(a:var():item(), 1, 0.1)
end)

test("closed tensors and wrong arguments are errors", function()
  local t = core.zeros(2)
  t:close()
  raises("tensor was closed", t.sum, t)
  assert(tostring(t) == "Tensor(closed)")
  raises("integer expected", core.zeros, 1.5)
  raises("number expected, got no value", core.zeros(3).get, core.zeros(3))
end)

test("allocation failures are errors with a code, and leak nothing", function()
  local n = 0
  repeat
    core.fail_after(n)
    local ok, e = pcall(function() return (core.zeros(3, 3) + 1):matmul(core.eye(3)) end)
    core.fail_after(-1)
    if not ok then assert(e.code == "ENOMEM" and tostring(e):find "memory") end
    n = n + 1
  until ok
  assert(n > 3)
end)

test("spread over a leading dimension is that of the same numbers in rows", function()
  for _, kind in ipairs { "float", "double" } do
    local a = core.randn(1, 5, 7, 3, kind)
    for dim, order in ipairs { { 2, 3, 1 }, { 1, 3, 2 } } do
      local rows = a:permute(order[1], order[2], order[3]):clone()
      for _, op in ipairs { "var", "std", "norm" } do
        near((a[op](a, dim) - rows[op](rows, 3)):abs():max():item(), 0, kind == "float" and 1e-6 or 1e-14)
      end
    end
    local one = core.randn(1, 1, 4, kind):var(1):get(1)
    assert(one ~= one) -- of a single number there is none
  end
end)

test("long rows: the first of the largest, the first NaN, positions that are outside", function()
  local n = 200000
  local a = core.rand(1, n)
  for _, at in ipairs { 1, 77777, n } do
    local b = a:clone()
    b:set(2, at)
    if at < n then b:set(2, n) end
    assert(b:argmax():item() == at and b:max():item() == 2)
    b:set(0 / 0, at)
    assert(b:argmin():item() == at)
  end
  local idx = core.randperm(2, n)
  near((a:gather(1, idx):sum() - a:sum()):item(), 0, 1e-2)
  idx:set(n + 1, n)
  raises("outside 1..200000", a.gather, a, 1, idx)
  idx:set(0, n)
  raises("outside", a.gather, a, 1, idx)
  raises("outside", core.zeros(0).gather, core.zeros(0), 1, core.tensor({ 1 }, "double"))
end)
