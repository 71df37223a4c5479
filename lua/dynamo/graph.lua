--- Gene networks: read them, or make them from lists. The graph itself is written in C (dynamo.Graph).
--
--     local grn = dynamo.graph.read "collectri.csv"
--     print(grn)                        -- Graph collectri.csv: 42,716 edges, 1,186 sources, ...
--     grn:neighbours "TP53"             -- names, weights
local core = require "dynamo.core"
local err = require "dynamo.error"
local inputs = require "dynamo.inputs"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.read = {
  from = { type = "string", help = "column of the source (a name of the header, or a number)" },
  to = { type = "string", help = "column of the target" },
  weight = { type = "string", help = "column of the weight" },
  sign = { type = "string", help = "column of the sign (words or numbers)" },
  names = { type = "string", help = "a second file with the names of ids (STRING)" },
  directed = { type = "boolean", help = "default: yes, but no for protein1/protein2 columns" },
  min_score = { type = "number", help = "keep edges whose |weight| is at least this" },
  loops = { type = "boolean", default = false, help = "keep self-loops" },
  confidence = { type = "string", help = "levels to keep, as in \"ABC\" (DoRothEA's column confidence)" },
  symbols = { type = "string|table", help = "a table of names (see symbols.read): ids and aliases become symbols" },
}

M.schema.from_edges = {
  names = { type = "table", item = "string", help = "the nodes in their order; default: as they come" },
  directed = { type = "boolean", default = true, help = "whether an edge has a direction" },
  signed = { type = "boolean", default = false, help = "negative weights are repression" },
  loops = { type = "boolean", default = false, help = "keep self-loops" },
  source = { type = "string", default = "", help = "what the graph is called in messages" },
}

-- Pairs whose level in the column `confidence` is among those wanted.
local function confident(path, levels)
  local t = core.read_table(path)
  local at = {}
  for j, name in ipairs(t.names) do at[name:lower()] = j end
  local from, to = t.data[at.source or at.tf or at.from or 0], t.data[at.target or at.to or 0]
  local level = t.data[at.confidence or at.level or 0]
  if not (from and to and level) then
    err.raise { code = "EFORMAT", file = path, message = ("no columns source, target and confidence (there are: %s)")
      :format(table.concat(t.names, " ")) }
  end
  local keep = {}
  for i = 1, t.n do
    if level[i] ~= "" and levels:find(level[i], 1, true) then keep[from[i] .. "\t" .. to[i]] = true end
  end
  return keep
end

-- The edges of a graph as lists of names, |weights| and signs.
local function edges_of(g)
  local names = g:names()
  local from, to, w, size = core.graph_edges(g)
  local e = { from = from:totable(), to = to:totable(), size = size:totable(), sign = w:totable() }
  for k, v in ipairs(e.sign) do
    e.from[k], e.to[k] = names[e.from[k]], names[e.to[k]]
    e.sign[k] = v > 0 and 1 or v < 0 and -1 or 0
  end
  return e, names
end

local function build(names, e, o)
  return core.graph(names, e.from, e.to, e.size, { directed = o.directed, signed = o.signed, signs = o.signed and e.sign,
    loops = o.loops ~= false, source = o.source })
end

-- The edges of a graph whose level is wanted.
local function at_levels(path, g, levels)
  local keep = confident(path, levels)
  g = M.filter(g, { where = function(a, b) return keep[a .. "\t" .. b] end })
  if g:edges() == 0 then
    err.raise { code = "EVALUE", file = path, message = ("no edge has confidence %s"):format(levels) }
  end
  return g
end

