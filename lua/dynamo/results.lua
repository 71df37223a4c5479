--- Results of an experiment: scores of every row of the table for every seed, their summaries, text and files.
--
-- Intervals are over perturbations: the values of a perturbation are averaged over the seeds in which it was tested,
-- then perturbations are resampled. For labels the unit is the gene (AUROC over the test rows).
local core = require "dynamo.core"
local err = require "dynamo.error"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local options = require "dynamo.options"
local tabular = require "dynamo.table"

local M = {}

local class = {}
class.__index = class

--- The columns of results.csv.
M.columns = { "experiment", "model", "embedding", "context", "seed", "group", "reference", "genes", "metric", "value",
  "lo", "hi", "n" }

local HEAD = {
  effect = { { "pearson@control/all-target", "control" }, { "pearson@centroid/all-target", "centroid" } },
  label = { { "auroc", "AUROC" } },
}

--- Calibrated intervals of the main model (calibration.of), computed once; nil where there can be none.
---@return table?
function class:calibration()
  if self.calibrated == nil then self.calibrated = require("dynamo.calibration").of(self) or false end
  return self.calibrated or nil
end

--- The columns that a run computes: those asked for and those that its tables need; nil: evaluate.columns.
---@param asked string[]?
---@param kind string  of the responses
---@return string[]?
function M.columns_of(asked, kind)
  if not asked then return nil end
  local out, seen = {}, {}
  local function take(key)
    if not seen[key] then out[#out + 1] = key end
    seen[key] = true
  end
  for _, h in ipairs(HEAD[kind == "label" and "label" or "effect"]) do take(h[1]) end
  for _, key in ipairs(asked) do take(key) end
  return out
end

--- Results from what the runner collected.
---@param exp table
---@param job table
---@return table
function M.new(exp, job)
  local self = setmetatable({ experiment = exp, known = {} }, class)
  for k, v in pairs(job) do self[k] = v end
  self.kind = self.R.kind == "label" and "label" or "effect"
  self.contexts = self.info.contexts
  self.head = HEAD[self.kind]
  return self
end

-- ---- access --------------------------------------------------------------------------

--- The row of a model, perhaps on a certain embedding; EVALUE with the nearest name if it is not in the table.
---@param model string
---@param embedding? string
---@return table row
function class:row(model, embedding)
  local names = {}
  for _, r in ipairs(self.rows) do
    if r.model == model and (not embedding or r.embedding == embedding) then return r end
    names[#names + 1] = embedding and r.model == model and r.embedding or r.model
  end
  err.raise { code = "EVALUE", message = ("results: no row '%s'%s"):format(model .. (embedding and " on " .. embedding
    or ""), options.suggestion(embedding or model, names)) }
end

-- Values of a key and their names per seed, in one context (nil: any) and group ("all": any); with `defined` without those of
-- predictions that say nothing.
local function collect(self, row, key, context, group, defined)
  local values, names = {}, {}
  for k in ipairs(self.seeds) do
    local list, at = row.values[k][key], self.places[k]
    values[k], names[k] = {}, {}
    for i = 1, list and #at.names or 0 do
      if (not context or at.context[i] == context) and (group == "all" or at.group[i] == group) then
        local nothing = defined and row.status[k][key] and row.status[k][key][i] == "const_pred"
        values[k][#values[k] + 1], names[k][#names[k] + 1] = nothing and 0 / 0 or list[i], at.names[i]
      end
    end
  end
  return values, names
end

-- What f gives, computed once per id.
local function remembered(self, id, f)
  id = table.concat(id, "\0")
  if self.known[id] == nil then self.known[id] = f() end
  return self.known[id]
end

local function row_of(self, r) return type(r) == "table" and r or self:row(r) end

--- Mean over perturbations of a row of the table with its interval: { mean, median, lo, hi, n, n_defined }.
---@param r table|string  a row or a model's name
---@param key string      "pearson@control/all-target", ...
---@param context? string  default: the only one
---@param group? string    default "all"
---@return table
function class:summary(r, key, context, group)
  r, group = row_of(self, r), group or "all"
  return remembered(self, { "summary", r.model, r.embedding, key, tostring(context), group }, function()
    local values, names = collect(self, r, key, context, group)
    return evaluate.summarise(values, { names = names, draws = self.experiment.options.draws })
  end)
end

--- The same without predictions that say nothing (status const_pred), which count 0 in the summary.
---@return table
function class:defined(r, key, context, group)
  r, group = row_of(self, r), group or "all"
  return remembered(self, { "defined", r.model, r.embedding, key, tostring(context), group }, function()
    local values, names = collect(self, r, key, context, group, true)
    return evaluate.summarise(values, { names = names, draws = self.experiment.options.draws })
  end)
end

--- Difference of two rows on the same perturbations: { mean, lo, hi, p, n, wins }.
---@return table
function class:compare(a, b, key, context, group)
  a, b = row_of(self, a), row_of(self, b)
  return remembered(self, { "compare", a.model, a.embedding, b.model, b.embedding, key, tostring(context),
    group or "all" }, function()
    local x, names = collect(self, a, key, context, group or "all")
    local y = collect(self, b, key, context, group or "all")
    return evaluate.paired(x, y, { names = names, draws = self.experiment.options.draws })
  end)
end

--- The main model's row.
function class:main() return self.rows[1] end

--- The baseline with the highest mean (zero-shot rows only), or nil.
---@return table? row
function class:best_baseline(key, context, group)
  local best, score
  for _, r in ipairs(self.rows) do
    if r.kind == "baseline" then
      local s = self:summary(r, key, context, group).mean
      if s == s and (not score or s > score) then best, score = r, s end
    end
  end
  return best
end

--- Transfer retention of a model: mean score of the transferred over that of the native one, see evaluate.retention.
---@param model string
---@return table? nil if the experiment has no native row of it
function class:retention(model, key, context)
  local source, native, template
  for _, r in ipairs(self.rows) do
    if r.of and r.of.model == model then native, source = r, r.of end
    if r.model == "mean (native)" then template = r end
  end
  if not native then return nil end
  return remembered(self, { "retention", model, key, tostring(context) }, function()
    local x, names = collect(self, source, key, context, "all")
    local y = collect(self, native, key, context, "all")
    local t = template and collect(self, template, key, context, "all")
    return evaluate.retention(x, y, { names = names, template = t })
  end)
end

--- Mean dynamic range of a column over the tested perturbations (see dynamo.ceiling), or nil without cells.
---@param key string
---@param context? string
---@return number?
function class:range(key, context)
  local values, names = {}, {}
  for k, d in ipairs(self.dynamic_range or {}) do
    for i, v in ipairs(d[key] or {}) do
      if not context or self.places[k].context[i] == context then
        values[#values + 1], names[#names + 1] = v, self.places[k].names[i]
      end
    end
  end
  if #values == 0 then return nil end
  local mean = evaluate.summarise(values, { names = names, draws = 100 }).mean
  return mean == mean and mean or nil
end

--- Groups of the tested rows of a context, sorted; only "all" if there is one.
---@return string[]
function class:groups(context)
  local seen = {}
  for k in ipairs(self.seeds) do
    for i, g in ipairs(self.places[k].group) do
      if not context or self.places[k].context[i] == context then seen[g] = true end
    end
  end
  local list = label.sorted_keys(seen)
  if #list > 1 then table.insert(list, 1, "all") end
  return #list > 1 and list or { "all" }
end

--- How the main model covered the test rows: { embedding = 49, mean = 1, ... }, all seeds, and the tested genes without a
--- vector.
---@param context? string  default: all
---@return table<string, integer> counts, string[] missing
function class:coverage(context)
  local count, missing, seen = {}, {}, {}
  local main = self:main()
  for k, S in ipairs(self.splits) do
    for i, r in ipairs(S.test) do
      local row = self.R.rows[r]
      local inside = not context or row.context == context
      local f = main.flags[k][i] or "embedding"
      if inside then count[f] = (count[f] or 0) + 1 end
      for _, g in ipairs(inside and row.targets or {}) do
        if not seen[g] and not self.embedding:has(g) then missing[#missing + 1] = g end
        seen[g] = true
      end
    end
  end
  table.sort(missing)
  return count, missing
end

-- ---- results.csv ----------------------------------------------------------------------

local function split_key(key)
  local metric, reference, genes = key:match "^([^@]+)@([^/]+)/(.+)$"
  return metric or key, reference or "none", genes or "all"
end

local function mean_of(list)
  local sum, n = 0, 0
  for _, v in ipairs(list) do
    if v == v then sum, n = sum + v, n + 1 end
  end
  return n > 0 and sum / n or nil, n
end

local function keys_of(self)
  local seen = {}
  for _, r in ipairs(self.rows) do
    for key in pairs(r.values[1]) do seen[key] = true end
  end
  return label.sorted_keys(seen)
end

local function score_lines(self, add, r, context, group, key)
  local values = collect(self, r, key, context, group)
  for k, seed in ipairs(self.seeds) do
    local v, n = mean_of(values[k])
    if #values[k] > 0 then add(r, context, seed, group, key, v, nil, nil, n) end
  end
  local s = self:summary(r, key, context, group)
  if s.n > 0 then add(r, context, "all", group, key, s.mean == s.mean and s.mean or nil, s.lo, s.hi, s.n_defined) end
  local d = self:defined(r, key, context, group)
  if d.n_defined < s.n_defined then
    add(r, context, "all", group, key:gsub("^[^@]+", "%0_defined", 1), d.mean == d.mean and d.mean or nil, d.lo, d.hi, d.n_defined)
  end
end

-- Paired differences of the main model to every baseline, and retentions.
local function comparison_lines(self, add, context)
  local main = self:main()
  for _, h in ipairs(self.head) do
    local metric = h[1]:gsub("^[^@]+", "%0_difference", 1)
    for _, r in ipairs(self.rows) do
      if r ~= main and r.kind ~= "reference" then
        local d = self:compare(main, r, h[1], context)
        local pair = { model = main.model .. " - " .. r.model, embedding = r.embedding }
        if d.n > 0 then
          add(pair, context, "all", "all", metric, d.mean, d.lo, d.hi, d.n)
          add(pair, context, "all", "all", metric:gsub("_difference", "_difference_p", 1), d.p, nil, nil, d.n)
          add(pair, context, "all", "all", metric:gsub("_difference", "_difference_wilcoxon", 1), d.wilcoxon, nil, nil, d.n)
        end
      end
    end
    for _, r in ipairs(self.rows) do
      local t = r.of and self:retention(r.of.model, h[1], context)
      if t and t.retention then
        add({ model = r.of.model, embedding = r.of.embedding }, context, "all", "all",
          h[1]:gsub("^[^@]+", "%0_retention", 1), t.retention, t.lo, t.hi, t.n)
      end
    end
  end
end

--- The lines of results.csv: lists in the order of `results.columns`; a line per seed (lo and hi empty) and one with seed
--- "all".
---@return table[]
function class:lines()
  local out, name, keys = {}, self.experiment.options.name, keys_of(self)
  local function add(r, context, seed, group, key, value, lo, hi, n)
    local metric, reference, genes = split_key(key)
    out[#out + 1] = { name, r.model, r.embedding, context, seed, group, reference, genes, metric, value, lo, hi, n }
  end
  for _, context in ipairs(self.contexts) do
    for _, r in ipairs(self.rows) do
      for _, group in ipairs(self:groups(context)) do
        for _, key in ipairs(keys) do score_lines(self, add, r, context, group, key) end
      end
    end
    comparison_lines(self, add, context)
    for _, key in ipairs(keys) do
      local v = self:range(key, context)
      if v then
        add({ model = "duplicate - mean", embedding = "none" }, context, "all", "all", key:gsub("^[^@]+", "%0_range", 1), v)
      end
    end
  end
  return out
end

--- The text of results.csv.
---@return string
function class:csv() return tabular.csv(M.columns, self:lines()) end

--- The text of perturbations.csv, see dynamo.strata.
---@return string
function class:perturbations() return require("dynamo.strata").csv(self, keys_of(self)) end

-- ---- tables ------------------------------------------------------------------------------

local function cut(s, n) return tabular.width(s) <= n and s or s:sub(1, n - 1) .. "~" end

local function cell(s)
  if s.mean ~= s.mean then return "–" end
  return tabular.interval(s.mean, s.lo, s.hi)
end

-- Rows of the main table in the order models, ablations, baselines, references; best per column among zero-shot rows.
local ORDER = { "model", "ablation", "baseline", "control", "reference" }

local function main_table(self, context)
  local t = { columns = { "model", "embedding" }, rows = {}, marks = {}, highlight = 1 }
  for _, h in ipairs(self.head) do t.columns[#t.columns + 1] = h[2] .. " [95%]" end
  t.columns[#t.columns + 1] = "n"
  local best = {}
  for _, kind in ipairs(ORDER) do
    for _, r in ipairs(self.rows) do
      if r.kind == kind then
        local line = { cut(r.model, 26), cut(r.embedding, 16) }
        local n = 0
        for j, h in ipairs(self.head) do
          local s = self:summary(r, h[1], context)
          line[#line + 1], n = cell(s), math.max(n, s.n_defined)
          if kind ~= "reference" and s.mean == s.mean and (not best[j] or s.mean > best[j][1]) then
            best[j] = { s.mean, #t.rows + 1, #line }
          end
        end
        line[#line + 1] = n
        t.rows[#t.rows + 1] = line
      end
    end
  end
  for _, b in pairs(best) do t.marks[#t.marks + 1] = { b[2], b[3] } end
  return t
end

local function heading(self, context, s)
  local what = self.kind == "label" and "AUROC per gene, mean over genes"
    or "Pearson Delta over all genes without the targets, mean over perturbations"
  local n = s.n_defined < s.n and ("%d of %d"):format(s.n_defined, s.n) or ("%d"):format(s.n)
  return ("%s, %s: %s; %s tested, seed%s %s"):format(self.experiment.options.name, label.safe(context), what, n,
    #self.seeds == 1 and "" or "s", table.concat(self.seeds, " "))
end

local function group_table(self, context)
  local groups = self:groups(context)
  if #groups < 2 or self.kind == "label" then return nil end
  local t = { columns = { "model", "embedding" }, rows = {}, title = "by group, control / centroid" }
  for _, g in ipairs(groups) do
    local n = self:summary(self:main(), self.head[1][1], context, g).n
    t.columns[#t.columns + 1] = ("%s (%d)"):format(g, n)
  end
  for _, kind in ipairs { "model", "ablation", "baseline", "control" } do
    for _, r in ipairs(self.rows) do
      if r.kind == kind then
        local line = { cut(r.model, 26), cut(r.embedding, 16) }
        for _, g in ipairs(groups) do
          local a, b = self:summary(r, self.head[1][1], context, g), self:summary(r, self.head[2][1], context, g)
          line[#line + 1] = tabular.number(a.mean, 3) .. " / " .. tabular.number(b.mean, 3)
        end
        t.rows[#t.rows + 1] = line
      end
    end
  end
  return t
end

--- The tables of a run: { title, columns, rows, notes, highlight } each; what the text and the report show.
---@return table[]
function class:tables()
  local out = {}
  for _, context in ipairs(self.contexts) do
    local t = main_table(self, context)
    t.title = heading(self, context, self:summary(self:main(), self.head[1][1], context))
    t.notes = { self:coverage_text(context) }
    for _, note in ipairs(require("dynamo.leakage").notes(self.leakage)) do t.notes[#t.notes + 1] = note end
    for _, note in ipairs(require("dynamo.ceiling").notes(self, context)) do t.notes[#t.notes + 1] = note end
    if self.info.transfer then
      t.notes[#t.notes + 1] = "(native), (template) and copy use data of the tested context; all other rows are zero-shot"
    end
    out[#out + 1] = t
    out[#out + 1] = group_table(self, context)
  end
  if self.R.preparation then out[#out + 1] = require("dynamo.preparation").table(self.R.preparation) end
  return out
end

--- "coverage of 150 test rows: embedding 148, mean 2; without a vector: FOO, BAR".
---@return string
function class:coverage_text(context)
  local count, missing = self:coverage(context)
  local parts, total = {}, 0
  for _, f in ipairs(label.sorted_keys(count)) do
    parts[#parts + 1], total = ("%s %d"):format(f, count[f]), total + count[f]
  end
  local text = ("coverage of %d test rows: %s"):format(total, table.concat(parts, ", "))
  if #missing > 0 then
    local shown = {}
    for i = 1, math.min(6, #missing) do shown[i] = label.safe(missing[i]) end
    text = ("%s; %d gene%s without a vector: %s%s"):format(text, #missing, #missing == 1 and "" or "s",
      table.concat(shown, ", "), #missing > 6 and ", ..." or "")
  end
  return text
end

-- ---- claims ---------------------------------------------------------------------------------

local function signed(v) return (v < 0 and "" or "+") .. tabular.number(v, 3) end

--- "+0.031 [0.021, 0.042] p 0.0002": a paired difference as text.
function M.difference_text(d)
  if not d or d.n == 0 then return "–" end
  local text = signed(d.mean)
  if d.lo then text = ("%s [%s, %s]"):format(text, tabular.number(d.lo, 3), tabular.number(d.hi, 3)) end
  return text .. (" p %s"):format(d.p < 0.0001 and "< 0.0001" or ("%.4f"):format(d.p))
end

--- The main model against the best baseline of a context per reference: { { key, name, baseline = row, difference } }.
---@return table[]
function class:against_best(context, group)
  local out = {}
  for _, h in ipairs(self.head) do
    local b = self:best_baseline(h[1], context, group)
    if b then
      out[#out + 1] = { key = h[1], name = h[2], baseline = b, difference = self:compare(self:main(), b, h[1], context,
        group) }
    end
  end
  return out
end

local function best_lines(self, out, context)
  local many = #self.contexts > 1 and label.safe(context) .. ": " or ""
  for _, c in ipairs(self:against_best(context)) do
    out[#out + 1] = ("%s%s - %s (best baseline): %s at %s"):format(many, self:main().model, c.baseline.model,
      M.difference_text(c.difference), c.name)
  end
end

local function retention_lines(self, out, context)
  for _, r in ipairs(self.rows) do
    if r.of and (r.of.kind == "model" or r.of.kind == "ablation") then
      for _, h in ipairs(self.head) do
        local t = self:retention(r.of.model, h[1], context)
        local share = t.retention and tabular.interval(t.retention, t.lo, t.hi, 2) or "withheld: " .. tostring(t.reason)
        out[#out + 1] = ("retention of %s in %s at %s: %s (transfer %.3f, native %.3f%s)"):format(r.of.model,
          label.safe(context), h[2], share, t.transfer, t.native, t.net and (", net %.2f"):format(t.net) or "")
      end
    end
  end
end

--- The last lines of a run: the main model against the best baseline at each reference, retention.
---@return string[]
function class:claims()
  local out = {}
  for _, context in ipairs(self.contexts) do
    if self.info.transfer then retention_lines(self, out, context) end
    best_lines(self, out, context)
  end
  return out
end

-- ---- text -------------------------------------------------------------------------------------

-- One cell of a formatted table in bold.
local function embolden(text, t)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  for _, m in ipairs(t.marks or {}) do
    local at, from, line = nil, 1, lines[m[1] + 2]
    for j = 1, m[2] do
      local a, b = line:find(tostring(t.rows[m[1]][j]), from, true)
      if a then at, from = { a, b }, b + 1 end
    end
    if at then
      lines[m[1] + 2] = line:sub(1, at[1] - 1) .. "\27[1m" .. line:sub(at[1], at[2]) .. "\27[0m" .. line:sub(at[2] + 1)
    end
  end
  return table.concat(lines, "\n")
end

--- What a run prints: tables, notes, claims; at most 100 columns.
---@param terminal? boolean  best values in bold
---@return string
function class:text(terminal)
  local out = {}
  local bold = terminal and os.getenv "NO_COLOR" == nil and os.getenv "TERM" ~= "dumb"
  for _, t in ipairs(self:tables()) do
    local text = tabular.format(t.columns, t.rows)
    out[#out + 1] = t.title .. "\n\n" .. (bold and embolden(text, t) or text)
    for _, n in ipairs(t.notes or {}) do out[#out] = out[#out] .. "\n" .. n end
    out[#out] = out[#out] .. "\n"
  end
  if self.folder then out[#out + 1] = "wrote " .. self.folder .. "/" .. (self.report and "report.html" or "results.csv") end
  for _, line in ipairs(self:claims()) do out[#out + 1] = line end
  return table.concat(out, "\n")
end

class.__tostring = function(self) return self:text(false) end

-- ---- files ---------------------------------------------------------------------------------------

-- Everything into a folder inside the folder of the results, then each into its place, the manifest last.
local function write_all(self, part, opts)
  local files = { "results.csv" }
  core.write_file(part .. "/results.csv", self:csv())
  core.write_file(part .. "/perturbations.csv", self:perturbations())
  files[#files + 1] = "perturbations.csv"
  require("dynamo.predictions").write(part .. "/predictions.h5ad", self)
  files[#files + 1] = "predictions.h5ad"
  local fitted = self:main().fitted
  if fitted and fitted.save then
    fitted:save(part .. "/model.dynamo", { provenance = { experiment = self.experiment.options.name,
      seed = self.seeds[1], split = tostring(self.splits[1]) } })
    files[#files + 1] = "model.dynamo"
  end
  if self.experiment.options.report then
    require("dynamo.report").write(part .. "/report.html", require("dynamo.figures").report(self, opts))
    files[#files + 1] = "report.html"
  end
  core.write_file(part .. "/manifest.json", require("dynamo.manifest").text(self, part, files))
  files[#files + 1] = "manifest.json"
  return files
end

-- Each file into its place, the manifest away first and there last. Of several processes that write one folder one moves
-- its files at a time, so that the folder has all files of one run.
local function move_all(files, part, folder)
  local lock = io.open(folder, "r")
  if lock then core.flock(lock) end
  local ok, e = pcall(function()
    core.remove(folder .. "/manifest.json")
    for _, f in ipairs(files) do core.rename(part .. "/" .. f, folder .. "/" .. f) end
  end)
  if lock then lock:close() end
  if not ok then error(e, 0) end
end

--- Write results.csv, predictions.h5ad, model.dynamo, report.html and manifest.json into `folder`, whole or not at all:
--- a folder with a manifest is complete, also where several processes write it at once (the last one wins). Raises EIO.
---@param folder string
---@param opts? table
---@return string[] names of the files
function class:write(folder, opts)
  core.mkdir(folder)
  local part = core.mkdtemp(folder .. "/.part-")
  local ok, files = pcall(write_all, self, part, opts or {})
  local moved, why = ok, files
  if ok then moved, why = pcall(move_all, files, part, folder) end
  for _, f in ipairs(core.listdir(part)) do core.remove(part .. "/" .. f) end
  core.remove(part)
  if not moved then error(why, 0) end
  self.folder, self.report = folder, self.experiment.options.report
  return files
end

return M
