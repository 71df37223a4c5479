local core = require "dynamo.core"
local graph = require "dynamo.graph"

local edges = { { "A", "B", 2 }, { "A", "B", -3 }, { "B", "C", 1 }, { "C", "C", 1 }, { "D", "E", -1 } }

test("a graph from lists merges repeats, drops loops, keeps signs", function()
  local g = graph.from_edges(edges, { signed = true, source = "toy" })
  assert(tostring(g) == "Graph toy: 3 edges, 3 sources, 5 nodes, directed, signed")
  assert(g:nodes() == 5 and g:edges() == 3 and g:directed() and g:signed())
  local info = g:info()
  assert(info.lines == 5 and info.repeats == 1 and info.loops == 1 and info.conflicts == 1 and info.source == "toy")
  local names, weights = g:neighbours "D"
  assert(#names == 1 and names[1] == "E" and weights[1] == -1)
  names, weights = g:neighbours "A"
  assert(names[1] == "B" and weights[1] == 0) -- both signs: unknown
  assert(#g:neighbours("B", "both") == 2 and g:neighbours("B", "in")[1] == "A")
  assert(g:find "C" == 3 and g:find "X" == nil and g:names()[5] == "E")
  local d = g:degrees()
  assert(d:type() == "double" and d:get(2) == 2 and d:get(4) == 1)
  raises("'X' is not in the graph", g.neighbours, g, "X")
end)

test("subgraph, component, union, hops", function()
  local g = graph.from_edges(edges, { signed = true })
  local c = g:component()
  assert(c:nodes() == 3 and c:edges() == 2)
  local label, n = g:components()
  assert(n == 2 and label[1] == label[3] and label[4] == 2)
  local s = g:subgraph { "E", "D", "nobody", "D" }
  assert(s:nodes() == 2 and s:names()[1] == "E" and s:edges() == 1)
  local u = s:union(graph.from_edges { { "E", "F" } })
  assert(u:nodes() == 3 and u:edges() == 2)
  local h = g:hops({ "A", "nobody" }, { "A", "C", "E", "nobody" })
  assert(h[1] == 0 and h[2] == 2 and h[3] == -1 and h[4] == -1)
  assert(g:hops({ "C" }, { "A" })[1] == 2) -- against the arrows
end)

test("adjacency in three directions", function()
  local g = graph.from_edges({ { "A", "B", 2 }, { "B", "A", -5 }, { "B", "C", 1 } }, { signed = true })
  local out, both = g:adjacency(), g:adjacency { direction = "both", signed = true }
  assert(core.is_sparse(out) and out:get(1, 2) == 2 and out:get(2, 1) == 5 and out:nnz() == 3)
  assert(g:adjacency { direction = "in", weighted = false }:get(3, 2) == 1)
  assert(both:get(1, 2) == 0 and both:get(2, 3) == 1 and both:get(3, 2) == 1)
  raises("invalid option", g.adjacency, g, { direction = "up" })
end)

test("undirected graphs and given names", function()
  local g = core.graph({ "x", "y", "z" }, { "x", "y" }, { "y", "x" }, nil, { directed = false })
  assert(g:edges() == 1 and g:nodes() == 3 and not g:directed() and not g:signed())
  assert(g:info().repeats == 1 and g:degrees():get(3) == 0)
  raises("not among the nodes", core.graph, { "x" }, { "x" }, { "q" })
  raises("named twice", core.graph, { "x", "x" }, {}, {})
  raises("negative", core.graph, nil, { "x" }, { "y" }, { -1 })
  raises("edge 1 is not { source, target", graph.from_edges, { { "x" } })
  raises("did you mean 'directed'", graph.from_edges, {}, { directd = true })
end)

test("a closed graph is rejected", function()
  local g = graph.from_edges(edges, { signed = true })
  g:close() g:close()
  assert(tostring(g) == "Graph(closed)")
  raises("graph was closed", g.nodes, g)
end)

test("graphs that run out of memory say so", function()
  core.fail_after(3)
  local ok, e = pcall(graph.from_edges, edges, { signed = true })
  core.fail_after(-1)
  assert(not ok and e.code == "ENOMEM")
end)

test("real networks", function()
  local folder = (os.getenv "DYNAMO_TEST_DATA" or "../shared/data") .. "/graphs/"
  local f = io.open(folder .. "collectri.csv")
  if not f then print "# skip real networks: no data" return end
  f:close()
  local g = graph.read(folder .. "collectri.csv")
  assert(g:edges() == 42716 and g:directed() and g:signed() and g:info().loops == 462)
  assert(g:find "TP53" and #g:neighbours "TP53" > 100)
  raises("nothing.csv", graph.read, folder .. "nothing.csv")
end)
