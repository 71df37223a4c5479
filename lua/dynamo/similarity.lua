--- Similarities of genes in a graph, in the form that neighbours ask an embedding for: has(gene), similarity(a, b).
--
--     baseline.knn { similarity = "ppr" }        -- uses the graph of the experiment
--     similarity.new("jaccard", graph):similarity({ "KLF1" }, { "GATA1", "MYC" })
--
-- All of them take the graph as undirected and without weights. A gene that is not in it has similarity 0 with all.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local responses = require "dynamo.responses"

local M = {}

local RESTART = 0.15
local STEPS = 100 -- .85^100 is 1e-7 of the mass
local FAR = 3     -- hops that still count

-- How a gene is known (Embedding.origin): by what is around it, not by a vector of its own.
local by_neighbours = setmetatable({}, { __index = function() return "neighbours" end })

-- Neighbours of a gene as a list of distinct names, in order, without itself.
local function around(graph, gene)
  if not graph:find(gene) then return {} end
  local set = {}
  for _, g in ipairs((graph:neighbours(gene, "both"))) do set[g] = true end
  set[gene] = nil
  return label.sorted_keys(set)
end

-- |N(a) and N(b)| / |N(a) or N(b)| of the sets of neighbours.
local function jaccard(graph, a, b)
  local holders, size, out = {}, {}, core.zeros(#a, #b, "double")
  for j, gene in ipairs(b) do
    local near = around(graph, gene)
    size[j] = #near
    for _, g in ipairs(near) do
      holders[g] = holders[g] or {}
      table.insert(holders[g], j)
    end
  end
  for i, gene in ipairs(a) do
    local near, common = around(graph, gene), {}
    for _, g in ipairs(near) do
      for _, j in ipairs(holders[g] or {}) do common[j] = (common[j] or 0) + 1 end
    end
    for j, n in pairs(common) do out:set(n / (#near + size[j] - n), i, j) end
  end
  return out
end

-- Personalised PageRank of b in a walk that goes back to a with probability .15 at every step (Page et al., 1999), with
-- each gene's own score as unit, so that a gene's similarity to itself is 1.
local function ppr(graph, a, b)
  local names = graph:names()
  local at, row, col, share = responses.places(names), {}, {}, {}
  for j, g in ipairs(names) do
    local near = around(graph, g)
    for k, h in ipairs(near) do row[#row + 1], col[#col + 1], share[#share + 1] = at[h], j, 1 / #near end
  end
  local W = core.sparse(#names, #names, row, col, share) -- columns: where a walk goes from
  local start = core.zeros(#names, #a, "double")
  for i, g in ipairs(a) do
    if at[g] then start:set(1, at[g], i) end
  end
  local p = start
  for _ = 1, STEPS do p = W:matmul(p) * (1 - RESTART) + start * RESTART end
  local out = core.zeros(#a, #b, "double")
  for i, g in ipairs(a) do
    for j, h in ipairs(b) do
      if at[g] and at[h] then out:set(p:get(at[h], i) / p:get(at[g], i), i, j) end
    end
  end
  return out
end

-- 2^-hops, up to three hops.
local function hops(graph, a, b)
  local out = core.zeros(#a, #b, "double")
  for i, g in ipairs(a) do
    for j, n in ipairs(graph:find(g) and graph:hops({ g }, b) or {}) do
      if n and n >= 0 and n <= FAR then out:set(2 ^ -n, i, j) end
    end
  end
  return out
end

local kinds = { jaccard = jaccard, ppr = ppr, hops = hops }

--- The names of the similarities that need a graph.
M.kinds = { "hops", "jaccard", "ppr" }

--- A similarity of this kind: "jaccard" of neighbourhoods, "ppr" (personalised PageRank, restart .15, relative to the
--- gene's own score) or "hops" (2^-hops, up to 3). Raises EOPTION without a graph.
---@param kind string
---@param graph userdata
---@return table  has(gene), similarity(names_a, names_b) -> Tensor double (#a, #b)
function M.new(kind, graph)
  if not graph then
    err.raise { code = "EOPTION", message = ("similarity '%s' needs a graph"):format(kind),
      hint = "graph = dynamo.graph.read \"edges.csv\"" }
  end
  return { source = kind, origin = by_neighbours, has = function(_, g) return graph:find(g) ~= nil end,
    similarity = function(_, a, b) return kinds[kind](graph, a, b) end }
end

--- Cosines of an embedding's vectors, also where it was made from sets.
---@param e table  Embedding
---@return table  has(gene), similarity(names_a, names_b)
function M.cosine(e)
  return { source = e.source, origin = e.origin, has = function(_, g) return e:has(g) end, similarity = function(_, a, b)
    local function rows(names)
      local idx = {}
      for i, g in ipairs(names) do idx[i] = e:index(g) or 0 end
      return idx
    end
    return core.cosine(e.values, rows(a), rows(b))
  end }
end

return M
