--- Vectors for genes that have none, by a chain that is declared: what dynamo.embedding's complete is made of.
--
--     local full = e:complete(genes, { grn, dynamo.embed.text(summaries), "mean" })
--     full.origin.KLF1                  -- nil: its own vector; "neighbours" or "mean": how it got one
--     full.origin_source.KLF1           -- of whom: "collectri.csv (3 genes)"
--
-- Nobody gets zeros. Predictions carry the same words in their flags.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.complete = {
  k = { type = "integer", default = 10, min = 1, max = 4096, help = "neighbours in an embedding, at most" },
}

local BLOCK = 256 -- genes whose similarities are held at a time

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

-- ---- neighbours --------------------------------------------------------------

-- Of each gene: places of genes with vectors of their own that are joined to it, and the sizes of the weights.
local function in_graph(e, g, genes)
  local out = {}
  for i, gene in ipairs(genes) do
    local list = { at = {}, weight = {} }
    if g:find(gene) then
      local names, weights = g:neighbours(gene, "both")
      for k, name in ipairs(names) do
        local w = math.abs(weights[k])
        if e:index(name) and w > 0 then
          list.at[#list.at + 1], list.weight[#list.weight + 1] = e:index(name), w
        end
      end
    end
    out[i] = list
  end
  return out
end

-- The k largest positive ones of a row of similarities to the genes at `places`.
local function largest(row, places, k)
  local list, order = { at = {}, weight = {} }, row:argsort(true)
  for c = 1, math.min(k, #order) do
    local w = row:get(order[c])
    if w <= 0 then break end
    list.at[c], list.weight[c] = places[order[c]], w
  end
  return list
end

-- The same by the cosine of another embedding (of set membership or terms if it has them).
local function in_embedding(e, other, genes, k)
  local names, places, out = {}, {}, {}
  for i, name in ipairs(e.genes) do
    if other:has(name) then names[#names + 1], places[#places + 1] = name, i end
  end
  local asked, asked_at = {}, {}
  for i, gene in ipairs(genes) do
    out[i] = { at = {}, weight = {} }
    if #names > 0 and other:has(gene) then asked[#asked + 1], asked_at[#asked_at + 1] = gene, i end
  end
  for lo = 1, #asked, BLOCK do
    local some = {}
    for i = lo, math.min(#asked, lo + BLOCK - 1) do some[#some + 1] = asked[i] end
    local s = other:similarity(some, names)
    for i = 1, #some do out[asked_at[lo + i - 1]] = largest(s:select(1, i), places, k) end
  end
  return out
end

-- ---- one step of the chain -----------------------------------------------------

-- Weighted means of rows of the vectors, tensor double (#lists, d).
local function mixed(e, lists)
  local rows, cols, values = {}, {}, {}
  for i, list in ipairs(lists) do
    local sum = 0
    for _, w in ipairs(list.weight) do sum = sum + w end
    for k, at in ipairs(list.at) do
      rows[#rows + 1], cols[#cols + 1], values[#values + 1] = i, at, list.weight[k] / sum
    end
  end
  return core.sparse(#lists, #e.genes, rows, cols, values):matmul(e.values:to "double")
end

local function title(step)
  if core.is_graph(step) then
    local source = step:info().source
    return source ~= "" and source or "graph"
  end
  return step.source
end

-- What a step gives: the genes that it has an answer for, their vectors, lists of neighbours, and the others.
local function take(e, step, genes, o)
  if step == "mean" then
    local n = #genes
    return genes, core.zeros(n, e:dim(), "double") + e.values:to("double"):mean(1), {}, {}
  end
  local lists = core.is_graph(step) and in_graph(e, step, genes) or in_embedding(e, step, genes, o.k)
  local found, kept, left = {}, {}, {}
  for i, gene in ipairs(genes) do
    if #lists[i].at > 0 then found[#found + 1], kept[#kept + 1] = gene, lists[i] else left[#left + 1] = gene end
  end
  return found, #found > 0 and mixed(e, kept) or nil, kept, left
end

--- Raises EOPTION unless `chain` is a list of Graphs, Embeddings (or what `also` accepts) with "mean" at most last.
---@param chain any
---@param also? function  recipes, which are built later
function M.check(chain, also)
  if type(chain) ~= "table" or #chain == 0 then
    err.raise { code = "EOPTION", message = ("complete: a list of Graphs, Embeddings and \"mean\" expected (got %s)")
      :format(options.quote(chain)) }
  end
  for i, step in ipairs(chain) do
    local good = step == "mean" or core.is_graph(step) or require("dynamo.embedding").is(step) or also and also(step)
    if not good then
      err.raise { code = "EOPTION", message = ("complete: step %d of the chain must be a Graph, an Embedding or \"mean\" "
        .. "(got %s)"):format(i, options.quote(step)) .. (type(step) == "string" and options.suggestion(step, { "mean" })
        or "") }
    end
    if step == "mean" and i < #chain then
      err.raise { code = "EOPTION", message = ("complete: \"mean\" is step %d of %d; nothing can follow it"):format(i,
        #chain) }
    end
  end
end

-- Rows of set membership (or terms) of the completed genes below those that are there.
local function extended(e, lists_of, added)
  local m = e.membership
  local rows, cols, values = {}, {}, {}
  for i = 1, #e.genes do
    local js, vs = m:row(i)
    for k, j in ipairs(js) do rows[#rows + 1], cols[#cols + 1], values[#values + 1] = i, j, vs[k] end
  end
  for i, gene in ipairs(added) do
    local sum, order, length = {}, {}, 0
    local list = lists_of[gene] or { at = {}, weight = {} }
    for k, at in ipairs(list.at) do
      local js, vs = m:row(at)
      for c, j in ipairs(js) do
        if not sum[j] then sum[j], order[#order + 1] = 0, j end
        sum[j] = sum[j] + list.weight[k] * vs[c]
      end
    end
    for _, j in ipairs(order) do length = length + sum[j] ^ 2 end
    for _, j in ipairs(order) do
      rows[#rows + 1], cols[#cols + 1], values[#values + 1] = #e.genes + i, j, sum[j] / math.sqrt(length)
    end
  end
  return core.sparse(#e.genes + #added, select(2, m:size()), rows, cols, values)
end

-- Distinct names without a vector, in their order.
local function without_vector(e, genes)
  local out, seen = {}, {}
  for _, g in ipairs(genes) do
    if not e:has(g) and not seen[g] then out[#out + 1] = g end
    seen[g] = true
  end
  return out
end

local function merged(a, b)
  local out = {}
  for k, v in pairs(a or {}) do out[k] = v end
  for k, v in pairs(b) do out[k] = v end
  return out
end

--- The embedding with vectors for those of `genes` that have none. Each step of the chain is tried in turn: a Graph (genes
--- joined to it in either direction, by |weight|), another Embedding (the k nearest with a positive cosine, by cosine), or
--- "mean" (the mean of all vectors; last). The vector is the weighted mean of the neighbours' own vectors.
---
--- `origin` maps a completed gene to "neighbours" or "mean" (as in the flags of predictions), `origin_source` to where it is
--- from; `left_out` has the genes that no step knows. e:similarity of a gene that got the mean is 0 with every gene. Raises
--- EOPTION (a wrong chain).
---@param e Embedding
---@param genes string[]
---@param chain table  { graph, embedding, "mean" }, any of them
---@param opts? table  see `dynamo.complete.schema.complete`
---@return Embedding
function M.complete(e, genes, chain, opts)
  local o = options.check("complete", opts, M.schema.complete)
  M.check(chain)
  if #e.genes == 0 then raise("complete: " .. e.source .. " has no genes") end
  local todo, added, blocks = without_vector(e, genes), {}, { e.values:to "double" }
  local origin, source, lists_of = {}, {}, {}
  for _, step in ipairs(chain) do
    if #todo == 0 then break end
    local found, values, lists, left = take(e, step, todo, o)
    for i, gene in ipairs(found) do
      added[#added + 1], lists_of[gene] = gene, lists[i]
      origin[gene] = step == "mean" and "mean" or "neighbours"
      source[gene] = step == "mean" and "mean" or ("%s (%d gene%s)"):format(title(step), #lists[i].at,
        #lists[i].at == 1 and "" or "s")
    end
    if values then blocks[#blocks + 1] = values end
    todo = left
  end
  local names = {}
  for _, list in ipairs { e.genes, added } do
    for _, g in ipairs(list) do names[#names + 1] = g end
  end
  local fields = merged(e, { genes = names, values = core.cat(blocks, 1), left_out = todo, origin = merged(e.origin, origin),
    origin_source = merged(e.origin_source, source) })
  if e.membership then fields.membership = extended(e, lists_of, added) end
  return require("dynamo.embedding").new(fields)
end

return M
