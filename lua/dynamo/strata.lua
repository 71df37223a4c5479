--- Scores one by one, and by what they depend on: number of cells, size of the effect, distance in the network, coverage.
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local predictions = require "dynamo.predictions"
local tabular = require "dynamo.table"

local M = {}

-- Edges from a tested gene to the nearest training gene, per test row of seed k; nil without a network.
local function distances(results, k)
  local S, rows = results.splits[k], {}
  for i, r in ipairs(S.test) do rows[i] = results.R.rows[r] end
  local d = predictions.distances(results.graph, results.R:targets(S.train), rows)
  return d and d:totable()
end

-- "pearson@control/all=const_pred; ..." of one value.
local function statuses(r, k, i, keys)
  local out = {}
  for _, key in ipairs(keys) do
    local why = r.status and r.status[k] and r.status[k][key] and r.status[k][key][i]
    if why then out[#out + 1] = key .. "=" .. why end
  end
  return table.concat(out, "; ")
end

--- The text of perturbations.csv: a line per row of the table, seed and tested perturbation (labels: gene), with group, cells,
--- distance in the network, coverage, what was not scored as usual and why, and a column per score.
---@param results table
---@param keys string[]
---@return string
function M.csv(results, keys)
  local lines, columns, far = {}, { "model", "embedding", "context", "seed", "name", "group", "n_cells", "distance", "coverage",
    "status" }, {}
  local fixed = #columns
  for _, key in ipairs(keys) do columns[#columns + 1] = key end
  for k in ipairs(results.seeds) do far[k] = results.kind ~= "label" and distances(results, k) or {} end
  for _, r in ipairs(results.rows) do
    for k, seed in ipairs(results.seeds) do
      local at, S = results.places[k], results.splits[k]
      for i, name in ipairs(at.names) do
        local row = results.kind ~= "label" and results.R.rows[S.test[i]] or nil
        local line = { r.model, r.embedding, at.context[i], seed, row and row.perturbation or name, at.group[i],
          row and row.n_cells or "", far[k][i] or "", row and r.flags[k] and r.flags[k][i] or "", statuses(r, k, i, keys) }
        for j, key in ipairs(keys) do line[fixed + j] = (r.values[k][key] or {})[i] or 0 / 0 end
        lines[#lines + 1] = line
      end
    end
  end
  return tabular.csv(columns, lines)
end

-- ---- strata -----------------------------------------------------------------------------

-- Thirds of numbers: a function from a value to "low: up to 12", "middle", "high: from 40"; nil where they are all alike.
local function thirds(values, form)
  local sorted = {}
  for i, v in ipairs(values) do sorted[i] = v end
  table.sort(sorted)
  local a, b = evaluate.quantile(sorted, 1 / 3), evaluate.quantile(sorted, 2 / 3)
  if #sorted < 6 or sorted[1] == sorted[#sorted] then return nil end
  return function(v)
    if v <= a then return ("1: up to " .. form):format(a) end
    return v <= b and ("2: up to " .. form):format(b) or ("3: above " .. form):format(b)
  end
end

-- What each tested row of seed k is grouped by: { name, value per row, form or nil for names }.
local function features(results, k)
  local S, R, far = results.splits[k], results.R, distances(results, k)
  local cells, size, flag = {}, {}, {}
  local norm = R.delta:index(1, S.test):square():sum(2):sqrt():totable()
  for i, r in ipairs(S.test) do
    cells[i], size[i], flag[i] = R.rows[r].n_cells, norm[i], results:main().flags[k][i] or "embedding"
  end
  return { { "cells", cells, "%.0f" }, { "effect size", size, "%.2g" }, { "distance", far, nil }, { "coverage", flag, nil } }
end

-- { [stratum] = { names of "seed place" } } of one kind over all seeds, in a context.
local function strata(results, context, which)
  local all, of, out = {}, {}, {}
  for k in ipairs(results.seeds) do
    of[k] = features(results, k)[which]
    for i, v in ipairs(of[k][2] or {}) do
      if results.places[k].context[i] == context then all[#all + 1] = v end
    end
  end
  local form = of[1][3]
  local name = form and thirds(all, form) or not form and tostring
  for k in ipairs(name and results.seeds or {}) do
    for i, v in ipairs(of[k][2] or {}) do
      if results.places[k].context[i] == context then
        local s = of[k][1] .. " " .. name(v):gsub("%.0$", "")
        out[s] = out[s] or {}
        table.insert(out[s], { k, i })
      end
    end
  end
  return out
end

local function mean_of(results, r, key, list)
  local values, names = {}, {}
  for j, at in ipairs(list) do
    values[j], names[j] = (r.values[at[1]][key] or {})[at[2]] or 0 / 0, results.places[at[1]].names[at[2]]
  end
  return evaluate.summarise(values, { names = names, draws = 100 })
end

--- Mean scores of the main model and of the train mean by number of cells, effect size (thirds), distance in the network and
--- coverage; a score that follows one of these is about it. nil for labels, and where nothing divides the rows.
---@param results table
---@param context string
---@return table? { title, columns, rows, notes }
function M.table(results, context)
  if results.kind == "label" then return nil end
  local main, base = results:main(), nil
  for _, r in ipairs(results.rows) do
    if r.model == "mean" and r.kind == "baseline" then base = r end
  end
  local t = { title = "strata, " .. label.safe(context), columns = { "tested perturbations", "n" }, rows = {}, notes = {
    "Means over perturbations; the number of cells goes with effect size and with every score." } }
  for _, h in ipairs(results.head) do
    t.columns[#t.columns + 1] = ("%s, %s"):format(main.model, h[2])
    if base then t.columns[#t.columns + 1] = "mean, " .. h[2] end
  end
  for which = 1, 4 do
    local groups = strata(results, context, which)
    local names = label.sorted_keys(groups)
    for _, name in ipairs(#names > 1 and names or {}) do
      local line = { name, mean_of(results, main, results.head[1][1], groups[name]).n }
      for _, h in ipairs(results.head) do
        line[#line + 1] = mean_of(results, main, h[1], groups[name]).mean
        if base then line[#line + 1] = mean_of(results, base, h[1], groups[name]).mean end
      end
      t.rows[#t.rows + 1] = line
    end
  end
  return #t.rows > 0 and t or nil
end

return M
