-- Walks against slow reference code (tests/ref/walk.lua), and networks that cannot be walked.
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local graph = require "dynamo.graph"
local here = arg[0]:match "^(.*)/" or "."
local ref = dofile(here .. "/../ref/walk.lua")

-- A connected network of 12 genes with triangles, a hub, and a leaf.
local edges = {}
for i = 1, 10 do
  edges[#edges + 1] = { "g" .. i, "g" .. i % 10 + 1, 1 + i % 3 }
  edges[#edges + 1] = { "g" .. i, "hub", 0.5 + i % 2 }
  if i % 2 == 0 then edges[#edges + 1] = { "g" .. i, "g" .. (i + 1) % 10 + 1, 2 } end
end
edges[#edges + 1] = { "hub", "leaf", 3 }

local function counts(g, opts)
  local names, n, walks = g:names(), {}, core.walks(g, opts):totable()
  for _, walk in ipairs(walks) do
    for i = 3, #walk do
      local t, v, x = names[walk[i - 2]], names[walk[i - 1]], names[walk[i]]
      n[t] = n[t] or {}
      n[t][v] = n[t][v] or {}
      n[t][v][x] = (n[t][v][x] or 0) + 1
    end
  end
  return n
end

test("transition frequencies are those of the definition: chi-square, weighted and not", function()
  for _, weighted in ipairs { true, false } do
    local list = {}
    for i, e in ipairs(edges) do list[i] = { e[1], e[2], weighted and e[3] or 1 } end
    local g, w = graph.from_edges(list, { directed = false }), ref.weights(list)
    for _, o in ipairs { { 1, 1 }, { 0.25, 4 }, { 4, 0.25 }, { 0.5, 2 }, { 0.2, 0.7 } } do
      local n = counts(g, { walks = 120, length = 80, p = o[1], q = o[2], seed = 5, weighted = weighted })
      local chi, freedom = ref.chi_square(n, w, o[1], o[2])
      -- Wilson and Hilferty: the cube root is close to normal
      local z = ((chi / freedom) ^ (1 / 3) - (1 - 2 / (9 * freedom))) / math.sqrt(2 / (9 * freedom))
      assert(freedom > 100 and math.abs(z) < 4, ("p %g, q %g: chi-square %.1f for %d"):format(o[1], o[2], chi, freedom))
    end
  end
end)

test("parts of a corpus of walks are its rows", function()
  local g = graph.from_edges(edges, { directed = false })
  local opts = { walks = 4, length = 9, p = 0.5, q = 2 }
  local whole = core.walks(g, opts)
  opts.first, opts.last = 14, 31
  assert((core.walks(g, opts) - whole:narrow(1, 14, 31)):abs():max():item() == 0)
  opts.last = 1000
  raises("outside the corpus", core.walks, g, opts)
end)

test("networks that cannot be walked, and others that are odd, are errors or counted", function()
  raises("no edges", embed.node2vec, graph.from_edges({}, { directed = false }), {})
  raises("no edges", embed.node2vec, graph.from_edges({ { "a", "a" } }, { directed = false }), {})
  raises("negative", graph.from_edges, { { "a", "b", -1 } }, { directed = false, signed = false })
  local g = graph.from_edges({ { "a", "b", 1 }, { "b", "a", 2 }, { "a", "a", 1 }, { "b", "c", 1 }, { "c", "b", -1 } },
    { directed = false, signed = true, names = { "a", "b", "c", "alone" } })
  local info = g:info()
  assert(info.repeats == 2 and info.loops == 1 and info.conflicts == 1 and g:edges() == 2 and g:nodes() == 4)
  local e = embed.node2vec(g, { dim = 4, walks = 2, length = 5 })
  assert(#e.genes == 3 and #e.left_out == 1 and e.left_out[1] == "alone")
  raises("nobody", function() return e:rows { "nobody" } end)
  local m = core.sparse and graph.from_edges({ { "a", "b", -1 } }, { directed = false, signed = true })
    :adjacency { direction = "both", weighted = true, signed = true }
  if m then raises("has weight -1", core.node2vec, m, { dim = 4 }) end
end)

test("a line without an end is an error that names it", function()
  local path = os.tmpname()
  local f = io.open(path, "w")
  f:write("a\tb\nc\t", ("x"):rep(70000), "\n")
  f:close()
  raises("longer than 65535", graph.read, path)
  os.remove(path)
end)
