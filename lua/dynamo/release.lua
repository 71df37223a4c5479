--- The tables of a release: what `dynamo benchmark` found, as text, Markdown, LaTeX, CSV and a page with figures.
--
-- A cell, kept as JSON: { id, protocol, title, set, contexts = { { name, groups, heads, rows } }, claims, digest }; a row is
-- { model, embedding, kind, group, scores = { [key] = { mean, lo, hi, n } }, seconds, peak } or { model, reason }. Tables are
-- made of nothing else, so a cell that was kept from an earlier run and one that just ran look the same.
local core = require "dynamo.core"
local json = require "dynamo.json"
local label = require "dynamo.label"
local metrics = require "dynamo.metrics"
local plot = require "dynamo.plot"
local report = require "dynamo.report"
local tabular = require "dynamo.table"

local M = {}

-- Columns of the tables: key, head, and where they belong (with or without cells, combinations).
local COLUMNS = {
  effect = { { "pearson@control/all-target", "control" }, { "pearson@centroid/all-target", "centroid" },
    { "pearson@control/de20-target", "DE 20", cells = true }, { "pearson@control/top20-target", "top 20", cells = false },
    { "pearson@centroid/top1000-target", "centroid, top 1000" }, { "interaction@control/all", "interaction", combinations = true },
    { "relerr@control/all", "relerr" }, { "pds_l2", "pds" } },
  label = { { "auroc", "AUROC" }, { "ap", "AP" } },
}

local KINDS = { model = 1, ablation = 2, baseline = 3, control = 4, reference = 5 }

-- ---- results to cells --------------------------------------------------------------------

