--- How well anything could score: split halves, the interpolated duplicate, and the dynamic range of a metric.
--
-- A score near the split-half ceiling is not suspicious, one above its bound is. The duplicate is a strong positive control
-- where plain halves are noise: half of the cells, shrunk to the centroid at genes that do not tell the perturbation from
-- the others. A metric whose dynamic range (between it and the train mean) is near 0 cannot tell models apart.
local core = require "dynamo.core"
local err = require "dynamo.error"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local metrics = require "dynamo.metrics"
local options = require "dynamo.options"
local responses = require "dynamo.responses"
local truth = require "dynamo.truth"

local M = { schema = {} }

local NAN = 0 / 0

-- ---- halves -------------------------------------------------------------------------

-- Cells of each row and, for controls, of each context, by batch where batches are known: lists of lists.
local function strata(R)
  local c, groups = R.cells, {}
  for cell, r in ipairs(c.row_of) do
    local id = (r > 0 and r or #R.rows + c.context_of[cell])
    local batch = c.batch_of and c.batch_of[cell] or 1
    groups[id] = groups[id] or {}
    groups[id][batch] = groups[id][batch] or {}
    table.insert(groups[id][batch], cell)
  end
  return groups
end

-- Codes 2 id - 1 (first half) or 2 id (second) per cell, and the sizes of the halves per id.
local function halve(R, groups, seed)
  local code, size = {}, {}
  for cell = 1, #R.cells.row_of do code[cell] = 0 end
  for _, id in ipairs(label.sorted_keys_any(groups)) do
    size[id] = { 0, 0 }
    for _, batch in ipairs(label.sorted_keys_any(groups[id])) do
      local list = groups[id][batch]
      for _, place in ipairs(core.permutation(#list, seed, ("halves %d"):format(id))) do
        local half = size[id][1] <= size[id][2] and 1 or 2 -- in turn: as many in both, within batches too
        code[list[place]] = 2 * id - 2 + half
        size[id][half] = size[id][half] + 1
      end
    end
  end
  return code, size
end

local function sparse_cells(R) return core.is_sparse(R.cells.x) and R.cells.x or core.sparse_from_dense(R.cells.x) end

-- Mean changes of both halves (N, G) against disjoint halves of the controls, and the codes and sizes.
local function half_changes(R, x, groups, seed)
  local code, size = halve(R, groups, seed)
  local n, c = #R.rows, #R.contexts
  local means = x:group_means(code, 2 * (n + c))
  local out, control = {}, {}
  for half = 1, 2 do
    local own, ref = {}, {}
    for i, row in ipairs(R.rows) do
      own[i], ref[i] = 2 * i - 2 + half, 2 * (n + R:control_index(row.context)) - 2 + half
    end
    out[half] = means:index(1, own) - means:index(1, ref)
    local list = {}
    for k = 1, c do list[k] = 2 * (n + k) - 2 + half end
    control[half] = means:index(1, list)
  end
  return out, control, code, size
end

local function need_cells(name, R)
  if not R.cells then
    err.raise { code = "EVALUE", file = R.file, message = ("ceiling.%s: the data have no cells"):format(name) }
  end
end

-- Rows of `rows` whose halves, and those of their controls, have enough cells: places in the list.
local function large_enough(R, rows, size, least)
  local out = {}
  for k, i in ipairs(rows) do
    local own, ref = size[i], size[#R.rows + R:control_index(R.rows[i].context)]
    if own and ref and math.min(own[1], own[2], ref[1], ref[2]) >= least then out[#out + 1] = k end
  end
  return out
end

-- Columns that halves can be scored by.
local function usable(keys)
  local out = {}
  for _, key in ipairs(keys or evaluate.columns) do
    local kind = metrics.parse(key).metric.kind
    if kind ~= "cells" and kind ~= "label" then out[#out + 1] = key end
  end
  return out
end

-- The same rows with one half's changes as the truth.
local function with_truth(R, delta, control)
  return responses.new { genes = R.genes, contexts = R.contexts, rows = R.rows, delta = delta, control = control, file = R.file }
end

local shared = {
  metrics = { type = "table", item = "string", help = "columns; default: evaluate.columns" },
  centroid = { type = "userdata", help = "see evaluate.centroid" },
  train = { type = "table", item = "integer", min = 1, help = "training rows" },
  least = { default = 10, type = "integer", min = 1, help = "cells that each half must have, else a row is left out" },
  seed = { default = 1, type = "integer", min = 0, help = "of the halves" },
}

local function schema_with(more)
  local out = {}
  for k, v in pairs(shared) do out[k] = v end
  for k, v in pairs(more) do out[k] = v end
  return out
end

local function score(R, o, delta, control, rows, predicted, T)
  return evaluate.score(with_truth(R, delta, control), rows, predicted, { metrics = usable(o.metrics), centroid = o.centroid,
    train = o.train, truth = T or truth.of(R) })
end

-- Add values at places to sums and counts; NaN is nothing.
local function add(sum, count, values, places)
  for key, list in pairs(values) do
    sum[key], count[key] = sum[key] or {}, count[key] or {}
    for j, k in ipairs(places) do
      local v = list[j]
      if v == v then sum[key][k], count[key][k] = (sum[key][k] or 0) + v, (count[key][k] or 0) + 1 end
    end
  end
end

local function means(sum, count, n)
  local out = {}
  for key, list in pairs(sum) do
    out[key] = {}
    for k = 1, n do out[key][k] = count[key][k] and list[k] / count[key][k] or NAN end
  end
  return out
end

local function subset(list, places)
  local out = {}
  for j, k in ipairs(places) do out[j] = list[k] end
  return out
end

M.schema.split_half = schema_with { splits = { default = 20, type = "integer", min = 1, help = "random halves, averaged" } }

--- Split-half ceiling of every column: one half of a perturbation's cells as prediction of the other, with disjoint halves of
--- the controls (by batch where R.cells.batch_of has them), averaged over random halves.
---
--- Rows with fewer than `least` cells in a half are NaN. Raises EVALUE: no cells. O(splits (nnz + scoring)).
---@param R table Responses
---@param rows integer[]
---@param opts? table  see ceiling.schema.split_half
---@return table values { [key] = { a number per row } }: r_half; see ceiling.spearman_brown for the rest
function M.split_half(R, rows, opts)
  local o = options.check("ceiling.split_half", opts, M.schema.split_half)
  need_cells("split_half", R)
  local x, groups, sum, count = sparse_cells(R), strata(R), {}, {}
  for s = 1, o.splits do
    local change, control, _, size = half_changes(R, x, groups, o.seed * 1000 + s)
    local places = large_enough(R, rows, size, o.least)
    if #places > 0 then
      local list = subset(rows, places)
      local values = score(R, o, change[2], control[2], list, responses.pick(change[1], list))
      add(sum, count, values, places)
    end
  end
  return means(sum, count, #rows)
end

--- From a split-half correlation: what two full-size replicates would have (Spearman 1910; Brown 1910), and the bound for a
--- prediction without noise against a full-size measurement.
---@param r number
---@return number full, number bound
function M.spearman_brown(r)
  local full = 2 * r / (1 + r)
  return full, full > 0 and math.sqrt(full) or full == full and 0 or full
end

-- ---- duplicates -----------------------------------------------------------------------

--- (1 - q) dup + q m, NaN in q as 1: CellSimBench's interpolated duplicate.
---@param dup userdata  Tensor (G)
---@param m userdata
---@param q userdata
---@return userdata
function M.interpolate(dup, m, q)
  q = q:masked_fill(q:isnan(), 1)
  return dup + (m - dup) * q
end

M.schema.duplicate = schema_with { splits = { default = 1, type = "integer", min = 1, help = "random halves, averaged" } }

-- Duplicates of the rows of a list from their second halves.
local function duplicates(R, o, list, change, code)
  local T, blocks = truth.of(R), {}
  for j, i in ipairs(list) do
    local r = T:test(i, "others", "overestim", function(cell) return code[cell] == 2 * i end)
    local dup, m = change[2]:select(1, i), o.centroid:select(1, R:control_index(R.rows[i].context))
    blocks[j] = M.interpolate(dup, m, r and r.q or core.full(1, #R.genes, "double")):reshape(1, #R.genes)
  end
  return core.cat(blocks, 1)
end

--- Interpolated duplicate as a positive control: the second half of a perturbation's cells, shrunk to the centroid by q of each
--- gene against all other perturbations, as prediction of the first half. Beside it what the train mean and no change score on
--- the same truths. Weights of wmse and wr2 are from the half that is predicted. Raises EVALUE: no cells.
---@param R table Responses
---@param rows integer[]
---@param opts table  see ceiling.schema.duplicate; centroid is needed
---@return table { positive = { [key] = numbers }, mean = ..., no_change = ... }
function M.duplicate(R, rows, opts)
  local o = options.check("ceiling.duplicate", opts, M.schema.duplicate)
  need_cells("duplicate", R)
  if not o.centroid then err.raise { code = "EOPTION", message = "ceiling.duplicate: option 'centroid' is required" } end
  local x, groups = sparse_cells(R), strata(R)
  local sum, count = { positive = {}, mean = {}, no_change = {} }, { positive = {}, mean = {}, no_change = {} }
  for s = 1, o.splits do
    local change, control, code, size = half_changes(R, x, groups, o.seed * 1000 + 500 + s)
    local places = large_enough(R, rows, size, o.least)
    local list, contexts = subset(rows, places), {}
    for j, i in ipairs(list) do contexts[j] = R:control_index(R.rows[i].context) end
    if #list > 0 then
      local mean = o.centroid:to "double":index(1, contexts)
      local T = truth.of(R):restricted(function(i, cell) return code[cell] == 2 * i - 1 end) -- not the predictor's half
      for name, p in pairs { positive = duplicates(R, o, list, change, code), mean = mean, no_change = mean * 0 } do
        add(sum[name], count[name], (score(R, o, change[1], control[1], list, p, T)), places)
      end
    end
  end
  local out = {}
  for name in pairs(sum) do out[name] = means(sum[name], count[name], #rows) end
  return out
end

--- Dynamic range of a value between a positive and a negative control: (pos - neg) / (1 - neg), for errors (neg - pos) / neg,
--- clipped to [-1, 1].
---@param pos number
---@param neg number
---@param better? integer  1 (default) or -1
---@return number
function M.fraction(pos, neg, better)
  local v
  if (better or 1) > 0 then v = (pos - neg) / (1 - neg) else v = (neg - pos) / neg end
  return math.max(-1, math.min(1, v))
end

--- Dynamic range of every column per row, from ceiling.duplicate: against the train mean, in columns that refer to the
--- centroid against no change.
---@param d table
---@return table { [key] = numbers }
function M.dynamic_range(d)
  local out = {}
  for key, list in pairs(d.positive) do
    local neg = key:find("@centroid", 1, true) and d.no_change[key] or d.mean[key]
    local better = metrics.better(key)
    out[key] = {}
    for k = 1, #list do
      local a, b = list[k], neg[k]
      out[key][k] = a == a and b == b and M.fraction(a, b, better) or NAN
    end
  end
  return out
end

-- ---- rows of a run --------------------------------------------------------------------------

local function row_of(list, model)
  for _, r in ipairs(list) do
    if r.model == model then return r end
  end
  local r = { model = model, embedding = "none", kind = "reference", ceiling = true, values = {}, flags = {}, status = {} }
  list[#list + 1] = r
  return r
end

-- Flags and statuses of what is no prediction: none.
local function put(r, k, values, rows, keys)
  local full, none = {}, {}
  for _, key in ipairs(keys) do -- every column has a value per row, NaN where there is none
    full[key] = values[key]
    if not full[key] then
      full[key] = {}
      for i = 1, #rows do full[key][i] = NAN end
    end
  end
  r.values[k], r.flags[k], r.status[k] = full, none, none
end

--- Add what halves and duplicates of the cells score to `job.ceilings`, for seed number k: rows "split-half", "duplicate",
--- and job.dynamic_range[k] = { [column] = numbers }.
---@param job table  of the runner
---@param k integer
---@param centroid userdata
function M.add(job, k, centroid)
  local S, first = job.splits[k], job.rows[1]
  local keys = label.sorted_keys(first.values[k])
  local o = { metrics = keys, centroid = centroid, train = S.train, seed = job.seeds[k] }
  put(row_of(job.ceilings, "split-half"), k, M.split_half(job.R, S.test, o), S.test, keys)
  local d = M.duplicate(job.R, S.test, o)
  put(row_of(job.ceilings, "duplicate"), k, d.positive, S.test, keys)
  job.dynamic_range = job.dynamic_range or {}
  job.dynamic_range[k] = M.dynamic_range(d)
end

--- What a table says about its ceilings: of the split halves also what two full-size replicates would have and the bound of a
--- prediction without noise; the dynamic range of its columns. Empty without cells.
---@param results table
---@param context string
---@return string[]
function M.notes(results, context)
  local halves, ranges, ceiling = {}, {}, nil
  for _, r in ipairs(results.rows) do
    if r.ceiling and r.model == "split-half" then ceiling = r end
  end
  for _, h in ipairs(ceiling and results.head or {}) do
    local r, v = results:summary(ceiling, h[1], context).mean, results:range(h[1], context)
    if r == r then halves[#halves + 1] = ("%s %.2f, %.2f, %.2f"):format(h[2], r, M.spearman_brown(r)) end
    if v then ranges[#ranges + 1] = ("%s %.2f"):format(h[2], v) end
  end
  local out = {}
  if #halves > 0 then
    out[1] = "ceiling (halves of the cells, full replicates, bound): " .. table.concat(halves, "; ")
  end
  if #ranges > 0 then out[#out + 1] = "dynamic range (duplicate against the mean): " .. table.concat(ranges, ", ") end
  return out
end

-- ---- several lines ------------------------------------------------------------------------

--- Decomposition of a complete table of lines x perturbations, per gene: Y = mu + T (line template) + C (conserved effect) +
--- I (line-specific, with the noise); sums of squares add up.
---@param Y userdata  Tensor (lines, perturbations, genes) or (lines, perturbations)
---@return table { mu, T = (lines, G), C = (perturbations, G), I, squares = { total, mu, T, C, I } }
function M.decompose(Y)
  local flat = #{ Y:size() } == 2
  local L, P, G = Y:size()
  G = flat and 1 or G
  local y = Y:to "double":reshape(L, P, G)
  local by_line, by_pert = y:mean(2):reshape(L, G), y:mean(1):reshape(P, G)
  local mu = by_line:mean(1):reshape(1, G)
  local T, C = by_line - mu, by_pert - mu
  local I = y - T:reshape(L, 1, G) - C:reshape(1, P, G) - mu:reshape(1, 1, G)
  local function squares(t, times) return t:square():sum():item() * times end
  return { mu = mu, T = T, C = C, I = I, squares = { T = squares(T, P), C = squares(C, L), I = squares(I, 1),
    mu = squares(mu, L * P), total = squares(y, 1) } }
end

-- Places of the perturbations that every context has: names, { [context] = { row per name } }.
local function complete(R)
  local count, rows = {}, {}
  for i, r in ipairs(R.rows) do
    count[r.perturbation] = (count[r.perturbation] or 0) + 1
    rows[r.context] = rows[r.context] or {}
    rows[r.context][r.perturbation] = i
  end
  local names = {}
  for _, p in ipairs(label.sorted_keys(count)) do
    if count[p] == #R.contexts then names[#names + 1] = p end
  end
  return names, rows
end

--- How far a prediction in one context is template, conserved effect and interaction: mean Pearson of predicting the line's
--- template, of prediction and truth less the template (centroid-referenced), and of both less template and the conserved
--- effect seen in the *other* contexts. Over the perturbations that every context has.
---@param R table Responses of at least two contexts
---@param context string
---@param predicted userdata  Tensor (#names, G): predictions in that context, in the order of `names`
---@return table { template, conserved, interaction (means of Pearson), n, names }
function M.lines(R, context, predicted)
  local names, rows = complete(R)
  if #names < 3 or #R.contexts < 2 then
    err.raise { code = "EVALUE", message = ("ceiling.lines: %d perturbations are in all of %d contexts, three in two are "
      .. "needed"):format(#names, #R.contexts) }
  end
  local function block(c)
    local idx = {}
    for k, p in ipairs(names) do idx[k] = rows[c][p] end
    return R.delta:index(1, idx)
  end
  local y, others, n = block(context), nil, 0
  local G = #R.genes
  for _, c in ipairs(R.contexts) do
    if c ~= context then
      local b = block(c)
      b = b - b:mean(1):reshape(1, G)
      others, n = others and others + b or b, n + 1
    end
  end
  others = others / n
  local template = y:mean(1):reshape(1, G)
  local function mean(p, t, reference) -- residues of what comes off are no signal
    local v = core.pearson_rows(p, t, { reference = reference })
    return v:masked_select(v:isnan():eq(0)):mean():item()
  end
  return { names = names, n = #names, template = mean(template:expand(#names, G), y), conserved =
    mean(predicted, y, template:reshape(G)), interaction = mean(predicted, y, others + template) }
end

return M
