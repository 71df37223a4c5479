--- `dynamo doctor FILE`: what would fail or mislead later, before hours are spent. Each finding has a line that helps.
local core = require "dynamo.core"
local data = require "dynamo.data"
local err = require "dynamo.error"
local label = require "dynamo.label"
local responses = require "dynamo.responses"

local M = {}

local commas, safe = responses.commas, label.safe

local function new() return { findings = {} } end

local function add(r, level, message, hint)
  r.findings[#r.findings + 1] = { level = level, message = message, hint = hint }
end

-- f(...) or nil; what it raises is a finding.
local function try(r, f, ...)
  local ok, v = pcall(f, ...)
  if ok then return v end
  if type(v) == "table" and err.is(v) then add(r, "error", v.message, v.hint) else add(r, "error", tostring(v)) end
end

-- "1 seed", "2,000 seeds"
local function plural(n, word) return ("%s %s%s"):format(commas(n), word, n == 1 and "" or "s") end

local function some(list)
  local out = {}
  for i = 1, math.min(6, #list) do out[i] = safe(list[i]) end
  if #list > 6 then out[7] = "…" end
  return table.concat(out, ", ")
end

-- ---- data -----------------------------------------------------------------------------------------

-- Steps of preparation that will make logarithms of counts.
local function takes_logs(steps)
  for _, step in ipairs(steps or {}) do if step.name == "log1p" then return true end end
  return false
end

local function check_effects(r, D)
  local x = core.is_sparse(D.x) and D.x or core.sparse_from_dense(D.x)
  if x:nnz() > 0 and x:min(1):min():item() >= 0 and x:max(1):max():item() > 20 then
    add(r, "warning", ("values up to %.4g are read as effects: they look like counts"):format(x:max(1):max():item()),
      'leave kind="effect" out: counts are scaled and log1p is taken')
  end
end

local function check_values(r, D, steps)
  if D.values == "counts" and not takes_logs(steps) then
    add(r, "warning", "raw counts where logarithms are expected",
      "prepare = { dynamo.prepare.normalise {}, dynamo.prepare.log1p {} }")
  elseif D.values == "effects" then
    check_effects(r, D)
  elseif D.values == "scaled" then
    add(r, "warning", "values are negative: scaled expression, where log1p is expected", 'layer="counts" or layer="raw"')
  elseif D.values == "as they are" then
    add(r, "warning", "values are too large for log1p and no counts", 'layer="counts", or log1p the matrix first')
  elseif D.values == "log1p of counts" then
    add(r, "note", "raw counts: scaled to 10,000 a cell and log1p on reading")
  end
  if D.nonfinite then
    add(r, "warning", "values that are not finite count as unobserved", "who made them? dynamo inspect FILE says where the first is")
  end
end

local function check_controls(r, D)
  local count = {}
  for i = 1, D.n do
    if D:perturbation_of(i) == "control" then
      local c = D:context_of(i) or "?"
      count[c] = (count[c] or 0) + 1
    end
  end
  for _, c in ipairs(label.sorted_keys(count)) do
    if count[c] < 50 then
      add(r, "warning", ("context '%s' has %s: its reference is noise"):format(safe(c), plural(count[c], "control cell")),
        D.context and "context = false pools the contexts" or 'control = { "LABEL", ... } if other labels are controls too')
    end
  end
end

local function check_rows(r, D, R)
  local one, few, unmeasured, has = {}, {}, {}, {}
  for _, g in ipairs(R.genes) do has[g] = true end
  for _, row in ipairs(R.rows) do
    if D.kind == "cells" and row.n_cells == 1 then one[#one + 1] = row.perturbation end
    if D.kind == "cells" and row.n_cells > 1 and row.n_cells < 10 then few[#few + 1] = row.perturbation end
  end
  for _, g in ipairs(R:targets()) do if not has[g] then unmeasured[#unmeasured + 1] = g end end
  if #one > 0 then
    add(r, "warning", ("%d of %s have one cell: %s"):format(#one, plural(#R.rows, "perturbation"), some(one)), "min_cells = 10")
  end
  if #few > 0 then
    add(r, "note", ("%s of 2 to 9 cells: %s"):format(plural(#few, "perturbation"), some(few)), "min_cells = 10")
  end
  if #unmeasured > 0 then
    local all = #R:targets()
    add(r, "note", ("%d of %s not measured: %s"):format(#unmeasured, plural(all, "perturbed gene"), some(unmeasured)),
      #unmeasured > all / 4 and 'names of another kind? data.read(file, { symbols = "hgnc_complete_set.txt" })' or nil)
  end
  if #R.rows < 20 then add(r, "warning", ("%d perturbations: too few to hold some out"):format(#R.rows),
    'data = { "a.h5ad", "b.h5ad" } joins files; split = dynamo.split.unseen_genes { test = 0.1, validate = 0 }') end
end

local function amount(bytes)
  if bytes < 2 ^ 20 then return "less than 1 MiB" end
  if bytes < 2 ^ 30 then return ("%.0f MiB"):format(bytes / 2 ^ 20) end
  return ("%.2f GiB"):format(bytes / 2 ^ 30)
end

local function check_memory(r, D, R)
  local cells = 0
  if D.x then cells = core.is_sparse(D.x) and 8 * D.x:nnz() or 4 * D.x:size(1) * D.x:size(2) end
  local rows = 8 * #R.rows * #R.genes
  add(r, "note", ("memory: %s%s for the responses"):format(cells > 0 and amount(cells) .. " for the cells, " or "",
    amount(rows)))
end

-- Names that may be one gene in training and in test: other case, guides of one gene.
local function check_names(r, R)
  local lower, stem, case, guides = {}, {}, {}, {}
  for _, g in ipairs(R:targets()) do
    local low, base = g:lower(), g:match "^(.-)[_.-][sS]?[gG]?%d+$"
    if lower[low] then case[#case + 1] = lower[low] .. " and " .. g end
    lower[low] = lower[low] or g
    if base then
      if stem[base] == g:gsub("%d+$", "") then guides[#guides + 1] = g end
      stem[base] = stem[base] or g:gsub("%d+$", "")
    end
  end
  if #case > 0 then
    add(r, "warning", ("leakage: %d perturbed genes differ in case alone: %s"):format(#case, some(case)),
      'data.read(file, { symbols = "hgnc_complete_set.txt" })')
  end
  if #guides > 2 and #guides > #R:targets() / 4 then
    add(r, "warning", ("leakage: guides of one gene look like different genes: %s"):format(some(guides)),
      'data.read(file, { genes = "COLUMN" }) with symbols, so that guides are known')
  end
end

-- Genes that were chosen before, and columns that say another thing than the one that is used.
local function check_file(r, D)
  if not D.file or not core.stat(D.file) or core.stat(D.file).type ~= "file" then return end
  local ok, f = pcall(core.h5_open, D.file)
  if not ok then return end
  local function names(axis)
    local out, list = {}, {}
    for i, c in ipairs(f:columns(axis)) do out[c.name], list[i] = c.kind, c.name end
    return out, list
  end
  local var, obs = names "var", names "obs"
  if var.highly_variable and #D.genes < 8000 then
    add(r, "note", "leakage: var 'highly_variable' says that genes were chosen in this file, perhaps with test cells",
      "all genes, and prepare = { ..., dynamo.prepare.hvg { n = 2000 } }")
  end
  local used = D.context and D.context.column
  for _, other in ipairs(require("dynamo.roles").candidates.context) do
    if used and other ~= used and obs[other] == "text" then
      local n = #require("dynamo.roles").level_counts(f:column("obs", other))
      local own = #require("dynamo.roles").level_counts(D.context)
      if n > own then
        add(r, "warning", ("context '%s' has %d levels, '%s' has %d"):format(safe(used), own, safe(other), n),
          ('context = "%s"'):format(safe(other)))
      end
    end
  end
  f:close()
end

local function check_data(r, D, min_cells, steps)
  if D.files then
    for _, part in ipairs(D.files) do
      if part.x then
        check_values(r, part, steps)
        if part.kind == "cells" then check_controls(r, part) end
        check_file(r, part)
      end
    end
  elseif D.x then
    check_values(r, D, steps)
    if not D.effects and D.kind == "cells" then check_controls(r, D) end
    check_file(r, D)
  end
  local R = try(r, D.responses, D, { min_cells = min_cells or 1 })
  if not R then return nil end
  check_rows(r, D, R)
  check_names(r, R)
  check_memory(r, D, R)
  return R
end

-- ---- experiments --------------------------------------------------------------------------------------

local function find(path, folder)
  if folder and not path:match "^/" and core.stat(folder .. "/" .. path) then return folder .. "/" .. path end
  return path
end

-- Names that will have a vector, without building what is slow.
local function covered(e, folder)
  local function graph(g)
    if type(g) == "string" then g = require("dynamo.graph").read(find(g, folder)) end
    return g:names()
  end
  if type(e) == "string" then return require("dynamo.embed").read(find(e, folder)).genes end
  if e.genes then return e.genes end
  if e.options and e.options.graph then return graph(e.options.graph) end
end

local function check_embedding(r, o, folder, R)
  local names = try(r, covered, o.embedding, folder)
  if not names then return end
  local has, missing, targets = {}, {}, R:targets()
  for _, g in ipairs(names) do has[g] = true end
  for _, g in ipairs(targets) do if not has[g] then missing[#missing + 1] = g end end
  if #missing > 0 then
    local share = #missing / #targets
    add(r, share == 1 and "error" or share > 0.2 and "warning" or "note", ("%d of %d perturbed genes have no vector: %s")
      :format(#missing, #targets, some(missing)), share > 0.2 and "names of another kind? dynamo.symbols.map; or another "
      .. "embedding beside it: dynamo.embed.concat" or nil)
  end
end

local function check_split(r, o, R)
  local split = require "dynamo.split"
  for _, seed in ipairs(o.seeds) do
    local S = try(r, function() return split.check(R, o.split:make(R, seed)) end)
    if not S then
      local f = r.findings[#r.findings]
      f.hint = f.hint or "split = dynamo.split.unseen_genes { test = 0.25 }"
      return
    end
    if #S.test == 0 then
      return add(r, "error", "the split leaves nothing to test", "split = dynamo.split.unseen_genes { test = 0.25 }")
    end
    if #S.test < 10 then
      add(r, "warning", ("seed %d tests on %d perturbations: wide intervals"):format(seed, #S.test), "seeds = { 1, 2, 3, 4, 5 }")
    end
  end
end

-- What the audit of a run finds: each thing once, with the seeds.
local function check_leaks(r, audit)
  local seeds, order = {}, {}
  for _, f in ipairs(audit.findings) do
    if not seeds[f.message] then seeds[f.message], order[#order + 1] = {}, f end
    table.insert(seeds[f.message], tostring(f.seed))
  end
  for _, f in ipairs(order) do
    local which = #seeds[f.message] > 1 and "seeds " or "seed "
    local allowed = f.allowed and "; it is allowed" .. (f.allowed ~= "" and ": " .. f.allowed or "") or ""
    add(r, f.allowed and "note" or "error", ("leakage, %s (%s%s): %s%s"):format(f.kind, which,
      table.concat(seeds[f.message], ", "), f.message, allowed), not f.allowed and f.hint or nil)
  end
end

-- What a run would raise before and while it fits, how long it takes and how much memory.
local function check_run(r, exp, D)
  local options = {}
  for k, v in pairs(exp.options) do options[k] = v end
  options.data = D
  local estimate = require "dynamo.estimate"
  local job = try(r, require("dynamo.runner").plan, setmetatable({ options = options, folder = exp.folder },
    getmetatable(exp)), true)
  if job then check_leaks(r, job.leakage) end
  local time = job and try(r, estimate.seconds, job)
  if not time then
    local f = r.findings[#r.findings]
    f.hint = f.hint or (job and "a model of the table cannot be fitted to these data" or "prepare, split and data: see above")
    return
  end
  local slow = { "", 0 }
  for _, row in ipairs(time.rows) do if row[2] > slow[2] then slow = row end end
  add(r, time.total > 86400 and "warning" or "note", ("a run takes about %s (%s, %s%s) and %s of memory")
    :format(estimate.words(time.total), plural(#job.seeds, "seed"), plural(#job.rows, "row"),
    slow[2] > 0 and (", %s the most"):format(slow[1]) or "", amount(estimate.bytes(job))), time.total > 3600 and "for a first look: seeds=1 train.epochs=10" or nil)
  local limit = core.memory_limit()
  if limit > 0 and estimate.bytes(job) > limit then
    add(r, "warning", ("more memory than allowed (%s)"):format(amount(limit)), "--max-memory, or prepare with hvg { n = 2000 }")
  end
end

local function check_experiment(r, exp)
  local o, folder = exp.options, exp.folder
  local d, R = o.data, nil
  if type(d) == "string" then d = find(d, folder) end
  if type(d) == "table" and type(d[1]) == "string" then
    local list = {}
    for i, p in ipairs(d) do list[i] = find(p, folder) end
    d = list
  end
  if responses.is(d) then
    R = d
    check_rows(r, {}, R)
    check_memory(r, {}, R)
  else
    d = type(d) == "table" and type(d.responses) == "function" and d or try(r, data.read, d,
      { counts = o.prepare ~= nil, symbols = o.symbols and find(o.symbols, folder) })
    R = d and check_data(r, d, o.min_cells, o.prepare)
  end
  if not R then return end
  check_embedding(r, o, folder, R)
  local before = #r.findings
  check_split(r, o, R)
  for k = before + 1, #r.findings do if r.findings[k].level == "error" then return end end
  check_run(r, exp, d)
end

-- ---- the report -------------------------------------------------------------------------------------------

-- The experiments that a file returns; of one that runs them itself, the first, where it would have run.
local function experiments_of(r, path, words)
  local experiment, first = require "dynamo.experiment", nil
  local stop = {}
  experiment.before_run = function(exp)
    first = exp
    error(stop, 0)
  end
  local ok, list = pcall(experiment.load_file, path, words)
  experiment.before_run = nil
  if first then
    add(r, "note", ("the script runs its experiments itself: '%s', the first, is examined"):format(safe(first.options.name)))
    return { first }
  end
  if not ok then try(r, error, list, 0) end
  return ok and list or {}
end

--- Examine a data file, an experiment, or a Lua file that returns one: { findings = { { level = "error", "warning" or
--- "note", message =, hint = }, ... } }, the worst first. Nothing is trained. Raises EIO.
---@param what string|table
---@param words? string[] settings of the command line
---@return table
function M.examine(what, words)
  local r = new()
  if type(what) == "string" then err.expect_file(what) end
  local experiment = require "dynamo.experiment"
  if experiment.is(what) then
    check_experiment(r, what)
  elseif what:match "%.lua$" then
    for _, exp in ipairs(experiments_of(r, what, words)) do check_experiment(r, exp) end
  else
    local D = try(r, data.read, what)
    if D then check_data(r, D) end
  end
  local rank = { error = 1, warning = 2, note = 3 }
  for i, f in ipairs(r.findings) do f.at = i end
  table.sort(r.findings, function(a, b)
    return rank[a.level] < rank[b.level] or a.level == b.level and a.at < b.at
  end)
  return r
end

--- The command: findings on standard output. The result is the exit status: 65 if something would fail, else 0.
---@param path string
---@param words? string[]
---@return integer
function M.main(path, words)
  local r, errors, warnings = M.examine(path, words), 0, 0
  for _, f in ipairs(r.findings) do
    io.write(("%-8s %s\n"):format(f.level, safe(f.message)))
    if f.hint then io.write(("         try: %s\n"):format(safe(f.hint))) end
    errors, warnings = errors + (f.level == "error" and 1 or 0), warnings + (f.level == "warning" and 1 or 0)
  end
  io.write(("%s: %s, %s\n"):format(safe(path), plural(errors, "error"), plural(warnings, "warning")))
  return errors > 0 and 65 or 0
end

return M
