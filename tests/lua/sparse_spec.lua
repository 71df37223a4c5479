local core = require "dynamo.core"

test("sparse: log1p, merged columns, rows of several below each other", function()
  local s = core.sparse(2, 3, { 1, 1, 2 }, { 1, 3, 2 }, { 1, 2, 4 })
  local l = s:log1p()
  near(l:get(1, 3), math.log(3), 1e-7) near(l:get(2, 2), math.log(5), 1e-7)
  assert(l:get(2, 1) == 0 and s:get(1, 3) == 2)
  local m = s:merge_cols({ 1, 2, 1 }, 2)
  assert(m:size(2) == 2 and m:get(1, 1) == 3 and m:get(2, 2) == 4 and m:nnz() == 2)
  raises("one place per column expected", s.merge_cols, s, { 1, 2 }, 2)
  local c = core.sparse_cat { s, m:merge_cols({ 1, 3 }, 3), core.sparse(0, 3, {}, {}) }
  assert(c:size(1) == 4 and c:get(1, 3) == 2 and c:get(3, 1) == 3 and c:get(4, 3) == 4)
  raises("as many columns in each expected", core.sparse_cat, { s, m })
end)

test("sparse: allocation failures leak nothing", function()
  local s = core.sparse(2, 3, { 1, 1, 2 }, { 1, 3, 2 }, { 1, 2, 4 })
  local n = 0
  repeat
    core.fail_after(n)
    local ok, e = pcall(function() return core.sparse_cat { s:log1p(), s:merge_cols({ 1, 2, 1 }, 3) } end)
    core.fail_after(-1)
    if not ok then assert(e.code == "ENOMEM") end
    n = n + 1
  until ok
  assert(n > 3)
end)