-- The graph with symbols for names, nodes of one symbol made one, and the report of the mapping.
local function with_symbols(g, symbols, loops)
  local names, report = require("dynamo.symbols").map(g:names(), symbols)
  local e, old = edges_of(g)
  local symbol, seen, nodes = {}, {}, {}
  for i, name in ipairs(names) do
    symbol[old[i]] = name
    if not seen[name] then seen[name], nodes[#nodes + 1] = true, name end
  end
  for k = 1, #e.from do e.from[k], e.to[k] = symbol[e.from[k]], symbol[e.to[k]] end
  return build(nodes, e, { directed = g:directed(), signed = g:signed(), loops = loops, source = g:info().source }), report
end

--- Read a network from a file: CollecTRI, DoRothEA, TRRUST, STRING, OmniPath, GEARS or a plain edge list, gz or not.
---
--- Repeated pairs become one edge with the largest |weight|, contradictory signs give sign 0, self-loops are
--- dropped; `g:info()` has the counts. Raises EIO, EFORMAT (file, line, what was found), EOPTION.
---@param path string
---@param opts? table  see `dynamo.graph.schema.read`
---@return userdata graph  dynamo.Graph
---@return table? mapping  with `symbols`: the report of how names became symbols, see symbols.map
function M.read(path, opts)
  if type(path) ~= "string" then
    err.raise { code = "EOPTION", message = "graph.read: a file name expected (got " .. options.quote(path) .. ")" }
  end
  local o = options.check("graph.read", opts, M.schema.read)
  local levels, symbols = o.confidence, o.symbols
  o.confidence, o.symbols = nil, nil
  local g = core.read_graph(path, o)
  inputs.note(path)
  if levels then g = at_levels(path, g, levels) end
  if symbols then return with_symbols(g, symbols, o.loops) end
  return g
end

--- A graph from a list of edges `{ {"A", "B", 0.5}, {"A", "C"}, ... }` (the weight is 1 if it is left out).
---
--- Raises EVALUE for an edge without two names; an error for a weight that is negative in an unsigned graph.
---@param edges table
---@param opts? table  see `dynamo.graph.schema.from_edges`
---@return userdata graph  dynamo.Graph
function M.from_edges(edges, opts)
  local o = options.check("graph.from_edges", opts, M.schema.from_edges)
  local from, to, weight = {}, {}, {}
  for i, e in ipairs(edges) do
    if type(e) ~= "table" or type(e[1]) ~= "string" or type(e[2]) ~= "string" then
      err.raise { code = "EVALUE", message = ("graph.from_edges: edge %d is not { source, target[, weight] }"):format(i) }
    end
    from[i], to[i], weight[i] = e[1], e[2], e[3] or 1
  end
  return core.graph(o.names, from, to, weight,
    { directed = o.directed, signed = o.signed, loops = o.loops, source = o.source })
end


-- ---- graphs from graphs -----------------------------------------------------------------

local function expect(name, g)
  if not core.is_graph(g) then
    err.raise { code = "EOPTION", message = ("graph.%s: a Graph expected (got %s)"):format(name, options.quote(g)) }
  end
end

--- The part of a graph whose nodes all have at least k neighbours in it (k-core; Batagelj and Zaversnik 2003).
---
--- Raises EVALUE naming the largest core there is.
---@param g userdata
---@param k integer
---@return userdata graph
function M.core(g, k)
  expect("core", g)
  local names, keep, most = g:names(), {}, 0
  for i, c in ipairs(core.graph_cores(g):totable()) do
    if c >= k then keep[#keep + 1] = names[i] end
    most = math.max(most, c)
  end
  if #keep == 0 then
    err.raise { code = "EVALUE", message = ("graph.core: no %d-core; the largest core is %d"):format(k, most) }
  end
  return g:subgraph(keep)
end

M.schema.filter = {
  min_weight = { type = "number", min = 0, help = "smallest |weight| of an edge" },
  sign = { type = "integer", values = { -1, 0, 1 }, help = "1 activation, -1 repression, 0 unknown" },
  where = { type = "function", help = "called with (from, to, weight, sign); the edge stays if it returns true" },
}

--- The graph with those edges that pass; all nodes stay.
---@param g userdata
---@param opts table  see `dynamo.graph.schema.filter`
---@return userdata graph
function M.filter(g, opts)
  expect("filter", g)
  local o = options.check("graph.filter", opts, M.schema.filter)
  local e, names = edges_of(g)
  local r = { from = {}, to = {}, size = {}, sign = {} }
  for k, size in ipairs(e.size) do
    local sign = g:signed() and e.sign[k] or 1
    if (not o.min_weight or size >= o.min_weight) and (not o.sign or sign == o.sign)
      and (not o.where or o.where(e.from[k], e.to[k], size, sign)) then
      local at = #r.from + 1
      r.from[at], r.to[at], r.size[at], r.sign[at] = e.from[k], e.to[k], size, e.sign[k]
    end
  end
  return build(names, r, { directed = g:directed(), signed = g:signed(), source = g:info().source })
end

M.schema.combine = {
  at_least = { type = "integer", default = 1, min = 1, help = "graphs that an edge must be in: 1 union, all: intersection" },
}

-- One key per pair; of an undirected graph in the order of the names.
local function pair(a, b, directed)
  if not directed and b < a then a, b = b, a end
  return a .. "\t" .. b
end

-- Add the edges of graph number i to the table of all edges. A directed result has undirected edges both ways.
local function collect(all, g, i, directed)
  local e = edges_of(g)
  for k = 1, #e.from do
    for way = 1, directed and not g:directed() and 2 or 1 do
      local a, b = e.from[k], e.to[k]
      if way == 2 then a, b = b, a end
      local key = pair(a, b, directed)
      local x = all[key]
      if not x then
        x = { from = a, to = b, size = 0, plus = false, minus = false, graphs = {} }
        all[key], all[#all + 1] = x, x
      end
      if x.graphs[#x.graphs] ~= i then x.graphs[#x.graphs + 1] = i end
      x.size = math.max(x.size, e.size[k])
      x.plus, x.minus = x.plus or e.sign[k] > 0, x.minus or e.sign[k] < 0
    end
  end
end

--- Union, intersection or anything between of several graphs, and where each edge came from.
---
--- An edge stays if at least `at_least` of the graphs have it; it gets the largest |weight|, and sign 0 where they
--- disagree. Directed if one of them is; signed if all are. Nodes are those of the edges. Raises EVALUE: no such edge.
---@param graphs userdata[]  two or more
---@param opts? table  see `dynamo.graph.schema.combine`
---@return userdata graph, table[] provenance  one { from, to, graphs = { numbers } } per edge
function M.combine(graphs, opts)
  local o = options.check("graph.combine", opts, M.schema.combine)
  local directed, all_signed, all, titles = false, true, {}, {}
  for i, g in ipairs(graphs) do
    expect("combine", g)
    directed, all_signed = directed or g:directed(), all_signed and g:signed()
    titles[i] = g:info().source
  end
  for i, g in ipairs(graphs) do collect(all, g, i, directed) end
  local r, provenance = { from = {}, to = {}, size = {}, sign = {} }, {}
  for _, x in ipairs(all) do
    if #x.graphs >= o.at_least then
      local at = #r.from + 1
      r.from[at], r.to[at], r.size[at] = x.from, x.to, x.size
      r.sign[at] = (x.plus and 1 or 0) - (x.minus and 1 or 0)
      provenance[at] = { from = x.from, to = x.to, graphs = x.graphs }
    end
  end
  if #r.from == 0 then
    err.raise { code = "EVALUE", message = ("graph.combine: no edge is in %d of %d graphs"):format(o.at_least, #graphs) }
  end
  local source = table.concat(titles, o.at_least == 1 and " + " or " & ")
  return build(nil, r, { directed = directed, signed = all_signed, source = source }), provenance
end

M.schema.rewired = {
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of the exchanges" },
  swaps = { type = "number", default = 10, min = 0, max = 1000, help = "tries, times the number of edges" },
}

--- The control for "does this graph help?": the same nodes with the same degrees and other edges (Maslov and Sneppen
--- 2002). Weights and signs stay with the sources. Self-loops are left out.
---@param g userdata
---@param opts? table  see `dynamo.graph.schema.rewired`
---@return userdata graph
function M.rewired(g, opts)
  expect("rewired", g)
  local o = options.check("graph.rewired", opts, M.schema.rewired)
  local e, names = edges_of(g)
  local from, to = core.rewire(g, { seed = o.seed, swaps = o.swaps })
  e.from, e.to = from:totable(), to:totable()
  for k = 1, #e.from do e.from[k], e.to[k] = names[e.from[k]], names[e.to[k]] end
  return core.graph(names, e.from, e.to, e.size, { directed = g:directed(), signed = g:signed(),
    signs = g:signed() and e.sign, source = "rewired " .. g:info().source })
end

-- ---- graphs from numbers ----------------------------------------------------------------

M.schema.random = {
  nodes = { type = "integer", required = true, min = 2, max = 2 ^ 30, help = "how many" },
  edges = { type = "integer", required = true, min = 1, max = 2 ^ 30, help = "how many, undirected and distinct" },
  exponent = { type = "number", min = 2.01, max = 100, help = "power law of the degrees; default: all nodes alike" },
  blocks = { type = "integer", default = 1, min = 1, help = "communities: node i is in (i - 1) % blocks" },
  within = { type = "number", default = 0, min = 0, max = 1, help = "share of the edges drawn inside a community" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of all draws" },
}

--- A random graph: power-law degrees (Chung and Lu 2002), planted communities (Condon and Karp 2001), or both (Karrer and
--- Newman 2011). Nodes are n1, n2, ...
---
---     local g = dynamo.graph.random { nodes = 1000, edges = 5000, exponent = 2.5, blocks = 10, within = 0.8 }
---@param opts table  see `dynamo.graph.schema.random`
---@return userdata graph
function M.random(opts)
  local o = options.check("graph.random", opts, M.schema.random)
  if o.blocks > o.nodes then
    err.raise { code = "EOPTION", message = ("graph.random: %d blocks of %d nodes"):format(o.blocks, o.nodes) }
  end
  local a, b = core.random_edges(o.nodes, o.edges, { exponent = o.exponent, blocks = o.blocks, within = o.within,
    seed = o.seed })
  local names, from, to = {}, a:totable(), b:totable()
  for i = 1, o.nodes do names[i] = "n" .. i end
  for k = 1, o.edges do from[k], to[k] = names[from[k]], names[to[k]] end
  return core.graph(names, from, to, nil, { directed = false, source = "random" })
end

-- A graph of the k nearest of every name, from tables of numbers and similarities.
local function nearest_graph(names, id, sim, o, source)
  local e = { from = {}, to = {}, size = {} }
  for i, row in ipairs(id:totable()) do
    for c, j in ipairs(row) do
      local v = sim:get(i, c)
      if j > 0 and v > o.threshold then
        local at = #e.from + 1
        e.from[at], e.to[at], e.size[at] = names[j], names[i], v
      end
    end
  end
  return core.graph(names, e.from, e.to, e.size, { directed = o.directed, source = source })
end

M.schema.knn = {
  k = { type = "integer", default = 10, min = 1, max = 4096, help = "neighbours of a gene" },
  threshold = { type = "number", default = 0, min = 0, max = 1, help = "cosines up to this make no edge" },
  directed = { type = "boolean", default = false, help = "edges go from the neighbour to the gene" },
}

--- The graph of the k nearest neighbours by cosine of the vectors of an embedding (exact, in blocks of products).
---@param e Embedding
---@param opts? table  see `dynamo.graph.schema.knn`
---@return userdata graph
function M.knn(e, opts)
  local o = options.check("graph.knn", opts, M.schema.knn)
  local rows = {}
  for i = 1, #e.genes do rows[i] = i end
  local id, sim = core.neighbours(e.values, rows, math.min(o.k, math.max(1, #rows - 1)))
  return nearest_graph(e.genes, id, sim, o, ("%d nearest of %s"):format(o.k, e.source))
end

M.schema.annotation = {
  measure = { type = "string", default = "jaccard", values = { "jaccard", "cosine" },
    help = "shared sets over all sets of two genes, or the cosine of TF-IDF memberships" },
  top = { type = "integer", default = 20, min = 1, max = 4096, help = "neighbours of a gene, at most" },
  threshold = { type = "number", default = 0.1, min = 0, max = 1, help = "similarities up to this make no edge" },
  min_size = { type = "integer", default = 1, min = 1, help = "smallest set used" },
  max_size = { type = "integer", default = 1000000, min = 1, help = "largest set used" },
  directed = { type = "boolean", default = true, help = "edges go from the neighbour to the gene" },
}

--- The graph of genes that share gene sets. The defaults are the rule of GEARS for GO (Roohani, Huang and Leskovec 2023):
--- Jaccard's index above 0.1, the 20 largest of every gene; its self-loops are left out.
---@param sets table|string  { sets = {...} } as dynamo.annotation.read gives it, or GMT files
---@param opts? table  see `dynamo.graph.schema.annotation`
---@return userdata graph
function M.annotation(sets, opts)
  local o = options.check("graph.annotation", opts, M.schema.annotation)
  local annotation = require "dynamo.annotation"
  if type(sets) == "string" or type(sets[1]) == "string" then sets = annotation.read(sets) end
  local genes, seen = {}, {}
  for _, s in ipairs(sets.sets or sets) do
    for _, g in ipairs(s.genes) do
      if not seen[g] then seen[g], genes[#genes + 1] = true, g end
    end
  end
  table.sort(genes)
  if #genes < 2 then err.raise { code = "EVALUE", message = "graph.annotation: fewer than two genes" } end
  local m = core.membership(genes, sets.sets or sets, { least = o.min_size, most = o.max_size })
  local id, sim = core.similar_rows(m, math.min(o.top, #genes - 1), { jaccard = o.measure == "jaccard" })
  return nearest_graph(genes, id, sim, o, o.measure .. " of sets")
end

--- The network of correlated genes; see dynamo.coexpression.graph.
---@param data table|string
---@param opts? table  see `dynamo.coexpression.schema.graph`
---@return userdata graph
function M.coexpression(data, opts) return require("dynamo.coexpression").graph(data, opts) end

return M
