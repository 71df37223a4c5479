--- Do vectors know biology? AUROC of telling from the cosine of two genes whether they share a gene set (GO, Reactome), on
-- genes that all embeddings cover.
--
--     local r = dynamo.biology.shared({ { name = "text", e = e1 }, { name = "walk", e = e2 } }, "reactome.gmt.gz")
--     r.auroc.text, r.auroc.walk, #r.genes
local core = require "dynamo.core"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.shared = {
  least = { type = "integer", default = 3, min = 2, help = "smallest set (of the genes compared) that counts" },
  most = { type = "integer", default = 500, min = 2, help = "largest set that counts" },
  genes = { type = "integer", default = 800, min = 10, max = 5000, help = "drawn from those that all cover, at most" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of that draw" },
}

--- The list of sets in what people give: GMT files, what annotation.read gives, or a list of { name =, genes = }.
---@param v table|string
---@return table[]
function M.sets(v)
  if type(v) == "string" or type(v[1]) == "string" then v = require("dynamo.annotation").read(v) end
  return v.sets or v
end

-- Genes of the sets that have a vector of their own in every embedding that has to; `most` of them at most.
local function common(list, sets, o)
  local inside, genes = {}, {}
  for _, s in ipairs(sets) do
    for _, g in ipairs(#s.genes <= o.most and s.genes or {}) do inside[g] = true end
  end
  for _, g in ipairs(label.sorted_keys(inside)) do
    local all = true
    for _, x in ipairs(list) do all = all and (x.control or x.small or x.e:flag(g) == "embedding") end
    if all then genes[#genes + 1] = g end
  end
  local order, some = core.permutation(#genes, o.seed, "compare.biology"), {}
  for i = 1, math.min(o.genes, #genes) do some[i] = genes[order[i]] end
  return some
end

local function cosines(e, genes)
  local rows = {}
  for i, g in ipairs(genes) do rows[i] = e:index(g) end
  return core.cosine(e.values, rows, rows)
end

--- AUROC of every embedding and control: 0.5 is chance, 1 if every pair with a common set is nearer than every pair without.
--- Cosines are of the vectors alone. An embedding that was made from these sets has seen the answer. Less than 10 genes in
--- common: no numbers. Time O(genes^2 dim).
---@param list table[]  { name =, e = Embedding, control or small = true for one that need not cover them }
---@param sets table|string  see biology.sets
---@param opts? table  see `dynamo.biology.schema.shared`
---@return table # { genes = the names compared, auroc = { [name] = number } }
function M.shared(list, sets, opts)
  local o = options.check("biology.shared", opts, M.schema.shared)
  sets = M.sets(sets)
  local r = { genes = common(list, sets, o), auroc = {} }
  local n = #r.genes
  if n < 10 then return r end
  local m = core.membership(r.genes, sets, { least = o.least, most = o.most })
  local off = core.full(1, n, n, "double") - core.eye(n, "double")
  local shares = m:matmul(m:t():dense "double"):gt(0):to "double"
  for _, x in ipairs(list) do
    if x.e:coverage(r.genes).share == 1 then
      r.auroc[x.name] = core.auroc_cols(cosines(x.e, r.genes):reshape(n * n, 1), shares:reshape(n * n, 1),
        off:reshape(n * n, 1)):get(1)
    end
  end
  return r
end

--- Gene sets that tell something apart in a picture of `genes`: the largest of at most a fifth of them, with little overlap.
---@param genes string[]
---@param sets table[]
---@param count integer  at most so many
---@return table[] sets
function M.telling(genes, sets, count)
  local known, ranked = {}, {}
  for _, g in ipairs(genes) do known[g] = true end
  for i, s in ipairs(sets) do
    local inside = {}
    for _, g in ipairs(s.genes) do if known[g] then inside[#inside + 1] = g end end
    if #inside >= 5 and #inside <= #genes / 5 then
      ranked[#ranked + 1] = { name = s.name or tostring(i), genes = inside, place = i }
    end
  end
  table.sort(ranked, function(a, b) return #a.genes > #b.genes or #a.genes == #b.genes and a.place < b.place end)
  local out, taken = {}, {}
  for _, s in ipairs(ranked) do
    local again = 0
    for _, g in ipairs(s.genes) do again = again + (taken[g] and 1 or 0) end
    if #out < count and again <= 0.2 * #s.genes then
      out[#out + 1] = s
      for _, g in ipairs(s.genes) do taken[g] = true end
    end
  end
  return out
end

return M
