--- Predictions as .h5ad: one row per perturbation, what `dynamo run` and `dynamo predict` write.
--
-- X: predicted mean profile (control + change; labels: the score). obs: perturbation, context, group, coverage (how it was
-- predicted), distance (edges of the graph to the nearest training gene, the farthest of the row's genes; -1 unreachable),
-- n_cells. var: symbol. layers: control, delta, observed (the measured change) where it is known, and sd (of the model,
-- calibrated on validation rows) where the model is an ensemble.
local core = require "dynamo.core"
local err = require "dynamo.error"
local json = require "dynamo.json"
local label = require "dynamo.label"
local options = require "dynamo.options"
local responses = require "dynamo.responses"

local M = { schema = {} }

M.schema.save_cells = {
  cells = { default = 100, type = "integer", min = 1, help = "cells per perturbation, at most the controls of the context" },
  seed = { default = 1, type = "integer", help = "which control cells are moved" },
}

--- Hops in the graph from each row's farthest gene to the nearest training gene; -1: not reachable or not in the graph.
---@param graph userdata?
---@param train string[]  training genes
---@param rows table[]    with targets
---@return userdata? Tensor double (#rows); nil without a graph
function M.distances(graph, train, rows)
  if not graph or #rows == 0 then return nil end
  local known, from, genes, seen = {}, {}, {}, {}
  for _, g in ipairs(train) do
    known[g] = true
    if graph:find(g) then from[#from + 1] = g end
  end
  for _, r in ipairs(rows) do
    for _, g in ipairs(r.targets) do
      if not seen[g] then seen[g], genes[#genes + 1] = true, g end
    end
  end
  local hops, out = #from > 0 and graph:hops(from, genes) or {}, {}
  local at = responses.places(genes)
  for i, r in ipairs(rows) do
    out[i] = 0
    for _, g in ipairs(r.targets) do
      local h = known[g] and 0 or hops[at[g]] or -1
      if h < 0 or out[i] < 0 then out[i] = -1 else out[i] = math.max(out[i], h) end
    end
  end
  return core.tensor(out, "double")
end

local function column(rows, key)
  local out = {}
  for i, r in ipairs(rows) do out[i] = tostring(r[key]) end
  return out
end

--- Write a table of predictions.
---@param path string
---@param p table { rows = { { perturbation, context, coverage, n_cells?, group? } }, genes, control = Tensor (n, G),
---  delta = Tensor (n, G), observed = Tensor or nil, sd = Tensor or nil, distance = Tensor or nil, about = table for uns.dynamo }
function M.save(path, p)
  local names, cells = {}, {}
  for i, r in ipairs(p.rows) do
    names[i], cells[i] = r.context .. "/" .. r.perturbation, r.n_cells or 0
  end
  local obs = {
    { name = "perturbation", values = column(p.rows, "perturbation"), categorical = true },
    { name = "context", values = column(p.rows, "context"), categorical = true },
    { name = "coverage", values = column(p.rows, "coverage"), categorical = true },
  }
  if p.rows[1].group then obs[#obs + 1] = { name = "group", values = column(p.rows, "group"), categorical = true } end
  if p.rows[1].n_cells then obs[#obs + 1] = { name = "n_cells", values = core.tensor(cells, "double") } end
  if p.distance then obs[#obs + 1] = { name = "distance", values = p.distance } end
  core.h5ad_write(path, { x = (p.control + p.delta):to "float", obs_names = names, var_names = p.genes, obs = obs,
    var = { { name = "symbol", values = p.genes } }, uns = { dynamo = json.encode(p.about) },
    layers = { control = p.control:to "float", delta = p.delta:to "float",
      observed = p.observed and p.observed:to "float", sd = p.sd and p.sd:to "float" } })
end

-- Control cells of each context, by the names of contexts.
local function controls(R)
  local by = {}
  for c, row in ipairs(R.cells.row_of) do
    local name = R.contexts[R.cells.context_of[c]]
    by[name] = by[name] or {}
    if row == 0 then table.insert(by[name], c) end
  end
  return by
end

-- Some of a list of cells, in their order.
local function draw(list, n, seed, purpose)
  local out = {}
  for i, k in ipairs(core.permutation(#list, seed, purpose)) do if i <= n then out[i] = list[k] end end
  table.sort(out)
  return out
end

-- Control cells moved by a change (1, G), expression not below zero.
local function moved(x, delta)
  x = core.is_sparse(x) and x:dense() or x
  return core.sparse_from_dense((x + delta:to "float"):maximum(0))
end

--- Predicted cells as .h5ad, for programs that compare populations: control cells of the context, drawn by the seed and each
--- moved by the predicted change (expression not below zero), and the control cells themselves as "control". A change of the
--- mean says nothing about the spread within cells: theirs is the controls'. obs: perturbation, context, coverage.
---
--- Raises EVALUE: data without cells in memory, a context without control cells.
---@param path string
---@param R table     Responses with cells
---@param p table     { rows = { { perturbation, context, coverage } }, delta = Tensor (n, G), about = table for uns.dynamo }
---@param opts? table see schema.save_cells
function M.save_cells(path, R, p, opts)
  local o = options.check("predictions.save_cells", opts or {}, M.schema.save_cells)
  if not R.cells or type(R.cells.x) == "table" then
    err.raise { code = "EVALUE", message = "predicted cells: the data has no cells in memory", hint = "read cells, without stream" }
  end
  local by, blocks, names, rows, shown = controls(R), {}, {}, {}, {}
  local function add(list, row, delta)
    blocks[#blocks + 1] = moved(R.cells.x:index(1, list), delta)
    for _, cell in ipairs(list) do
      rows[#rows + 1] = row
      names[#names + 1] = ("%s/%s/%d"):format(row.context, row.perturbation, cell)
    end
  end
  for i, r in ipairs(p.rows) do
    local list = by[r.context] or {}
    if #list == 0 then
      err.raise { code = "EVALUE", message = ("context '%s' has no control cells"):format(label.safe(r.context)) }
    end
    local cells = draw(list, o.cells, o.seed, r.context .. "/" .. r.perturbation)
    if not shown[r.context] then
      shown[r.context] = true
      add(draw(list, o.cells, o.seed, r.context .. "/control"), { perturbation = "control", context = r.context,
        coverage = "control" }, core.zeros(1, #R.genes))
    end
    add(cells, r, p.delta:rows(i, i))
  end
  local obs = {}
  for k, key in ipairs { "perturbation", "context", "coverage" } do
    obs[k] = { name = key, values = column(rows, key), categorical = true }
  end
  core.h5ad_write(path, { x = core.sparse_cat(blocks, 1), obs_names = names, var_names = R.genes, obs = obs,
    var = { { name = "symbol", values = R.genes } }, uns = { dynamo = json.encode(p.about or {}) } })
end

--- The main model's predictions of the test rows of the first seed of Results.
---@param path string
---@param results table
function M.write(path, results)
  local R, S, main = results.R, results.splits[1], results:main()
  local rows, control = {}, {}
  for k, i in ipairs(S.test) do
    local r = R.rows[i]
    rows[k] = { perturbation = r.perturbation, context = r.context, targets = r.targets, n_cells = r.n_cells,
      coverage = main.flags[1][k] or "embedding", group = S.group[i] or "all" }
    control[k] = R:control_index(r.context)
  end
  local calibrated = results:calibration()
  M.save(path, { rows = rows, genes = R.genes, control = R.control:index(1, control), delta = main.first,
    sd = calibrated and calibrated.sd,
    observed = responses.pick(R.delta, S.test), distance = M.distances(results.graph, R:targets(S.train), rows),
    about = { version = core.version, experiment = results.experiment.options.name, model = tostring(main.recipe),
      seed = results.seeds[1], split = tostring(S), kind = R.kind,
      units = R.kind == "label" and "score" or "log1p expression" } })
end

return M
