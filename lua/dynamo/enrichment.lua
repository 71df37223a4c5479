--- Gene sets in a response: over-representation among its top genes, or shifted ranks of all genes.
--
--     local sets = dynamo.annotation.read "h.all.gmt.gz"
--     dynamo.enrichment.ranked(delta, genes, sets)          -- every gene counts
--     dynamo.enrichment.hypergeometric(top, sets, genes)    -- the top genes against all measured ones
local core = require "dynamo.core"
local err = require "dynamo.error"
local metrics = require "dynamo.metrics"
local options = require "dynamo.options"

local M = { schema = {} }

local size_rules = {
  min = { default = 5, type = "integer", min = 1, help = "measured genes that a set must have" },
  max = { default = 500, type = "integer", min = 1, help = "and may have" },
}

-- Sets with their measured genes: { name, at = places in the list of genes }.
local function measured(sets, genes, o)
  local place, out = require("dynamo.responses").places(genes), {}
  if type(sets) ~= "table" or type(sets.sets) ~= "table" then
    err.raise { code = "EOPTION", message = "enrichment: gene sets expected, as of annotation.read (got " .. options.quote(sets) .. ")" }
  end
  for _, set in ipairs(sets.sets) do
    local at, seen = {}, {}
    for _, g in ipairs(set.genes) do
      if place[g] and not seen[g] then at[#at + 1], seen[g] = place[g], true end
    end
    if #at >= o.min and #at <= o.max then out[#out + 1] = { name = set.name, at = at } end
  end
  return out
end

-- q (BH) of all, and the most significant first; ties by name.
local function finish(list)
  local p = {}
  for i, r in ipairs(list) do p[i] = r.p end
  if #list == 0 then return list end
  for i, q in ipairs(core.bh(core.tensor(p, "double")):totable()) do list[i].q = q end
  table.sort(list, function(a, b) return a.p < b.p or a.p == b.p and a.set < b.set end)
  return list
end

-- log of n!, for n = 0 .. all.
local function log_factorials(all)
  local out = { [0] = 0 }
  for n = 1, all do out[n] = out[n - 1] + math.log(n) end
  return out
end

-- P(X >= k), X hits among `drawn` of `all` genes of which `size` are in the set.
local function tail(f, k, all, size, drawn)
  local function choose(n, r) return f[n] - f[r] - f[n - r] end
  local sum, below = 0, choose(all, drawn)
  for x = k, math.min(size, drawn) do
    if drawn - x <= all - size then sum = sum + math.exp(choose(size, x) + choose(all - size, drawn - x) - below) end
  end
  return math.min(1, sum)
end

M.schema.hypergeometric = size_rules

--- Over-representation of gene sets among some genes (hypergeometric, one-sided; BH over sets): list of { set, overlap, size,
--- expected, p, q, genes }, most significant first. Genes that are not measured count nowhere.
---@param top string[]    the genes, such as the 100 with the largest predicted change
---@param sets table      of annotation.read
---@param genes string[]  all measured genes
---@param opts? table     min, max: measured genes of a set
---@return table[]
function M.hypergeometric(top, sets, genes, opts)
  local o = options.check("enrichment.hypergeometric", opts, M.schema.hypergeometric)
  local f, hit, drawn = log_factorials(#genes), {}, 0
  local place, out = require("dynamo.responses").places(genes), {}
  for _, g in ipairs(top) do
    if place[g] and not hit[place[g]] then hit[place[g]], drawn = true, drawn + 1 end
  end
  for _, set in ipairs(measured(sets, genes, o)) do
    local both = {}
    for _, j in ipairs(set.at) do
      if hit[j] then both[#both + 1] = genes[j] end
    end
    table.sort(both)
    out[#out + 1] = { set = set.name, overlap = #both, size = #set.at, expected = drawn * #set.at / #genes, genes = both,
      p = tail(f, #both, #genes, #set.at, drawn) }
  end
  return finish(out)
end

M.schema.ranked = size_rules

--- Pre-ranked enrichment: whether the values of a set's genes are shifted against all others (rank sum with mid-ranks, normal
--- approximation corrected for ties, two-sided; BH over sets): list of { set, size, direction = "up" or "down", z, auc, p, q,
--- leading = up to ten genes of the set that are farthest that way }, most significant first.
---@param values userdata  Tensor (G), such as predicted changes
---@param genes string[]
---@param sets table       of annotation.read
---@param opts? table      min, max: measured genes of a set
---@return table[]
function M.ranked(values, genes, sets, opts)
  local o = options.check("enrichment.ranked", opts, M.schema.ranked)
  local n, out, z = #genes, {}, {}
  local rank, ties = metrics.midranks(values:totable())
  ties = 1 - ties / (n ^ 3 - n)
  for _, set in ipairs(measured(sets, genes, o)) do
    local m, sum = #set.at, 0
    for _, j in ipairs(set.at) do sum = sum + rank[j] end
    local sd = math.sqrt(math.max(0, ties) * m * (n - m) * (n + 1) / 12)
    local r = { set = set.name, size = m, z = sd > 0 and (sum - m * (n + 1) / 2) / sd or 0,
      auc = m < n and (sum - m * (m + 1) / 2) / (m * (n - m)) or 0.5 }
    r.direction = r.z >= 0 and "up" or "down"
    table.sort(set.at, function(a, b)
      if rank[a] ~= rank[b] then return (rank[a] > rank[b]) == (r.z >= 0) end
      return a < b
    end)
    r.leading = {}
    for k = 1, math.min(10, m) do r.leading[k] = genes[set.at[k]] end
    out[#out + 1], z[#z + 1] = r, -math.abs(r.z)
  end
  if #out == 0 then return out end
  local zero = core.zeros(#out, "double")
  local _, below = core.crps(zero, zero + 1, core.tensor(z, "double"))
  for i, p in ipairs(below:totable()) do out[i].p = math.min(1, 2 * p) end
  return finish(out)
end

return M
