local coexpression = require "dynamo.coexpression"
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local responses = require "dynamo.responses"

local function same(x, y) return (x - y):abs():max():item() == 0 end

-- Cells by genes with many zeros: genes 1..4 go together, 5 against them, 6 is constant, the rest is noise.
local function cells(n, g)
  local x = core.randn(7, n, g, "double"):relu()
  local z = core.randn(8, n, 1, "double"):relu()
  local parts = { z + x:narrow(2, 1, 4) * 0.3, (z * -1) + 3, core.full(2, n, 1, "double"), x:narrow(2, 7, g) }
  return core.cat(parts, 2):to "float"
end

local function names(g)
  local out = {}
  for i = 1, g do out[i] = "G" .. i end
  return out
end

-- Pearson's correlation of two columns, cells centred by group.
local function pearson(x, groups, a, b)
  local n, sum, count = x:size(), {}, {}
  for i = 1, n do
    local k = groups and groups[i] or 1
    sum[k], count[k] = sum[k] or { 0, 0 }, (count[k] or 0) + 1
    sum[k][1], sum[k][2] = sum[k][1] + x:get(i, a), sum[k][2] + x:get(i, b)
  end
  local aa, bb, ab = 0, 0, 0
  for i = 1, n do
    local k = groups and groups[i] or 1
    local u, v = x:get(i, a) - sum[k][1] / count[k], x:get(i, b) - sum[k][2] / count[k]
    aa, bb, ab = aa + u * u, bb + v * v, ab + u * v
  end
  return aa > 0 and bb > 0 and ab / math.sqrt(aa * bb) or 0
end

test("correlated: those of the definition, dense and sparse, with and without groups, for any number of threads", function()
  local x, groups = cells(60, 20), {}
  for i = 1, 60 do groups[i] = i % 3 + 1 end
  local before = core.threads()
  for _, grouping in ipairs { false, groups } do
    local opts = { groups = grouping or nil }
    local id, r = core.correlated(x, 6, opts)
    local sid, sr = core.correlated(core.sparse_from_dense(x), 6, opts)
    assert(same(id, sid) and (r - sr):abs():max():item() < 1e-9)
    for gene = 1, 20 do
      local last = 2
      for c = 1, 6 do
        local i, v = id:get(gene, c), r:get(gene, c)
        assert(i ~= gene and math.abs(v) <= last + 1e-12)
        last = math.abs(v)
        near(v, pearson(x, grouping or nil, gene, i), 1e-6)
      end
    end
    core.threads(before == 1 and 2 or 1)
    local _, again = core.correlated(x, 6, opts)
    core.threads(before)
    assert(same(r, again))
  end
  raises("one group per cell", core.correlated, x, 3, { groups = { 1 } })
  raises("out of range", core.correlated, x, 21)
end)

test("the network of GEARS: the largest |r| above a threshold, signed", function()
  local g = coexpression.graph({ genes = names(20), values = cells(200, 20) }, { top = 3 })
  local from, w = g:neighbours("G1", "in")
  assert(#from == 3 and g:directed() and g:signed())
  for i, name in ipairs(from) do
    assert(name:match "^G[2-5]$")
    assert((w[i] < 0) == (name == "G5"))
  end
  assert(#g:neighbours("G6", "both") == 0 and g:nodes() == 20)
  local positive = coexpression.graph({ genes = names(20), values = cells(200, 20) }, { top = 5, absolute = false })
  assert(not positive:signed() and #positive:neighbours("G5", "in") == 0)
end)

test("pca: products of all components are correlations; sparse as dense; the same bytes for 1 and 2 threads", function()
  local x = cells(80, 24)
  local r = coexpression.pca({ genes = names(24), values = x }, { dim = 24 })
  assert(#r.genes == 23 and r.left_out[1] == "G6")
  local gram = r.values:matmul(r.values:t())
  near(gram:get(1, 2), pearson(x, nil, 1, 2), 1e-6)
  near(gram:get(1, 1), 1, 1e-9)
  local s = coexpression.pca({ genes = names(24), values = core.sparse_from_dense(x) }, { dim = 24 })
  assert((s.values:matmul(s.values:t()) - gram):abs():max():item() < 1e-6)
  local e = embed.coexpression({ genes = names(24), values = x, source = "toy" }, { dim = 3 })
  assert(tostring(e) == "Embedding coexpression pca toy dim=3: 23 genes x 3, 1 without a vector")
  assert(e:similarity({ "G1" }, { "G2" }):item() > 0.9 and e:similarity({ "G1" }, { "G5" }):item() < -0.9)
  local big = { genes = names(300), values = cells(500, 300) }
  local before = core.threads()
  core.threads(1)
  local one = embed.coexpression(big, { dim = 8 })
  core.threads(2)
  local two = embed.coexpression(big, { dim = 8 })
  core.threads(before)
  assert(same(one.values, two.values))
  local exact = coexpression.pca(big, { dim = 300 }).singular
  near(coexpression.pca(big, { dim = 8, power = 20 }).singular:get(1), exact:get(1), 1e-6)
end)

local function responses_with_cells()
  local x, row_of, context_of = cells(90, 20), {}, {}
  for i = 1, 90 do row_of[i], context_of[i] = i <= 60 and 0 or 1, i % 2 + 1 end
  return responses.new { genes = names(20), contexts = { "a", "b" }, control = core.zeros(2, 20, "double"),
    rows = { { perturbation = "G1", targets = { "G1" }, context = "a" } }, delta = core.zeros(1, 20, "double"),
    cells = { x = core.sparse_from_dense(x), row_of = row_of, context_of = context_of } }, x
end

test("only control cells count, and rows that are named", function()
  local R, x = responses_with_cells()
  local t = coexpression.of(R)
  assert(t.x:size() == 60 and t.source == "control cells" and core.is_sparse(t.x))
  assert(coexpression.of(R, { 1 }).x:size() == 90)
  local e = embed.coexpression(R, { dim = 4 })
  local controls = embed.coexpression({ genes = R.genes, values = x:narrow(1, 1, 60), groups = t.groups }, { dim = 4 })
  assert((e.values:abs() - controls.values:abs()):abs():max():item() < 1e-3)
  local recipe = embed.coexpression { method = "node2vec", dim = 8, threshold = 0.3, walk = { walks = 2, length = 10 } }
  local built = recipe:build { responses = R }
  assert(built:has "G1" and built:dim() == 8 and built.source:match "^node2vec coexpression control cells")
  raises("the data are not known", recipe.build, recipe, {})
  raises("row 2 of 1", coexpression.of, R, { 2 })
  raises("20 genes and values with 3 columns", coexpression.of, { genes = names(20), values = core.zeros(5, 3) })
  raises("Responses, { genes", coexpression.of, 3)
  R.cells = nil
  raises("the data have no cells", coexpression.of, R)
end)
