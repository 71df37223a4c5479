local annotation = require "dynamo.annotation"
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local graph = require "dynamo.graph"

local data = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"

test("cores: a clique with tails", function()
  local g = graph.from_edges { { "a", "b" }, { "b", "c" }, { "c", "a" }, { "a", "d" }, { "b", "d" }, { "c", "d" },
    { "d", "t1" }, { "t1", "t2" } }
  local cores, names = core.graph_cores(g), g:names()
  for i, name in ipairs(names) do assert(cores:get(i) == (name:match "^t" and 1 or 3), name) end
  assert(graph.core(g, 3):nodes() == 4 and graph.core(g, 1):nodes() == 6)
  raises("no 4-core; the largest core is 3", graph.core, g, 4)
  raises("a Graph expected", graph.core, 3, 1)
end)

test("edges come back as they went in", function()
  local g = graph.from_edges({ { "a", "b", -2 }, { "b", "c", 3 } }, { signed = true })
  local from, to, w, size = core.graph_edges(g)
  assert(from:get(2) == 2 and to:get(2) == 3 and w:get(1) == -2 and size:get(1) == 2)
  local u = graph.from_edges({ { "a", "b" }, { "b", "a" }, { "c", "a" } }, { directed = false })
  assert(core.graph_edges(u):count() == 2)
end)

test("filters by sign, weight and anything; unknown signs stay unknown", function()
  local g = core.graph(nil, { "a", "b", "c" }, { "b", "c", "a" }, { 1, 2, 3 }, { signed = true, signs = { 1, -1, 0 } })
  assert(graph.filter(g, { sign = -1 }):edges() == 1 and graph.filter(g, { sign = 1 }):nodes() == 3)
  local zero = graph.filter(g, { sign = 0 })
  local _, _, w, size = core.graph_edges(zero)
  assert(w:get(1) == 0 and size:get(1) == 3)
  assert(graph.filter(g, { min_weight = 2 }):edges() == 2)
  assert(graph.filter(g, { where = function(a) return a == "a" end }):edges() == 1)
  raises("must be one of -1 0 1", graph.filter, g, { sign = 2 })
end)

test("union and intersection with provenance", function()
  local a = graph.from_edges({ { "x", "y", 1 }, { "y", "z", -2 } }, { signed = true, source = "A" })
  local b = graph.from_edges({ { "y", "z", 3 }, { "z", "w", 1 } }, { signed = true, source = "B" })
  local u, from = graph.combine { a, b }
  assert(u:edges() == 3 and u:info().source == "A + B" and #from[2].graphs == 2 and from[3].graphs[1] == 2)
  local both = graph.combine({ a, b }, { at_least = 2 })
  local _, _, w, size = core.graph_edges(both)
  assert(both:edges() == 1 and w:get(1) == 0 and size:get(1) == 3) -- the signs disagree
  local c = graph.from_edges({ { "z", "y" } }, { directed = false, source = "C" })
  assert(graph.combine({ a, c }, { at_least = 2 }):edges() == 1)
  raises("no edge is in 3 of 2 graphs", graph.combine, { a, b }, { at_least = 3 })
end)

test("rewiring keeps degrees and changes edges; the seed decides", function()
  local g = graph.random { nodes = 200, edges = 800, exponent = 2.5, blocks = 4, within = 0.9, seed = 2 }
  local function bytes(x)
    local from, to = core.graph_edges(x)
    return table.concat(from:totable(), " ") .. "|" .. table.concat(to:totable(), " ")
  end
  local r = graph.rewired(g, { seed = 3 })
  assert((g:degrees() - r:degrees()):abs():max():item() == 0 and r:edges() == 800)
  assert(bytes(r) == bytes(graph.rewired(g, { seed = 3 })) and bytes(r) ~= bytes(graph.rewired(g, { seed = 4 })))
  local _, _, done = core.rewire(g, { seed = 3 })
  assert(done > 4000)
  local d = graph.from_edges({ { "a", "b" }, { "c", "d" }, { "e", "f" }, { "a", "d" } }, { directed = true })
  local names, out = d:names(), 0
  for _, n in ipairs(names) do
    assert(#graph.rewired(d):neighbours(n) == #d:neighbours(n))
    out = out + 1
  end
  assert(out == 6 and graph.rewired(d):info().source:match "^rewired")
end)

test("random graphs: communities and a power law", function()
  local g = graph.random { nodes = 300, edges = 1500, blocks = 3, within = 0.9 }
  local from, to = core.graph_edges(g)
  local inside = 0
  for k = 1, 1500 do
    if (from:get(k) - to:get(k)) % 3 == 0 then inside = inside + 1 end
  end
  assert(inside / 1500 > 0.88 and inside / 1500 < 0.98)
  local flat, law = g:degrees():max():item(), graph.random { nodes = 300, edges = 1500, exponent = 2.2 }:degrees():max():item()
  assert(law > 4 * flat)
  raises("no more than", graph.random, { nodes = 4, edges = 10 })
  raises("5 blocks of 4 nodes", graph.random, { nodes = 4, edges = 2, blocks = 5 })
  assert(core.random_edges(10, 0):count() == 0)
end)

test("nearest neighbours of vectors as a graph", function()
  local e = embedding.new { genes = { "a", "b", "c" }, values = core.tensor({ { 1, 0 }, { 1, 0.1 }, { -1, 0 } }, "float") }
  local g = graph.knn(e, { k = 1, directed = true })
  assert(g:edges() == 2 and g:neighbours("a")[1] == "b" and #g:neighbours("c", "in") == 0)
end)

test("genes that share sets: Jaccard as GEARS does, cosine, the same for 1 and 2 threads", function()
  local sets = { { name = "s1", genes = { "a", "b", "c" } }, { name = "s2", genes = { "a", "b" } },
    { name = "s3", genes = { "c", "d" } } }
  local g = graph.annotation(sets)
  local names, w = g:neighbours("a", "in")
  assert(names[1] == "b" and w[1] == 1 and names[2] == "c")
  near(w[2], 1 / 3, 1e-6)
  local cos = graph.annotation(sets, { measure = "cosine", top = 1 })
  assert(#cos:neighbours("a", "in") == 1)
  local f = io.open(data .. "/annotation/c2.cp.reactome.v7.0.symbols.gmt.gz")
  if not f then return print "# skip Jaccard of Reactome: no data" end
  f:close()
  local reactome = annotation.read(data .. "/annotation/c2.cp.reactome.v7.0.symbols.gmt.gz")
  local before, text = core.threads(), {}
  for threads = 1, 2 do
    core.threads(threads)
    local _, _, sizes = core.graph_edges(graph.annotation(reactome))
    text[threads] = table.concat(sizes:totable(), " ")
  end
  core.threads(before)
  assert(text[1] == text[2])
  local m = core.membership({ "a", "b", "c", "d" }, sets, { least = 1 })
  raises("out of range", core.similar_rows, m, 5)
end)

test("confidence levels, as in DoRothEA", function()
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write "tf\tconfidence\ttarget\tmor\nA\tA\tx\t1\nA\tE\ty\t-1\nB\tB\tx\t-1\n"
  f:close()
  local g = graph.read(path, { confidence = "AB" })
  assert(g:edges() == 2 and g:signed() and graph.read(path):edges() == 3)
  raises("no edge has confidence C", graph.read, path, { confidence = "C" })
  os.remove(path)
end)
