--- Scores of predicted responses, their summaries with intervals, and paired comparisons.
--
-- A key is metric@reference/genes: "pearson@centroid/all-target"; dynamo.metrics has the metrics and references,
-- dynamo.genesets the gene sets. NaN means that the data cannot score a row (constant truth, fewer than three genes); a
-- prediction that says nothing (constant on the genes scored) is 0, with status const_pred.
local core = require "dynamo.core"
local err = require "dynamo.error"
local genesets = require "dynamo.genesets"
local label = require "dynamo.label"
local metrics = require "dynamo.metrics"
local options = require "dynamo.options"
local responses = require "dynamo.responses"

local M = { schema = {} }

local NAN = 0 / 0

local function fail(message, file) err.raise { code = "EVALUE", file = file, message = "evaluate: " .. message } end

-- ---- references -------------------------------------------------------------------

--- The training centroid as a change against control: Tensor double (C, G), the mean delta of the rows in `train` per
--- context, each perturbation with weight 1 (over observed entries where there is a mask). A context without training
--- rows has zeros. Second result: list of booleans, which contexts have rows.
---@param R table Responses
---@param train integer[]
---@return userdata, boolean[]
function M.centroid(R, train)
  local blocks, has = {}, {}
  for c, name in ipairs(R.contexts) do
    local list = {}
    for _, i in ipairs(train) do
      if R.rows[i].context == name then list[#list + 1] = i end
    end
    has[c] = #list > 0
    if #list == 0 then
      blocks[c] = core.zeros(1, #R.genes, "double")
    elseif R.mask then
      local w = R.mask:index(1, list)
      blocks[c] = ((R.delta:index(1, list) * w):sum(1) / w:sum(1):maximum(1)):reshape(1, #R.genes)
    else
      blocks[c] = R.delta:index(1, list):mean(1):reshape(1, #R.genes)
    end
  end
  return core.cat(blocks, 1), has
end

-- ---- columns ------------------------------------------------------------------------

--- The columns that are computed unless others are asked for.
M.columns = {}
for _, reference in ipairs { "control", "centroid" } do
  for _, genes in ipairs { "all", "all-target", "top20", "top20-target" } do
    M.columns[#M.columns + 1] = ("pearson@%s/%s"):format(reference, genes)
  end
  M.columns[#M.columns + 1] = ("cosine@%s/all"):format(reference)
end
for _, key in ipairs { "mse@none/all", "mse@none/top20", "relerr@control/all", "direction@control/all", "pds_l2", "nir" } do
  M.columns[#M.columns + 1] = key
end

-- What a column becomes for these data: itself, its substitute without cells, or nil and the reason.
local function available(spec, R, o)
  local kind = spec.metric.kind
  if (kind == "label") ~= (R.kind == "label") then return nil, "scores " .. (kind == "label" and "labels" or "effects") end
  if spec.reference == "centroid" and not o.centroid then return nil, "there is no centroid" end
  if spec.reference == "control=batch" and R.control_by ~= "batch" and not (R.cells and R.cells.batch_of) then
    return nil, "no batches of cells are known"
  end
  if spec.genes.base == "hvg" and not o.train then return nil, "the training rows are not known" end
  if R.cells or o.truth and kind ~= "cells" then return spec end
  if spec.metric.cells or kind == "cells" then return nil, "needs cells" end
  local set = genesets.without_cells(spec.genes)
  if not set then return nil, "needs cells" end
  if set == spec.genes then return spec end
  local copy = {}
  for k, v in pairs(spec) do copy[k] = v end
  copy.genes, copy.key = set, ("%s@%s/%s"):format(spec.name, spec.reference, set.key)
  return copy
end

-- The columns to compute, and { [key] = reason } of those left out.
local function plan(R, o)
  local specs, skipped, seen = {}, {}, {}
  for _, key in ipairs(o.metrics or R.kind == "label" and { "auroc" } or M.columns) do
    local spec = metrics.parse(key)
    local use, why = available(spec, R, o)
    if use and use.metric.kind == "retrieval" and not o.metrics and (R.mask or not o.retrieval) then
      use, why = nil, "entries are unobserved"
    end
    if use and not seen[use.key] then specs[#specs + 1] = use end
    if use then seen[use.key] = true else skipped[key] = why end
  end
  return specs, skipped
end

-- Variance of each gene over the training perturbations' mean changes of a context.
local function spread(R, train, context)
  local list = {}
  for _, i in ipairs(train or {}) do
    if R.rows[i].context == context then list[#list + 1] = i end
  end
  if #list < 2 then return nil end
  local d = R.delta:index(1, list)
  return (d - d:mean(1):reshape(1, #R.genes)):square():mean(1)
end

local function truth_of(R) return require("dynamo.truth").of(R) end

-- Rows that are scored together, those of one context: truth t and prediction p (n, G), and what metrics ask for.
local function block(R, idx, p, context, o)
  local t = R.delta:index(1, idx)
  local b = { R = R, rows = idx, t = t, p = p, eps = o.eps, tau = o.tau, mask = R.mask and R.mask:index(1, idx),
    exclude = R:target_columns(idx), control = R.control:select(1, R:control_index(context)), context = context,
    truth = o.truth or truth_of(R), spread = spread(R, o.train, context), train = o.train, cells = o.cells }
  if o.centroid then b.centroid = o.centroid:select(1, R:control_index(context)):to "double" end
  for _, m in ipairs { t, p } do -- what is not finite counts for nobody (check_prediction has refused the others)
    if #idx > 0 and m:nonfinite() > 0 then
      local good = (m - m):eq(0)
      b.mask = b.mask and b.mask * good or good
    end
  end
  if b.mask then
    local hidden = b.mask:eq(0)
    b.t, b.p = b.t:masked_fill(hidden, 0), b.p:masked_fill(hidden, 0)
  end
  return b
end

-- ---- all rows -------------------------------------------------------------------------

-- Lists of positions (1 .. #rows) per context that occurs.
local function by_context(R, rows)
  local lists, order = {}, {}
  for k, i in ipairs(rows) do
    local row = R.rows[i] or fail(("no row %s (there are %d)"):format(tostring(i), #R.rows), R.file)
    if not lists[row.context] then
      lists[row.context] = {}
      order[#order + 1] = row.context
    end
    table.insert(lists[row.context], k)
  end
  table.sort(order)
  return order, lists
end

local function at(list, places)
  local out = {}
  for i, k in ipairs(places) do out[i] = list[k] end
  return out
end

-- A prediction with a NaN is not silently scored.
local function check_prediction(R, rows, p, nonfinite)
  if p:size(1) ~= #rows or p:size(2) ~= #R.genes then
    fail(("prediction is %dx%d, expected %d rows x %d genes"):format(p:size(1), p:size(2), #rows, #R.genes), R.file)
  end
  if #rows == 0 or nonfinite == "mask" then return end
  local count, i, j = p:nonfinite()
  if count > 0 then
    fail(("prediction for '%s' is not finite at gene '%s' (%.0f such values)"):format(
      label.safe(R.rows[rows[i]].perturbation), label.safe(R.genes[j]), count), R.file)
  end
end

M.schema.score = {
  metrics = { type = "table", item = "string", help = "columns, default: evaluate.columns (labels: auroc)" },
  centroid = { type = "userdata", help = "Tensor (C, G): mean training delta per context, see evaluate.centroid" },
  train = { type = "table", item = "integer", min = 1, help = "training rows: for gene sets hvgK and components of cells" },
  truth = { type = "table", help = "what the cells say (dynamo.truth); default: that of the responses" },
  cells = { type = "function", help = "predicted cells of a row: f(place) -> Tensor or Sparse (cells, G), or nil: controls, moved" },
  flags = { type = "table", help = "coverage flag per row, as a predictor returns them" },
  retrieval = { default = true, help = "pds_l2 and nir, over the rows of a context; not where entries are unobserved" },
  nonfinite = { default = "error", values = { "error", "mask" }, help = "predictions that are not finite" },
  eps = { default = 1.2e-7, type = "number", min = 0, help = "precision of the numbers' source" },
  tau = { default = 1e-9, type = "number", min = 0, help = "direction: changes up to it are none" },
}

-- AUROC (or average precision) per row over genes.
local function score_labels_by_row(R, rows, p, specs)
  local values, names, status = {}, {}, {}
  local mask = R.mask and R.mask:index(1, rows):t():clone()
  local scores, labels = p:t():clone(), R.delta:index(1, rows):t():clone()
  for k, i in ipairs(rows) do names[k] = R.rows[i].context .. "/" .. R.rows[i].perturbation end
  for _, spec in ipairs(specs) do
    values[spec.key], status[spec.key] = core[spec.metric.compute](scores, labels, mask):totable(), {}
    for k, v in ipairs(values[spec.key]) do
      if v ~= v then status[spec.key][k] = "one_class" end
    end
  end
  return values, names, status
end

-- AUROC (or average precision) per gene over the rows of each context, one context after the other; per row where that is asked.
local function score_labels(R, rows, p, specs)
  local by = specs[1] and specs[1].metric.by
  for _, spec in ipairs(specs) do
    if spec.metric.by ~= by then
      err.raise { code = "EOPTION", message = ("evaluate: '%s' has a value per %s, '%s' per %s: two tables"):format(specs[1].key,
        by or "gene", spec.key, spec.metric.by or "gene") }
    end
  end
  if by then return score_labels_by_row(R, rows, p, specs) end
  local order, lists = by_context(R, rows)
  local values, genes, status = {}, {}, {}
  for _, context in ipairs(order) do
    local idx, from = at(rows, lists[context]), #genes
    local mask = R.mask and R.mask:index(1, idx)
    for g = 1, #R.genes do genes[from + g] = (#order > 1 and context .. "/" or "") .. R.genes[g] end
    for _, spec in ipairs(specs) do
      local a = core[spec.metric.compute](p:index(1, lists[context]), R.delta:index(1, idx), mask):totable()
      values[spec.key], status[spec.key] = values[spec.key] or {}, status[spec.key] or {}
      for g = 1, #a do
        values[spec.key][from + g] = a[g]
        if a[g] ~= a[g] then status[spec.key][from + g] = "one_class" end
      end
    end
  end
  return values, genes, status
end

local function score_effects(R, rows, p, specs, o)
  local values, status, order, lists = {}, {}, by_context(R, rows)
  for _, spec in ipairs(specs) do values[spec.key], status[spec.key] = {}, {} end
  for _, context in ipairs(order) do
    local places = lists[context]
    local b = block(R, at(rows, places), p:index(1, places), context, o)
    b.places = places
    for _, spec in ipairs(specs) do
      local list, why = spec.metric.compute(b, spec)
      for i, k in ipairs(places) do values[spec.key][k], status[spec.key][k] = list[i], why[i] end
    end
  end
  return values, status
end

--- Scores of a prediction, one value per row and key (labels: one value per measured gene over the rows of a context, NaN
--- where only one class is observed).
---
--- Keys are those of `opts.metrics`, else of evaluate.columns: pearson@{control,centroid}/{all,top20}[-target],
--- cosine@{control,centroid}/all, mse@none/{all,top20}, relerr@control/all, direction@control/all, pds_l2, nir. What the data
--- cannot have is left out, with the reason in `info.skipped`; de20 without cells is de20~delta. Raises EOPTION (an unknown
--- key), EVALUE: shapes, a prediction that is not finite (with perturbation and gene). Cost O(n G log G), retrieval O(n^2 G).
---@param R table Responses
---@param rows integer[]  the test rows
---@param predicted userdata  Tensor (#rows, G) of deltas, or scores of labels
---@param opts? table  see evaluate.schema.score
---@return table values  { [key] = { numbers } }
---@return table info    { names = {"context/perturbation" or gene per value}, keys = sorted keys, genes =, flags =, status = {
---  [key] = { [place] = why } }, skipped = { [key] = reason } }
function M.score(R, rows, predicted, opts)
  local o = options.check("evaluate.score", opts, M.schema.score)
  local p = predicted:to "double"
  check_prediction(R, rows, p, o.nonfinite)
  local specs, skipped = plan(R, o)
  local info = { genes = #R.genes, flags = o.flags, skipped = skipped }
  local values
  if R.kind == "label" then
    values, info.names, info.status = score_labels(R, rows, p, specs)
  else
    values, info.status = score_effects(R, rows, p, specs, o)
    info.names = {}
    for k, i in ipairs(rows) do info.names[k] = R.rows[i].context .. "/" .. R.rows[i].perturbation end
  end
  info.keys = label.sorted_keys(values)
  return values, info
end

--- Scores of predictions made elsewhere, all on the same genes, rows and references: { genes, left_out, filled = counts, notes,
--- keys, names, methods = { { name, values, info, flags }, ... } }, first the rows no_change and mean.
---
--- A method is { name =, genes =, rows = perturbations or { perturbation =, context = }, values = Tensor (#rows, #genes) of
--- changes, or with profile = true of expression, cells = f(row) -> predicted cells or nil }, as external.read gives it. A gene
--- that a method lacks leaves the table for all; a perturbation is an error (EVALUE), or filled with the training mean.
---@param R table Responses
---@param rows integer[]  the test rows
---@param methods table[]
---@param opts? table  see external.schema.score
---@return table
function M.external(R, rows, methods, opts) return require("dynamo.external").score(R, rows, methods, opts) end

-- ---- summaries ---------------------------------------------------------------------------

-- One value per name: the mean of its values over the runs in which it has one. Names keep their first order.
local function by_name(values, names)
  if not names then return values end
  local sum, count, order = {}, {}, {}
  for i = 1, #names do
    local name, v = names[i], values[i]
    if not count[name] then
      count[name], sum[name], order[#order + 1] = 0, 0, name
    end
    if v == v then sum[name], count[name] = sum[name] + v, count[name] + 1 end
  end
  local out = {}
  for i, name in ipairs(order) do out[i] = count[name] > 0 and sum[name] / count[name] or NAN end
  return out, order
end

-- Lists of lists (one per seed) as one list.
local function flat(list)
  if type(list) ~= "table" or type(list[1]) ~= "table" then return list end
  local out = {}
  for _, part in ipairs(list) do
    for _, v in ipairs(part) do out[#out + 1] = v end
  end
  return out
end

local function defined(values)
  local out = {}
  for _, v in ipairs(values) do
    if v == v then out[#out + 1] = v end
  end
  return out
end

local function median(sorted)
  table.sort(sorted)
  local n = #sorted
  if n == 0 then return NAN end
  return n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2
end

local interval_rules = {
  names = { type = "table",
    help = "what each value belongs to; values of equal names (several seeds) are averaged first" },
  level = { default = 0.95, type = "number", min = 0.5, max = 0.999, help = "of the interval" },
  draws = { default = 10000, type = "integer", min = 100, help = "resamples of the bootstrap" },
  seed = { default = 1, type = "integer", min = 0, help = "of the resamples" },
}
M.schema.summarise = interval_rules

--- Mean over perturbations with a percentile bootstrap interval.
---
--- `values` is a list of numbers, or one list per seed (then `names` too): the values of a perturbation are averaged
--- over the seeds in which it was tested before perturbations are resampled. NaN is dropped and counted; fewer than
--- five values have no interval.
---@param values table
---@param opts? table  names, level, draws, seed
---@return table { mean, median, lo, hi, n (distinct names), n_defined }
function M.summarise(values, opts)
  local o = options.check("evaluate.summarise", opts, M.schema.summarise)
  local all = by_name(flat(values), o.names and flat(o.names))
  local kept = defined(all)
  local r = { n = #all, n_defined = #kept, mean = NAN, median = NAN }
  if #kept == 0 then return r end
  local how = { seed = o.seed, draws = o.draws, level = o.level }
  local mean, lo, hi = core.bootstrap_mean(core.tensor(kept, "double"), how)
  r.mean, r.median = mean, median(kept)
  if #kept >= 5 then r.lo, r.hi = lo, hi end
  return r
end

-- Values of two methods for the names that both define, averaged over seeds.
local function aligned(a, b, names, names_b)
  a, b = flat(a), flat(b)
  if names then
    local va, order = by_name(a, flat(names))
    local vb, order_b = by_name(b, flat(names_b or names))
    local place, moved = responses.places(order_b), {}
    for i, name in ipairs(order) do moved[i] = place[name] and vb[place[name]] or NAN end
    a, b = va, moved
  elseif #a ~= #b then
    fail(("paired values have the same number (got %d and %d)"):format(#a, #b))
  end
  local x, y = {}, {}
  for i = 1, #a do
    if a[i] == a[i] and b[i] == b[i] then x[#x + 1], y[#y + 1] = a[i], b[i] end
  end
  return x, y
end

-- All 2^k sums of +-d[i], i in from..to.
local function sign_sums(d, from, to)
  local out = { 0 }
  for i = from, to do
    for k = 1, #out do
      out[#out + 1] = out[k] - d[i]
      out[k] = out[k] + d[i]
    end
  end
  return out
end

-- How many of a sorted list are at least v.
local function at_least(sorted, v)
  local lo, hi = 1, #sorted + 1
  while lo < hi do
    local mid = math.floor((lo + hi) / 2)
    if sorted[mid] >= v then hi = mid else lo = mid + 1 end
  end
  return #sorted - lo + 1
end

-- Exact two-sided sign-flip test: share of the 2^n sign choices whose |mean| is at least the observed one. Half of the
-- sums meets the other half sorted, O(2^(n/2) n); the choices are symmetric, so one tail is counted twice.
local function exact_flip(d)
  local n, total = #d, 0
  for i = 1, n do total = total + d[i] end
  local limit = math.abs(total) * (1 - 1e-12)
  if limit == 0 then return 1 end
  local half, hits = math.floor(n / 2), 0
  local a, b = sign_sums(d, 1, half), sign_sums(d, half + 1, n)
  table.sort(b)
  for _, v in ipairs(a) do hits = hits + at_least(b, limit - v) end
  return 2 * hits / 2 ^ n
end

M.schema.paired = { names_b = { type = "table", help = "names of the second method's values; default: the same" } }
for k, v in pairs(interval_rules) do M.schema.paired[k] = v end

--- Difference a - b on the same perturbations: mean with a bootstrap interval, sign-flip p (exact for n <= 20), in how
--- many a is better, and `wilcoxon`, the p of the signed-rank test.
---@param a table  values, or one list per seed
---@param b table
---@param opts? table  names (of the values), names_b, level, draws, seed
---@return table { mean, lo, hi, p, wilcoxon, n, wins }
function M.paired(a, b, opts)
  local o = options.check("evaluate.paired", opts, M.schema.paired)
  local x, y = aligned(a, b, o.names, o.names_b)
  if #x == 0 then return { n = 0, wins = 0, mean = NAN } end
  local how = { seed = o.seed, draws = o.draws, level = o.level }
  local r = core.paired(core.tensor(x, "double"), core.tensor(y, "double"), how)
  local d = {}
  for i = 1, #x do d[i] = x[i] - y[i] end
  if #x <= 20 then r.p = exact_flip(d) end
  r.wilcoxon = M.wilcoxon(d).p
  if #x < 5 then r.lo, r.hi = nil, nil end
  return r
end

-- P(W <= w) for the sum of ranks of n signs.
local function exact_ranks(n, w)
  local count = { [0] = 1 }
  for r = 1, n do
    for s = r * (r + 1) / 2, r, -1 do count[s] = (count[s] or 0) + (count[s - r] or 0) end
  end
  local sum = 0
  for s = 0, w do sum = sum + (count[s] or 0) end
  return sum / 2 ^ n
end

--- Wilcoxon's signed-rank test of differences (Biometrics Bulletin 1945), two-sided: a second opinion beside sign flips. Zeros
--- are left out; exact for n <= 50 without ties, else normal with the correction for ties.
---@param d number[]
---@return table { w = smaller sum of ranks, p, n }
function M.wilcoxon(d)
  local list = {}
  for _, v in ipairs(d) do
    if v == v and v ~= 0 then list[#list + 1] = v end
  end
  local n = #list
  if n == 0 then return { w = 0, p = 1, n = 0 } end
  local size, plus = {}, 0
  for i, v in ipairs(list) do size[i] = math.abs(v) end
  local rank, ties = metrics.midranks(size)
  for i, v in ipairs(list) do plus = plus + (v > 0 and rank[i] or 0) end
  local w = math.min(plus, n * (n + 1) / 2 - plus)
  if n <= 50 and ties == 0 then return { w = w, p = math.min(1, 2 * exact_ranks(n, w)), n = n } end
  local sd = math.sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24)
  local _, below = core.crps(core.zeros(1, "double"), core.full(1, 1, "double"), core.full((w - n * (n + 1) / 4) / sd, 1, "double"))
  return { w = w, p = math.min(1, 2 * below:get(1)), n = n }
end

--- Holm's correction of several p-values: a list in the same order.
---@param p number[]
---@return number[]
function M.holm(p)
  local order, out, worst = {}, {}, 0
  for i = 1, #p do order[i] = i end
  table.sort(order, function(i, j) return p[i] < p[j] or p[i] == p[j] and i < j end)
  for rank, i in ipairs(order) do
    worst = math.max(worst, math.min(1, p[i] * (#p - rank + 1)))
    out[i] = worst
  end
  return out
end

-- ---- transfer ---------------------------------------------------------------------------

local function mean_of(list)
  local s = 0
  for _, v in ipairs(list) do s = s + v end
  return s / #list
end

--- Quantile q of a sorted list by linear interpolation (type 7).
---@param sorted number[]
---@param q number
---@return number
function M.quantile(sorted, q)
  local h = q * (#sorted - 1)
  local i = math.floor(h)
  if i + 2 > #sorted then return sorted[#sorted] end
  return sorted[i + 1] + (h - i) * (sorted[i + 2] - sorted[i + 1])
end

-- Ratio of means in each resample of the perturbations.
local function ratios(x, y, draws, seed)
  local u, out, n = core.rand(seed, draws, #x, "double"):totable(), {}, #x
  for b = 1, draws do
    local sx, sy, row = 0, 0, u[b]
    for i = 1, n do
      local k = math.floor(row[i] * n) + 1
      sx, sy = sx + x[k], sy + y[k]
    end
    out[b] = sx / sy
  end
  table.sort(out)
  return out
end

M.schema.retention = { template = { type = "table",
  help = "scores of the target line's train mean on the same rows: gives `net`" } }
for k, v in pairs(interval_rules) do M.schema.retention[k] = v end
M.schema.retention.draws = { default = 2000, type = "integer", min = 100, help = "resamples of the bootstrap" }

--- Transfer retention: mean score of the transferred model over mean score of the native one, on identical test
--- perturbations, genes and reference of the target line. A ratio of means with an interval from resampling
--- perturbations jointly; nil if the native score's own interval includes 0 (`reason` says so). With `template`,
--- `net` is the same after the train mean's score has come off both.
---@param transfer table  values, or one list per seed
---@param native table
---@param opts? table  names, template, level, draws, seed
---@return table { retention, lo, hi, net, transfer, native, n, reason }
function M.retention(transfer, native, opts)
  local o = options.check("evaluate.retention", opts, M.schema.retention)
  local x, y = aligned(transfer, native, o.names)
  local r = { n = #x, transfer = NAN, native = NAN }
  if #x == 0 then
    r.reason = "no perturbation in common"
    return r
  end
  r.transfer, r.native = mean_of(x), mean_of(y)
  local _, lo, hi = core.bootstrap_mean(core.tensor(y, "double"), { seed = o.seed, draws = o.draws, level = o.level })
  if lo <= 0 and hi >= 0 then
    r.reason = "the native score's interval includes 0"
    return r
  end
  r.retention = r.transfer / r.native
  if #x >= 5 then
    local sorted = ratios(x, y, o.draws, o.seed)
    r.lo, r.hi = M.quantile(sorted, (1 - o.level) / 2), M.quantile(sorted, (1 + o.level) / 2)
  end
  if o.template then
    local t = mean_of((aligned(o.template, native, o.names)))
    if r.native ~= t then r.net = (r.transfer - t) / (r.native - t) end
  end
  return r
end

return M
