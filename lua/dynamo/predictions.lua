--- Predictions as .h5ad: one row per perturbation, what `dynamo run` and `dynamo predict` write.
--
-- X: predicted mean profile (control + change; labels: the score). obs: perturbation, context, group, coverage (how it was
-- predicted), distance (edges of the graph to the nearest training gene, the farthest of the row's genes; -1 unreachable),
-- n_cells. var: symbol. layers: control, delta, observed (the measured change) where it is known, and sd (of the model,
-- calibrated on validation rows) where the model is an ensemble.
local core = require "dynamo.core"
local json = require "dynamo.json"
local responses = require "dynamo.responses"

local M = {}

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
