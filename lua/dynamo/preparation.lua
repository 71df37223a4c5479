--- What an experiment does with its cells before it computes responses: steps in order, each with its record.
--
--     return dynamo.experiment { data = dynamo.data.read("k562.h5ad"), prepare = {
--       dynamo.prepare.filter_cells { min_genes = 200 }, dynamo.prepare.filter_genes { min_cells = 10 },
--       dynamo.prepare.normalise { target = 1e4 }, dynamo.prepare.log1p {}, dynamo.prepare.hvg { n = 2000 } }, ... }
--
-- A function of dynamo.prepare with one table gives a step. What a step learns from data (which genes, which median) it
-- learns from training cells alone: of perturbations that every seed trains on, and controls of their contexts.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local learned = require "dynamo.learned"
local prepare = require "dynamo.prepare"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = {}

local commas = responses.commas

local function fail(code, text, ...) err.raise { code = code, message = "prepare: " .. text:format(...) } end

-- A step that takes counts has logarithms: made by an earlier step, or by whoever wrote the file.
local function no_counts(state, text)
  if not state.from_file then fail("EVALUE", text) end
  err.raise { code = "EVALUE", message = "prepare: " .. text .. "; the file has log1p values",
    hint = 'data.read(file, { layer = "counts" }), or leave this step out' }
end

-- ---- a data set that steps change -----------------------------------------------------------------------

local function sparse(x) return core.is_sparse(x) and x or core.sparse_from_dense(x) end

-- Cells of a Dataset by their places, without its cache.
local function take_cells(D, keep)
  local new, p = setmetatable({}, getmetatable(D)), {}
  for k, v in pairs(D) do new[k] = v end
  local function codes(column)
    if not column or not column.codes then return column end
    local out, list = {}, {}
    for k, v in pairs(column) do out[k] = v end
    for i, at in ipairs(keep) do list[i] = column.codes[at] end
    out.codes = list
    return out
  end
  p = codes(D.perturbation)
  if D.perturbation.flag then p.flag = function(i) return D.perturbation.flag(keep[i]) end end
  new.x, new.n, new.cache, new.perturbation = sparse(D.x):index(1, keep), #keep, {}, p
  new.context, new.parts, new.batches = codes(D.context), codes(D.parts), codes(D.batches)
  return new
end

local function take_genes(D, list)
  D.x = sparse(D.x):index(2, list)
  local genes = {}
  for k, j in ipairs(list) do genes[k] = D.genes[j] end
  D.genes = genes
end

-- The parts of a data set as copies that may be changed, over the genes that all of them have.
local function open(D)
  local parts, lists = {}, {}
  for i, part in ipairs(D.files or { D }) do
    if part.kind ~= "cells" then fail("EVALUE", "%s holds no single cells", tostring(part.file)) end
    if part.format == "streamed" then fail("EVALUE", "%s is streamed: steps need its cells in memory", part.file) end
    local all = {}
    for k = 1, part.n do all[k] = k end
    parts[i] = take_cells(part, all)
    lists[i] = part.genes
  end
  if #parts > 1 then
    local genes = responses.shared(lists)
    for _, part in ipairs(parts) do
      local at, list = responses.places(part.genes), {}
      for k, g in ipairs(genes) do list[k] = at[g] end
      take_genes(part, list)
    end
  end
  return parts
end

local function count(parts)
  local cells = 0
  for _, D in ipairs(parts) do cells = cells + D.n end
  return cells, #parts[1].genes
end

