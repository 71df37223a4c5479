--- A prediction and its report: top genes with direction, gene sets, types of doubles, as HTML and CSV.
--
--     local p = dynamo.predict.main { model = "model.dynamo", genes = { "KLF1", "KLF1+MAP2K6" }, silent = true }
--     p:report { path = "klf1.html", sets = dynamo.annotation.read "h.all.gmt.gz" }
local core = require "dynamo.core"
local calibration = require "dynamo.calibration"
local enrichment = require "dynamo.enrichment"
local err = require "dynamo.error"
local interaction = require "dynamo.interaction"
local label = require "dynamo.label"
local options = require "dynamo.options"
local prepare = require "dynamo.prepare"
local report = require "dynamo.report"
local tabular = require "dynamo.table"

local M = { schema = {} }

local class = {}
class.__index = class

--- A prediction from its parts: rows ({ perturbation, targets, context, coverage }), delta (n, G), control (G), genes, and the
--- model if uncertainty and doubles are wanted.
---@param t table
---@return table
function M.new(t) return setmetatable(t, class) end

local function env(self)
  local control = {}
  for _, r in ipairs(self.rows) do control[r.context] = self.control end
  return { control = control }
end

-- What each member of the model predicts for rows; the model's own prediction where it is no ensemble.
local function members_of(self, rows)
  local m = self.model
  local ok, list = pcall(calibration.members, m, rows, env(self))
  if ok then return list end
  return { (m:predict(rows, env(self))) }
end

--- Standard deviation over the members of the model: Tensor (n, G), or nil if it is no ensemble.
---@return userdata?
function class:spread()
  if self.sd == nil then
    local list = self.model and members_of(self, self.rows) or {}
    self.sd = #list > 1 and select(2, calibration.spread(list)) or false
  end
  return self.sd or nil
end

--- The genes of row i that change most: { gene, direction = "up" or "down", delta (log1p units), log2fc, sd = over members or
--- nil, target = whether it was perturbed }, largest |delta| first.
---@param i integer
---@param k? integer  default 20
---@return table[]
function class:top(i, k)
  local d, sd, own, out = self.delta:select(1, i), self:spread(), {}, {}
  local fold = prepare.log2_fold((self.control + d):maximum(0), self.control)
  for _, g in ipairs(self.rows[i].targets) do own[g] = true end
  for place, j in ipairs((d:abs() * -1):argsort()) do
    if place > (k or 20) then break end
    local v = d:get(j)
    out[place] = { gene = self.genes[j], direction = v > 0 and "up" or v < 0 and "down" or "none", delta = v,
      log2fc = fold:get(j), sd = sd and sd:get(i, j) or nil, target = own[self.genes[j]] or false }
  end
  return out
end

