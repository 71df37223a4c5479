local biology = require "dynamo.biology"
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"

-- Twenty genes in two sets of ten; vectors that know it, and vectors that do not.
local genes, sets = {}, { { name = "low", genes = {} }, { name = "high", genes = {} } }
for i = 1, 20 do
  genes[i] = ("g%02d"):format(i)
  table.insert(sets[i <= 10 and 1 or 2].genes, genes[i])
end
local x = core.randn(1, 20, 8, "double")
for i = 1, 20 do x:set(x:get(i, 1) + (i <= 10 and 40 or -40), i, 1) end
local knows = embedding.new { genes = genes, values = x:to "float" }
local not_ = embedding.new { genes = genes, values = core.randn(2, 20, 8) }

test("vectors that know the sets have AUROC 1, others a half", function()
  local r = biology.shared({ { name = "knows", e = knows }, { name = "not", e = not_ },
    { name = "permuted", e = knows:permuted(2), control = "permuted" } }, sets)
  assert(#r.genes == 20)
  near(r.auroc.knows, 1)
  assert(r.auroc["not"] > 0.3 and r.auroc["not"] < 0.7 and r.auroc.permuted < 0.7)
end)

test("genes that all cover, a draw of them, sets of the right size", function()
  local some = {}
  for i = 1, 15 do some[i] = genes[i] end
  local list = { { name = "knows", e = knows:align(some) }, { name = "not", e = not_ } }
  assert(#biology.shared(list, { sets = sets }).genes == 15)
  assert(#biology.shared(list, sets, { genes = 12 }).genes == 12)
  local none = biology.shared(list, sets, { most = 9 })
  assert(#none.genes == 0 and next(none.auroc) == nil)
  local completed = knows:align(some):complete(genes, { "mean" })
  assert(#biology.shared({ { name = "c", e = completed } }, sets).genes == 15)
  raises("did you mean 'genes'", biology.shared, list, sets, { gene = 3 })
end)

test("sets that tell something apart are large and overlap little", function()
  local many = { { name = "all", genes = genes }, { name = "a", genes = { "g01", "g02", "g03", "g04" } } }
  for k = 0, 1 do
    many[#many + 1] = { name = "b" .. k, genes = { "g05", "g06", "g07", "g08" } }
    if k == 0 then table.insert(many[3].genes, "g09") end
  end
  local big = {}
  for i = 1, 25 do big[i] = ("g%02d"):format(i) end
  local out = biology.telling(big, many, 4)
  assert(#out == 1 and out[1].name == "b0" and #out[1].genes == 5)
end)