-- The cells of all parts that a step may learn from, as one matrix, and of each the row { context, perturbation } (one
-- table per row; control has one too; nil: neither).
local function training(parts, may)
  local blocks, of, known, n = {}, {}, {}, 0
  for _, D in ipairs(parts) do
    local keep = {}
    for i = 1, D.n do
      if may(D, i) then
        local c, p = D:context_of(i), D:perturbation_of(i)
        local id = c and p and c .. "\0" .. p
        if id and not known[id] then known[id] = { context = c, perturbation = p } end
        keep[#keep + 1], n = i, n + 1
        of[n] = id and known[id] or nil
      end
    end
    if #keep > 0 then blocks[#blocks + 1] = D.x:index(1, keep) end
  end
  if n == 0 then fail("EVALUE", "no training cell is left to learn from") end
  return #blocks == 1 and blocks[1] or core.sparse_cat(blocks, 1), { n = n, of = of }
end

local function by_name(a, b)
  if a.context ~= b.context then return a.context < b.context end
  return a.perturbation < b.perturbation
end

-- The rows that cells belong to, each once, sorted; without controls, which nobody tests.
local function rows_of(cells)
  local out, seen = {}, {}
  for i = 1, cells.n do
    local row = cells.of[i]
    if row and row.perturbation ~= "control" and not seen[row] then seen[row], out[#out + 1] = true, row end
  end
  table.sort(out, by_name)
  return out
end

-- ---- the steps ---------------------------------------------------------------------------------------------

-- Each: step(parts, options, may, state) changes the parts and gives the cells it learned from (see training), or nil, a note,
-- and the options with what it learned.
local steps = {}

function steps.normalise(parts, o, may, state)
  if state.log then no_counts(state, "normalise takes counts: it comes before log1p") end
  local target, cells = o.target, nil
  if target == "median" then
    local x
    x, cells = training(parts, may)
    target = prepare.median_total(x)
  end
  for _, D in ipairs(parts) do D.x = prepare.normalise(D.x, { target = target }) end
  state.normalised = true
  return cells, cells and ("median total %.6g"):format(target) or nil, { target = target }
end

function steps.log1p(parts, _, _, state)
  if state.log then no_counts(state, "log1p of logarithms: values are log1p already") end
  for _, D in ipairs(parts) do D.x = D.x:log1p() end
  state.log = true
end

function steps.filter_cells(parts, o)
  for k, D in ipairs(parts) do
    local _, keep = prepare.filter_cells(D.x, o)
    parts[k] = take_cells(D, keep)
  end
end

function steps.filter_genes(parts, o, may)
  local x, cells = training(parts, may)
  local _, keep = prepare.filter_genes(x, o)
  for _, D in ipairs(parts) do take_genes(D, keep) end
  return cells
end

function steps.hvg(parts, o, may, state)
  local counts = o.flavour == "seurat_v3"
  if counts and (state.log or state.normalised) then fail("EVALUE", "hvg: seurat_v3 takes counts: it comes first") end
  if not counts and not state.log then fail("EVALUE", "hvg: %s takes log1p values: it comes after log1p", o.flavour) end
  local x, cells = training(parts, may)
  local chosen = prepare.hvg(x, o).genes
  if #chosen == 0 then fail("EVALUE", "hvg: no gene is within the bounds") end
  for _, D in ipairs(parts) do take_genes(D, chosen) end
  return cells
end

-- Columns of the n largest |score| of any perturbation of a context against that context's controls, marked in `chosen`.
local function mark_changed(x, cells, context, o, chosen)
  local at, labels, control = {}, {}, 0
  for i = 1, cells.n do
    local row = cells.of[i]
    if row and row.context == context then
      at[#at + 1], labels[#labels + 1] = i, row.perturbation
      control = control + (row.perturbation == "control" and 1 or 0)
    end
  end
  if control < 2 then return end
  local found = prepare.rank_genes(x:index(1, at), labels, { test = o.test })
  for _, name in ipairs(label.sorted_keys(found)) do
    local score = found[name].score
    local order = (score:masked_fill(score:isnan(), 0):abs() * -1):argsort()
    for k = 1, math.min(o.n, #order) do chosen[order[k]] = true end
  end
end

function steps.de_genes(parts, o, may, state)
  if not state.log then fail("EVALUE", "de_genes takes log1p values: it comes after log1p") end
  local x, cells = training(parts, may)
  local contexts, chosen = {}, {}
  for _, row in ipairs(rows_of(cells)) do contexts[row.context] = true end
  for _, context in ipairs(label.sorted_keys(contexts)) do mark_changed(x, cells, context, o, chosen) end
  local list = label.sorted_keys(chosen)
  if #list == 0 then fail("EVALUE", "de_genes: no training perturbation has two cells and two controls") end
  for _, D in ipairs(parts) do take_genes(D, list) end
  return cells
end

function steps.match_controls(parts)
  for _, D in ipairs(parts) do
    if not D.batches then
      fail("EVALUE", "match_controls: %s has no column with batches", tostring(D.file))
    end
    D.control = "batch"
  end
end

-- "hvg n=2000": a step by its name and the options that are not the defaults.
local function brief(step)
  local parts, schema = { step.name }, recipe.schema(step)
  for _, k in ipairs(label.sorted_keys(step.options)) do
    if step.options[k] ~= schema[k].default then parts[#parts + 1] = ("%s=%s"):format(k, tostring(step.options[k])) end
  end
  return table.concat(parts, " ")
end

--- The names of the steps.
M.names = {}
for name in pairs(steps) do M.names[name] = true end

-- Whether the steps after place k look at totals or numbers of genes of cells: then it matters which genes are there.
local function looked_at(list, k)
  for i = k + 1, #list do
    if list[i].name == "normalise" or list[i].name == "filter_cells" then return true end
  end
  return false
end

-- A step that can be repeated on other cells: its options with what it learned, and the genes it left, where that matters.
local function repeatable(list, k, learned, genes)
  local step = list[k]
  local chose = step.name == "filter_genes" or step.name == "hvg" or step.name == "de_genes"
  return { name = step.name, options = learned or step.options, kept = chose and looked_at(list, k) and genes or nil }
end

local function joined(a, b)
  local out = {}
  for _, v in ipairs(a or {}) do out[#out + 1] = v end
  for _, v in ipairs(b) do out[#out + 1] = v end
  return out
end

--- Whether a value is a step.
function M.is(v) return type(v) == "table" and v.kind == "preparation" and recipe.schema(v) ~= nil and steps[v.name] ~= nil end

--- Apply steps to the cells of a Dataset: a new Dataset and the records, { name = "hvg n=2000", step =, cells = { before, after }, genes =
--- { before, after }, learned_from = cells or nil, note = } each.
---
--- Raises EVALUE: a step in the wrong place (log1p before normalise), nothing left, no batches.
---@param D table Dataset with single cells, as they were stored (data.read with `counts = true`)
---@param list table[] steps
---@param may? fun(part: table, i: integer): boolean cells to learn from; default: all
---@return table Dataset
---@return table[] records
function M.apply(D, list, may)
  local parts, records, done = open(D), {}, {}
  local log = parts[1].values == "log1p" or parts[1].values == "log1p of counts"
  local state = { log = log, from_file = log }
  may = may or function() return true end
  local memory = { learned = D.learned }
  for k, step in ipairs(list) do
    local cells, genes = count(parts)
    local used, note, with = steps[step.name](parts, step.options, may, state)
    local cells2, genes2 = count(parts)
    records[k] = { name = brief(step), step = tostring(step), cells = { cells, cells2 }, genes = { genes, genes2 },
      learned_from = used and used.n, note = note }
    if used then learned.record(memory, "prepare." .. step.name, rows_of(used)) end
    done[k] = repeatable(list, k, with, parts[1].genes)
  end
  for _, part in ipairs(parts) do
    part.prepared, part.stored = joined(part.prepared, done), part.stored or part.values
    part.values = state.log and "log1p" or state.normalised and "normalised" or part.values
  end
  local new = parts[1]
  if #parts > 1 then
    new = setmetatable({}, getmetatable(D))
    for k, v in pairs(D) do new[k] = v end
    new.files, new.cache, new.genes = parts, {}, parts[1].genes
  end
  new.learned = memory.learned
  return new, records
end

--- The same for other cells: steps with what they learned before (see dynamo.units). Nothing is learned; genes that a step
--- left out are left out, and those that the file lacks are not missed. Raises EVALUE: no cell is left.
---@param D table Dataset with single cells
---@param list table[] { name =, options =, kept = genes or nil } each
---@param path string
---@return table Dataset
function M.replay(D, list, path)
  if #list == 0 then return D end
  local parts, state = open(D), {}
  for _, step in ipairs(list) do
    if step.kept then
      local at, there = responses.places(parts[1].genes), {}
      for _, g in ipairs(step.kept) do there[#there + 1] = at[g] end
      if #there == 0 then err.raise { code = "EVALUE", file = path, message = "no gene in common with the model" } end
      take_genes(parts[1], there)
    elseif step.name == "normalise" or step.name == "log1p" or step.name == "filter_cells" then
      local ok, e = pcall(steps[step.name], parts, step.options, nil, state)
      if not ok then err.raise { code = "EVALUE", file = path, message = err.tostring(e) } end
    end
  end
  return parts[1]
end

--- The Dataset as its file has it: read again if counts were scaled on reading.
---@param D table Dataset
---@return table Dataset
function M.unscaled(D)
  local scaled = false
  for _, part in ipairs(D.files or { D }) do scaled = scaled or part.values == "log1p of counts" end
  if not scaled then return D end
  local o, paths = {}, {}
  for k, v in pairs(D.options) do o[k] = v end
  o.counts = true
  for i, part in ipairs(D.files or { D }) do paths[i] = part.file end
  return require("dynamo.data").read(#paths == 1 and paths[1] or paths, o)
end

-- ---- experiments ---------------------------------------------------------------------------------------------

local function key(context, perturbation) return context .. "\0" .. perturbation end

-- Which cells every seed may learn from: a function of Dataset and place.
local function learners(R, splits)
  local uses, contexts, rows = {}, {}, {}
  for _, S in ipairs(splits) do
    for _, i in ipairs(S.train) do uses[i] = (uses[i] or 0) + 1 end
  end
  for i, row in ipairs(R.rows) do
    if uses[i] == #splits then
      contexts[row.context], rows[key(row.context, row.perturbation)] = true, true
    end
  end
  local none = next(contexts) == nil
  return function(D, i)
    local p, c = D:perturbation_of(i), D:context_of(i)
    if not (p and c) then return false end
    if p == "control" then return none or contexts[c] == true end
    return rows[key(c, p)] == true
  end
end

-- The same split on other rows: those that are gone are left out.
local function move(S, old, new)
  local at, copy = {}, setmetatable({}, getmetatable(S))
  for i, row in ipairs(new.rows) do at[key(row.context, row.perturbation)] = i end
  local function there(i) return at[key(old.rows[i].context, old.rows[i].perturbation)] end
  local function list(from)
    local out = {}
    for _, i in ipairs(from) do out[#out + 1] = there(i) end
    return out
  end
  for k, v in pairs(S) do copy[k] = v end
  copy.train, copy.validate, copy.test, copy.group = list(S.train), list(S.validate), list(S.test), {}
  for i, g in pairs(S.group) do if there(i) then copy.group[there(i)] = g end end
  copy.native = S.native and { train = list(S.native.train), validate = list(S.native.validate) }
  return copy
end

--- The responses of an experiment's cells after its steps, with its splits: what steps learn, they learn from cells that
--- every seed trains on. R.preparation has the records. Raises EVALUE.
---@param D table Dataset
---@param o table options of the experiment: prepare, min_cells
---@param make_splits fun(R: table): table[]
---@return table Responses
---@return table[] splits
function M.experiment(D, o, make_splits)
  D = M.unscaled(D)
  local before = D:responses { min_cells = o.min_cells, control = o.control }
  local splits = make_splits(before)
  local prepared, records = M.apply(D, o.prepare, learners(before, splits))
  local R = prepared:responses { min_cells = o.min_cells, control = o.control }
  R.preparation = records
  for k, S in ipairs(splits) do splits[k] = move(S, before, R) end
  if #before.rows > #R.rows then
    R.notes[#R.notes + 1] = ("%s of %s perturbations have no cell after preparation"):format(
      commas(#before.rows - #R.rows), commas(#before.rows))
  end
  return R, splits
end

--- Records as a table of a report.
---@param records table[]
---@return table { title, columns, rows, notes }
function M.table(records)
  local t = { title = "Preparation", columns = { "step", "cells", "after", "genes", "after", "learned from" }, rows = {},
    notes = {} }
  for i, r in ipairs(records) do
    t.rows[i] = { label.safe(r.name), commas(r.cells[1]), commas(r.cells[2]), commas(r.genes[1]), commas(r.genes[2]),
      r.learned_from and commas(r.learned_from) .. " cells" or "-" }
    if r.note then t.notes[#t.notes + 1] = label.safe(r.name) .. ": " .. r.note end
  end
  return t
end

-- ---- control of the same batch -----------------------------------------------------------------------------------

-- Sums over pairs of two codes: a list of { first, second, n }, and the pair of every cell.
local function pairs_of(first, second)
  local known, list, of = {}, {}, {}
  for i, a in ipairs(first) do
    local b = second[i]
    if a > 0 and b and b > 0 then
      local k = a .. ":" .. b
      if not known[k] then
        list[#list + 1] = { a, b, n = 0 }
        known[k] = #list
      end
      of[i] = known[k]
      list[of[i]].n = list[of[i]].n + 1
    else
      of[i] = 0
    end
  end
  return list, of, known
end

--- How the reference of each row moves if it is the mean of the control means of the batches of its context, weighted by the
--- row's cells in them, and not the control mean of the context: Tensor double (N, G), and how many cells are in batches without
--- a control of their context (they count with the context's mean). Nil where no control cell has a batch.
---@param cells table  { x, row_of, context_of, batch_of }, see dynamo.responses
---@param rows table[]
---@param contexts string[]
---@param control userdata  Tensor (C, G)
---@return userdata? shift, integer left
function M.batch_shift(cells, rows, contexts, control)
  local context = {}
  for c, r in ipairs(cells.row_of) do context[c] = r == 0 and cells.context_of[c] or 0 end
  local groups, of, known = pairs_of(context, cells.batch_of)
  if #groups == 0 then return nil, 0 end
  local at, index, own = responses.places(contexts), {}, core.zeros(#rows, 1, "double")
  local weight, left = core.zeros(#rows, #groups, "double"), 0
  for i, r in ipairs(rows) do index[i], left = at[r.context], left + r.n_cells end
  for _, s in ipairs(pairs_of(cells.row_of, cells.batch_of)) do
    local i = s[1]
    local g = known[index[i] .. ":" .. s[2]]
    if g then
      local share = s.n / rows[i].n_cells
      weight:set(share, i, g)
      own:set(own:get(i, 1) + share, i, 1)
      left = left - s.n
    end
  end
  return weight:matmul(sparse(cells.x):group_means(of, #groups)) - control:index(1, index) * own, left
end

--- Hold each perturbation against the controls of its own batches, in t.delta (see batch_shift): a shift that all cells of a
--- batch share drops out. Raises EFORMAT: no batches, no single cells.
---@param D table Dataset
---@param t table { cells, rows, contexts, delta, control, notes }, as data.responses makes it
function M.match(D, t)
  if not (t.cells and t.cells.batch_of) then
    err.raise { code = "EFORMAT", file = D.file, message = "no batches of single cells to match controls by",
      hint = 'data.read(file, { batch = "COLUMN" })' }
  end
  local shift, left = M.batch_shift(t.cells, t.rows, t.contexts, t.control)
  if not shift then return end
  t.delta = t.delta - shift
  t.notes[#t.notes + 1] = ("controls are matched by '%s'%s"):format(label.safe(D.batch), left > 0 and
    ("; %s cells have none in their batch and count with the context"):format(commas(left)) or "")
end

return M