--- Gene sets of row i, see enrichment.ranked and enrichment.hypergeometric ("up" and "down" apart).
---@param i integer
---@param sets table  of annotation.read
---@param opts? table  method = "ranked" or "hypergeometric", top (genes each way), min, max
---@return table[]
function class:enrichment(i, sets, opts)
  local o = options.check("prediction.enrichment", opts, M.schema.enrichment)
  local d, how = self.delta:select(1, i), { min = o.min, max = o.max }
  if o.method == "ranked" then return enrichment.ranked(d, self.genes, sets, how) end
  local out = {}
  for _, way in ipairs { { "up", -1 }, { "down", 1 } } do
    local order, list = (d * way[2]):argsort(), {}
    for place = 1, math.min(o.top, #order) do
      if d:get(order[place]) * way[2] < 0 then list[#list + 1] = self.genes[order[place]] end
    end
    for _, r in ipairs(enrichment.hypergeometric(list, sets, self.genes, how)) do
      r.direction, r.leading = way[1], r.genes
      out[#out + 1] = r
    end
  end
  table.sort(out, function(a, b)
    return a.p < b.p or a.p == b.p and (a.set < b.set or a.set == b.set and a.direction < b.direction)
  end)
  return out
end

M.schema.enrichment = {
  method = { default = "ranked", values = { "ranked", "hypergeometric" }, help = "all genes by rank, or the top ones" },
  top = { default = 100, type = "integer", min = 1, help = "hypergeometric: genes in each direction" },
  min = { default = 5, type = "integer", min = 1, help = "measured genes that a set must have" },
  max = { default = 500, type = "integer", min = 1, help = "and may have" },
}

local MOST = 1000 -- genes that count in doubles: distances are of all pairs

-- Columns of the most expressed genes, ascending.
local function expressed(self)
  local order, out = (self.control * -1):argsort(), {}
  for k = 1, math.min(MOST, #order) do out[k] = order[k] end
  table.sort(out)
  return out
end

--- Types of the doubles among the rows (interaction.predicted): over the 1,000 most expressed genes; intervals and support are
--- over the members of an ensemble of five or more. Empty without a model.
---@param opts? table  see interaction.schema.table
---@return table[]
function class:doubles(opts)
  local list = {}
  for _, r in ipairs(self.rows) do
    if #r.targets == 2 then list[#list + 1] = r end
  end
  if #list == 0 or not self.model then return {} end
  local columns = expressed(self)
  return interaction.predicted(list, function(rows)
    local out = members_of(self, rows)
    for k, t in ipairs(out) do out[k] = t:index(2, columns) end
    return out
  end, opts)
end

-- ---- report -----------------------------------------------------------------------------

M.schema.report = {
  path = { type = "string", help = "file.html; tables go beside it as file_genes.csv, file_sets.csv, file_doubles.csv" },
  sets = { type = "table|string", help = "gene sets of annotation.read, a GMT file or a list of them" },
  method = M.schema.enrichment.method,
  top = { default = 20, type = "integer", min = 1, help = "genes and sets per perturbation in the page" },
}

local function sets_of(v)
  if type(v) == "string" or type(v) == "table" and type(v[1]) == "string" then return require("dynamo.annotation").read(v) end
  return v
end

local GENES = { "perturbation", "context", "coverage", "rank", "gene", "direction", "delta", "log2fc", "sd", "target" }
local SETS = { "perturbation", "context", "set", "direction", "size", "p", "q", "genes" }
local DOUBLES = { "perturbation", "context", "type", "support", "call", "c1", "c2", "magnitude", "magnitude_lo", "magnitude_hi",
  "dominance", "fit_corr", "similarity", "equality", "interaction" }

local function gene_lines(self, k)
  local out = {}
  for i, r in ipairs(self.rows) do
    for place, g in ipairs(self:top(i, k)) do
      out[#out + 1] = { r.perturbation, r.context, r.coverage or "", place, g.gene, g.direction, g.delta, g.log2fc,
        g.sd or 0 / 0, g.target and 1 or 0 }
    end
  end
  return out
end

local function set_lines(self, sets, o)
  local out, of = {}, {}
  for i, r in ipairs(self.rows) do
    of[i] = self:enrichment(i, sets, { method = o.method })
    for _, e in ipairs(of[i]) do
      out[#out + 1] = { r.perturbation, r.context, e.set, e.direction, e.size, e.p, e.q, table.concat(e.leading, " ") }
    end
  end
  return out, of
end

local function double_lines(list)
  local out = {}
  for i, d in ipairs(list) do
    local m = d.interval and d.interval.magnitude or {}
    out[i] = { d.perturbation, d.context, d.type or "", d.support or 0 / 0, d.call or "", d.c1, d.c2, d.magnitude,
      m[1] or 0 / 0, m[2] or 0 / 0, d.dominance, d.fit_corr, d.similarity, d.equality, d.interaction }
  end
  return out
end

local function gene_table(self, i, k)
  local r = self.rows[i]
  local t = { title = ("%s in %s (%s)"):format(r.perturbation, r.context, r.coverage or "?"), rows = {},
    columns = { "gene", "direction", "change (log1p)", "log2 fold", "sd of members" } }
  for place, g in ipairs(self:top(i, k)) do
    t.rows[place] = { g.gene .. (g.target and " (perturbed)" or ""), g.direction, g.delta, g.log2fc, g.sd or 0 / 0 }
  end
  return t
end

local function set_table(r, list, k)
  local t = { title = ("gene sets of %s"):format(r.perturbation), rows = {}, columns = { "set", "direction", "genes", "p", "q",
    "leading genes" } }
  for place = 1, math.min(k, #list) do
    local e = list[place]
    t.rows[place] = { e.set, e.direction, e.size, ("%.2g"):format(e.p), ("%.2g"):format(e.q), table.concat(e.leading, " ") }
  end
  return t
end

local function double_table(list)
  local t = { title = "doubles", rows = {}, columns = { "double", "type", "support", "call", "magnitude", "fit", "similarity",
    "equality", "interaction" }, notes = { "magnitude: 1.41 is additive. Types are ranks among these doubles (none below five): "
    .. "synergy, suppression (magnitude), neomorphism (low fit), redundancy (high similarity), epistasis (low equality). Support: "
    .. "share of the model's members with the same type." } }
  for i, d in ipairs(list) do
    local m = d.interval and d.interval.magnitude or {}
    t.rows[i] = { d.perturbation, d.type or "", d.support or 0 / 0, d.call or "", tabular.interval(d.magnitude, m[1], m[2]),
      d.fit_corr, d.similarity, d.equality, d.interaction }
  end
  return t
end

local function write(path, page, tables)
  report.write(path, page)
  local stem, files = path:gsub("%.html$", ""), { path }
  for _, t in ipairs(tables) do
    if #t[3] > 0 then
      files[#files + 1] = ("%s_%s.csv"):format(stem, t[1])
      core.write_file(files[#files], tabular.csv(t[2], t[3]))
    end
  end
  return files
end

--- Report of a prediction: per perturbation the genes that change most with direction, with `sets` gene sets, and for doubles
--- their type with the uncertainty of the ensemble. With `path` (.html) the page and its tables are written.
---
--- Raises EUSAGE: a path that does not end in .html; EIO, EFORMAT: gene sets.
---@param opts? table  see prediction.schema.report
---@return table page  { title, tables, ... } of dynamo.report
---@return string[] files
function class:report(opts)
  local o = options.check("prediction.report", opts, M.schema.report)
  if o.path and not o.path:match "%.html$" then
    err.raise { code = "EUSAGE", message = ("report '%s': a name ending in .html expected"):format(label.safe(o.path)) }
  end
  local sets, page = sets_of(o.sets), { title = "Predicted responses", tables = {}, notes = {} }
  local lines, of = {}, {}
  if sets then lines, of = set_lines(self, sets, o) end
  for i, r in ipairs(self.rows) do
    page.tables[#page.tables + 1] = gene_table(self, i, o.top)
    if sets then page.tables[#page.tables + 1] = set_table(r, of[i], o.top) end
  end
  local doubles = self:doubles()
  if #doubles > 0 then page.tables[#page.tables + 1] = double_table(doubles) end
  page.facts = { { "Model", tostring(self.model or "?") }, { "Perturbations", #self.rows }, { "Genes", #self.genes } }
  if sets then page.facts[4] = { "Gene sets", tostring(sets) } end
  page.notes[1] = "Predictions are means; the sd of members is what an ensemble disagrees by, not what new cells would vary by."
  return page, o.path and write(o.path, page, { { "genes", GENES, gene_lines(self, 100) }, { "sets", SETS, lines },
    { "doubles", DOUBLES, double_lines(doubles) } }) or {}
end

return M