--- The keys of the columns that suit some data: what experiments of a benchmark are told to score.
---@param R table Responses
---@return string[]
function M.keys(R)
  local out, combinations = {}, false
  for _, row in ipairs(R.rows) do combinations = combinations or #row.targets > 1 end
  for _, c in ipairs(COLUMNS[R.kind == "label" and "label" or "effect"]) do
    if (c.cells == nil or c.cells == (R.cells ~= nil)) and (not c.combinations or combinations) then out[#out + 1] = c[1] end
  end
  return out
end

-- The columns that results have, as { key, head, less = smaller is better }.
local function heads_of(results)
  local out, wanted, scored = {}, {}, results:main().values[1]
  for _, key in ipairs(M.keys(results.R)) do wanted[key] = true end
  for _, c in ipairs(COLUMNS[results.kind]) do
    if wanted[c[1]] and scored[c[1]] then out[#out + 1] = { key = c[1], head = c[2], less = metrics.better(c[1]) < 0 } end
  end
  return out
end

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge and v or nil end

local function score_of(s)
  return { mean = finite(s.mean), lo = s.lo and finite(s.lo), hi = s.hi and finite(s.hi), n = s.n_defined or s.n }
end

local function rows_of(results, context, group, heads)
  local out = json.array {}
  for _, r in ipairs(results.rows) do
    local row = { model = r.model, embedding = r.embedding, kind = r.kind, group = group, seconds = finite(r.seconds or 0 / 0),
      peak = r.peak, scores = {} }
    for _, h in ipairs(heads) do row.scores[h.key] = score_of(results:summary(r, h.key, context, group)) end
    out[#out + 1] = row
  end
  table.sort(out, function(a, b)
    if KINDS[a.kind] ~= KINDS[b.kind] then return KINDS[a.kind] < KINDS[b.kind] end
    if a.model ~= b.model then return a.model < b.model end
    return a.embedding < b.embedding
  end)
  return out
end

-- Dynamic range of every column, by key, where there are cells to tell.
local function ranges_of(results, context, heads)
  local out = {}
  for _, h in ipairs(heads) do out[h.key] = results:range(h.key, context) end
  return next(out) and out or nil
end

local function base(cell)
  return { id = cell.id, protocol = cell.protocol, title = cell.title, set = cell.set, contexts = json.array {},
    claims = json.array {} }
end

--- A cell from the Results of an experiment.
---@param cell table  of dynamo.protocols
---@param results table
---@return table
function M.experiment(cell, results)
  local out, heads = base(cell), heads_of(results)
  for _, context in ipairs(results.contexts) do
    for _, group in ipairs(results:groups(context)) do
      local t = { name = context, group = group, heads = json.array(heads), rows = rows_of(results, context, group, heads) }
      if group == "all" then t.ranges = ranges_of(results, context, heads) end
      for _, m in ipairs(cell.missing or {}) do t.rows[#t.rows + 1] = { model = m.model, kind = "baseline", reason = m.reason } end
      out.contexts[#out.contexts + 1] = t
    end
  end
  for _, line in ipairs(results:claims()) do out.claims[#out.claims + 1] = line end
  out.coverage = results:coverage_text()
  return out
end

-- Seconds of building an embedding and of the fits on it.
local function cost_of(comparison, name)
  local seconds = comparison:row(name).seconds or 0
  for _, b in ipairs(comparison.built) do
    if b.name == name then seconds = seconds + (b.seconds or 0) end
  end
  return seconds
end

local function compared(comparison, context, scope, heads)
  local rows = json.array {}
  for _, name in ipairs(comparison.names) do
    local r = comparison:row(name)
    local row = { model = r.model, embedding = name, kind = (name == "random" or name:find(":", 1, true)) and "control" or "model",
      group = scope, seconds = cost_of(comparison, name), peak = r.peak, scores = {} }
    for _, h in ipairs(heads) do row.scores[h.key] = score_of(comparison:summary(name, h.key, context, scope)) end
    rows[#rows + 1] = row
  end
  return rows
end

--- A cell from a comparison of embeddings.
---@param cell table
---@param comparison table
---@return table
function M.comparison(cell, comparison)
  local out, results = base(cell), comparison.results
  local heads = heads_of(results)
  for _, context in ipairs(results.contexts) do
    for _, scope in ipairs { "all", "matched" } do
      out.contexts[#out.contexts + 1] = { name = context, group = scope, heads = json.array(heads),
        rows = compared(comparison, context, scope, heads) }
    end
    for _, c in ipairs(comparison:claims(results.head[#results.head][1], context)) do
      out.claims[#out.claims + 1] = ("%s: %s - %s %s, Holm %.2g"):format(context, c.a, c.b,
        require("dynamo.results").difference_text(c.difference), c.holm)
    end
  end
  return out
end

-- ---- cells to tables ------------------------------------------------------------------------

-- Footnotes of a table: a letter per reason.
local function footnotes()
  local list, known = {}, {}
  return list, function(reason)
    if not known[reason] then
      list[#list + 1] = reason
      known[reason] = string.char(96 + #list)
    end
    return ("– (%s)"):format(known[reason])
  end
end

local function score_cell(s, note)
  if not s or s.n == 0 or not s.mean then return note "no perturbation of this group can be scored" end
  local text = tabular.interval(s.mean, s.lo, s.hi)
  return not s.lo and s.n < 5 and text .. "*" or text
end

local function cost_cells(r, note)
  if not r.seconds then
    local why = note "not a model: nothing is fitted"
    return why, why
  end
  return tabular.number(r.seconds, r.seconds < 10 and 2 or 0), r.peak and ("%.0f"):format(r.peak / 2 ^ 20) or note "the system does not tell the peak of memory"
end

local function line_of(r, heads, note)
  local line = { r.model, r.embedding or "none" }
  if r.reason then
    for _ = 1, #heads + 3 do line[#line + 1] = note(r.reason) end
    return line
  end
  local n = 0
  for _, h in ipairs(heads) do
    local s = r.scores[h.key]
    line[#line + 1], n = score_cell(s, note), math.max(n, s and s.n or 0)
  end
  line[#line + 1] = n
  line[#line + 1], line[#line + 2] = cost_cells(r, note)
  return line
end

-- How far the duplicate is from the train mean in each column: near 0, a column cannot tell models apart.
local function range_line(c, note)
  local line = { "dynamic range", "none" }
  for _, h in ipairs(c.heads) do
    local v = c.ranges[h.key]
    line[#line + 1] = v and tabular.number(v, 3) or note "no dynamic range: too few cells, or a metric without one"
  end
  local why = note "not a model: nothing is fitted"
  line[#line + 1], line[#line + 2], line[#line + 3] = why, why, why
  return line
end

local function table_of(cell, c)
  local list, note = footnotes()
  local t = { title = ("%s, %s%s"):format(cell.title, label.safe(c.name), c.group ~= "all" and ", " .. c.group or ""),
    columns = { "model", "embedding" }, rows = {}, notes = {} }
  for _, h in ipairs(c.heads) do t.columns[#t.columns + 1] = h.head .. (h.less and " (less is better)" or "") end
  for _, name in ipairs { "n", "s", "MB" } do t.columns[#t.columns + 1] = name end
  local few = false
  for i, r in ipairs(c.rows) do
    t.rows[i] = line_of(r, c.heads, note)
    for _, v in ipairs(t.rows[i]) do few = few or type(v) == "string" and v:sub(-1) == "*" end
  end
  if c.ranges then t.rows[#t.rows + 1] = range_line(c, note) end
  for i, reason in ipairs(list) do t.notes[i] = ("(%s) %s"):format(string.char(96 + i), reason) end
  if few then t.notes[#t.notes + 1] = "* fewer than 5 perturbations: no interval" end
  return t
end

local EXPLAINED = "Means over tested perturbations with 95% bootstrap intervals (n of them). control, centroid: Pearson of the "
  .. "changes over all genes without the targets, less the control or the mean training response; DE 20, top 20: of "
  .. "the 20 genes that differ or changed most; interaction: of what is not the sum of the singles; relerr: length of the error "
  .. "over that of the change; pds: share of the other tested perturbations whose truth is farther from the prediction, .5 by "
  .. "chance. s and MB: fit and predict, all seeds; memory beyond what was in use before. The scgen rows of a seed share one "
  .. "network, whose time stands in the first of them."

--- Tables of one cell: { title, columns, rows, notes } each; none for a cell that does not apply.
---@param cell table
---@return table[]
function M.tables(cell)
  local out = {}
  for _, c in ipairs(cell.contexts or {}) do out[#out + 1] = table_of(cell, c) end
  return out
end

-- ---- files ------------------------------------------------------------------------------------

local function markdown(cells)
  local questions = require("dynamo.protocols").questions
  local out, last = { "# Benchmark of dynamo " .. core.version, "", EXPLAINED }, nil
  for _, cell in ipairs(cells) do
    if cell.protocol ~= last then
      last = cell.protocol
      out[#out + 1] = ("\n## %s: %s"):format(last, questions[last])
    end
    out[#out + 1] = "\n### " .. cell.title
    if cell.reason then out[#out + 1] = "\nNo table: " .. cell.reason .. "." end
    for _, t in ipairs(M.tables(cell)) do
      out[#out + 1] = "\n" .. t.title .. "\n\n" .. tabular.markdown(t.columns, t.rows)
      if #t.notes > 0 then out[#out + 1] = "\n" .. table.concat(t.notes, "  \n") end
    end
    for _, line in ipairs(cell.claims or {}) do out[#out + 1] = (_ == 1 and "\n" or "") .. "- " .. line end
  end
  return table.concat(out, "\n") .. "\n"
end

local function latex(cells)
  local out = { "% needs \\usepackage{booktabs}" }
  for _, cell in ipairs(cells) do
    if cell.reason then out[#out + 1] = ("%% %s: no table, %s"):format(cell.id, cell.reason) end
    for _, t in ipairs(M.tables(cell)) do
      out[#out + 1] = "% " .. t.title
      out[#out + 1] = tabular.latex(t.columns, t.rows)
      for _, n in ipairs(t.notes) do out[#out + 1] = "% " .. n end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

--- The columns of benchmark.csv.
M.columns = { "protocol", "cell", "data", "context", "group", "model", "embedding", "kind", "metric", "value", "lo", "hi", "n",
  "seconds", "peak_mb", "reason" }

local function csv(cells)
  local lines = {}
  for _, cell in ipairs(cells) do
    local head = { cell.protocol, cell.id, cell.set }
    local function add(...)
      local line = { head[1], head[2], head[3] }
      for i = 1, select("#", ...) do line[3 + i] = (select(i, ...)) end
      lines[#lines + 1] = line
    end
    if cell.reason then add(nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, cell.reason) end
    for _, c in ipairs(cell.contexts or {}) do
      for _, r in ipairs(c.rows) do
        for _, h in ipairs(c.heads) do
          local s = r.scores and r.scores[h.key] or {}
          add(c.name, c.group, r.model, r.embedding, r.kind, h.key, s.mean, s.lo, s.hi, s.n, r.seconds, r.peak and r.peak / 2 ^ 20,
            r.reason or not s.mean and "no perturbation of this group can be scored" or nil)
        end
      end
    end
  end
  return tabular.csv(M.columns, lines)
end

-- Scores of a cell's first table at its second reference (or its only score), zero-shot rows, best first.
local function figure(cell)
  local c = cell.contexts[1]
  local h = c.heads[2] or c.heads[1]
  local list = {}
  for _, r in ipairs(c.rows) do
    local s = r.scores and r.scores[h.key]
    if s and s.mean and r.kind ~= "reference" then list[#list + 1] = { r, s } end
  end
  table.sort(list, function(a, b) return a[2].mean > b[2].mean end)
  local names, values, lo, hi = {}, {}, {}, {}
  for i = 1, math.min(14, #list) do
    local r, s = list[i][1], list[i][2]
    names[i] = cell.protocol == "P4" and r.embedding or r.kind == "control" and r.model .. " (" .. r.embedding .. ")" or r.model
    values[i], lo[i], hi[i] = s.mean, s.lo or s.mean, s.hi or s.mean
  end
  if #names == 0 then return nil end
  local svg, why = plot.bars { names = names, values = values, lo = lo, hi = hi, single = true, title = cell.id, ylabel = h.head }
  return { title = cell.title, caption = ("%s, %s, 95%% intervals."):format(h.key, c.name), svg = svg, why = why }
end

local function page(cells, facts)
  local r = { title = "Benchmark of dynamo " .. core.version, intro = { EXPLAINED }, tables = {}, figures = {}, notes = {},
    facts = { { "Cells", ("%d, %.0f s"):format(#cells, facts.seconds) } } }
  for _, cell in ipairs(cells) do
    if cell.reason then r.notes[#r.notes + 1] = ("%s: no table, %s."):format(cell.title, cell.reason) end
    for _, t in ipairs(M.tables(cell)) do r.tables[#r.tables + 1] = t end
    for _, line in ipairs(cell.claims or {}) do r.notes[#r.notes + 1] = cell.id .. ": " .. line end
    if cell.contexts and cell.contexts[1] then r.figures[#r.figures + 1] = figure(cell) end
  end
  return r
end

--- Write benchmark.md, .tex, .csv and .html, and a figure per cell into `folder`/figures. Raises EIO.
---@param folder string
---@param cells table[]
---@param facts table  { seconds = }
---@return string[] paths
function M.write(folder, cells, facts)
  local files, r = {}, page(cells, facts)
  local function write(name, text)
    files[#files + 1] = folder .. "/" .. name
    core.write_file(files[#files], text)
  end
  write("benchmark.md", markdown(cells))
  write("benchmark.tex", latex(cells))
  write("benchmark.csv", csv(cells))
  write("benchmark.html", report.html(r))
  if #r.figures > 0 then core.mkdir(folder .. "/figures") end
  for i, f in ipairs(r.figures) do
    if f.svg then core.write_file(("%s/figures/%02d.svg"):format(folder, i), f.svg) end
  end
  return files
end

-- The model's mean and the best baseline's in a column of a table, with the names.
local function against(c, h)
  local main, best, name
  for _, r in ipairs(c.rows) do
    local v = r.scores and r.scores[h.key] and r.scores[h.key].mean
    if r.kind == "model" and v and not main then main = v end
    if r.kind == "baseline" and v and (not best or v > best) then best, name = v, r.model end
  end
  return tabular.number(main, 3), best and ("%s %s"):format(tabular.number(best, 3), name) or "–"
end

--- What a benchmark prints: the model beside the best baseline of each cell at the references, all groups together.
---@param cells table[]
---@return string
function M.text(cells)
  local t = { columns = { "cell", "context", "model", "best baseline", "model", "best baseline" }, rows = {} }
  for _, cell in ipairs(cells) do
    for _, c in ipairs(cell.protocol ~= "P4" and cell.contexts or {}) do
      if c.group == "all" then
        local line = { cell.id, label.safe(c.name) }
        for k = 1, math.min(2, #c.heads) do line[2 * k + 1], line[2 * k + 2] = against(c, c.heads[k]) end
        t.rows[#t.rows + 1] = line
      end
    end
  end
  if #t.rows == 0 then return "" end
  return "Pearson Delta at the control reference, then at the centroid (AUROC for labels)\n\n" .. tabular.format(t.columns, t.rows)
end

return M
