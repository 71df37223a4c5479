--- The two graphs of GEARS: co-expression of genes, similarity of perturbed genes.
local core = require "dynamo.core"
local err = require "dynamo.error"
local gears_net = require "dynamo.gears_net"
local label = require "dynamo.label"
local peer = require "dynamo.peer"
local responses = require "dynamo.responses"

local M = {}

-- Edges of every node from itself and from what a table of neighbours (numbers, strengths) has above `least`.
local function edges(id, strength, least)
  local from, to, weight = {}, {}, {}
  local n, k = id:size(1), id:size(2)
  for i = 1, n do
    from[#from + 1], to[#to + 1], weight[#weight + 1] = i, i, 1
    for j = 1, k do
      local other = id:get(i, j)
      if other > 0 and other ~= i and strength:get(i, j) > least then
        from[#from + 1], to[#to + 1], weight[#weight + 1] = other, i, strength:get(i, j)
      end
    end
  end
  return gears_net.propagation(n, from, to, weight)
end

-- Controls and cells of singles among the training rows.
local function coexpressed(R, set, rows)
  local list, seen = {}, {}
  for _, i in ipairs(rows) do
    local c = R.rows[i].context
    if not seen[c] then
      seen[c] = true
      for _, cell in ipairs(set.control[c]) do list[#list + 1] = cell end
    end
    if #R.rows[i].targets == 1 then
      for _, cell in ipairs(set.of_row[i]) do list[#list + 1] = cell end
    end
  end
  return list
end

--- The co-expression graph: |Pearson| over control cells and cells of singles, per gene the `top` largest beside itself,
--- then those above `threshold`. Without enough cells, or genes: every gene alone.
---@param R table Responses
---@param set table of cells.of
---@param rows integer[] training rows
---@param o table { top =, threshold = }
---@return table propagation
function M.expression(R, set, rows, o)
  local list, G = coexpressed(R, set, rows), #R.genes
  if #list < 3 or G < 2 then return gears_net.propagation(G, {}, {}, {}) end
  local x = set.x:index(1, list)
  local id, r = core.correlated(core.is_sparse(x) and x or x:to "float", math.min(o.top, G - 1), { absolute = true })
  return edges(id, r, o.threshold)
end

-- Genes with sets: the Jaccard index of their sets, the `top` largest beside themselves, above `overlap`.
local function from_sets(o, e)
  local count, keep, nodes = e.membership:row_sums(), {}, {}
  for i, g in ipairs(e.genes) do
    if count:get(i) > 0 then keep[#keep + 1], nodes[#nodes + 1] = i, g end
  end
  if #nodes < 2 then return nil end
  local id, s = core.similar_rows(e.membership:rows(keep), math.min(o.top, #nodes - 1), { jaccard = true })
  return nodes, edges(id, s, o.overlap)
end

-- Genes of a graph, each with its neighbours of either direction.
local function from_graph(graph)
  local nodes, from, to, weight = graph:names(), {}, {}, {}
  local at = responses.places(nodes)
  for i, g in ipairs(nodes) do
    local near, w = graph:neighbours(g, "both")
    local seen = {}
    for k, h in ipairs(near) do
      if at[h] ~= i and not seen[h] then
        seen[h] = true
        from[#from + 1], to[#to + 1], weight[#weight + 1] = at[h], i, math.max(math.abs(w[k]), 1e-3)
      end
    end
  end
  return nodes, gears_net.propagation(#nodes, from, to, weight)
end

-- For genes of the experiment's graph that are no nodes: the nodes around them.
local function neighbours_outside(graph, place)
  local out = {}
  for _, g in ipairs(graph and graph:names() or {}) do
    if not place[g] then
      local list = {}
      for _, h in ipairs((graph:neighbours(g, "both"))) do list[#list + 1] = place[h] end
      if #list > 0 then out[g] = list end
    end
  end
  return out
end

--- The graph of perturbed genes: of the options, of the embedding's sets, or that of the experiment. EOPTION without any.
---@param o table options of baseline.gears
---@param e table? Embedding
---@param graph userdata? Graph
---@return table { nodes =, place =, conv = propagation, around = nodes beside genes that are none }
function M.perturbation(o, e, graph)
  local nodes, conv
  if not o.graph and e and e.membership then nodes, conv = from_sets(o, e) end
  if not nodes then
    local own = o.graph or graph
    if not own then
      err.raise { code = "EOPTION", message = "baseline.gears: needs a graph of genes, or an embedding made from sets",
        hint = "graph = dynamo.graph.read \"edges.csv\"" }
    end
    nodes, conv = from_graph(own)
  end
  local place = responses.places(nodes)
  return { nodes = nodes, place = place, conv = conv, around = neighbours_outside(graph, place) }
end

-- ---- files ---------------------------------------------------------------------------------

--- Put a propagation into the tables of a file.
function M.pack(t, at, conv)
  t.tensors[at .. "start"], t.tensors[at .. "cols"], t.tensors[at .. "values"] = conv.forward:csr()
end

--- A propagation over n nodes from a file; EFORMAT if it is none.
function M.unpack(t, at, n, path)
  local start = peer.tensor(t, at .. "start", path, n + 1)
  local values = t.tensors[at .. "values"]
  local count = values and values:count() or 0
  local ok, S = pcall(core.sparse_csr, n, n, start, peer.tensor(t, at .. "cols", path, count),
    peer.tensor(t, at .. "values", path, count))
  if not ok then err.raise { code = "EFORMAT", file = path, message = ("%s: %s: %s"):format(path, at, err.tostring(S)) } end
  return { forward = S, back = S:t() }
end

--- Lists of nodes beside genes from the configuration of a file; EFORMAT if a number is no node.
function M.around(t, n, path)
  local out = {}
  for g, list in pairs(type(t) == "table" and t or {}) do
    for _, node in ipairs(list) do
      if type(node) ~= "number" or node % 1 ~= 0 or node < 1 or node > n then
        err.raise { code = "EFORMAT", file = path, message = ("%s: '%s' is beside node %s of %d"):format(path,
          label.safe(tostring(g)), tostring(node), n) }
      end
    end
    out[g] = list
  end
  return out
end

return M
