--- Metrics: one table of definitions, and the scores of columns "metric@reference/genes" that evaluate computes.
--
--     dynamo.metrics.definition "pearson"       -- { key, kind, better, range, references, doc, ... }
--     dynamo.metrics.parse "wr2@centroid/de20-target"
--     local r, status = dynamo.metrics.rows("r2", predicted, truth, { exclude = { { 1 } } })
--
-- References: `control` (changes as they are), `control=batch` (against the controls of each perturbation's own batches),
-- `centroid` (the mean training change comes off truth and prediction),
-- `none` (errors: it cancels). Gene sets: see dynamo.genesets. One policy for all: a truth that cannot be scored is NaN
-- (few_genes, const_true, no_weights, no_de, few_perts, one_class) and is dropped and counted; a prediction that is
-- constant (zero, where signs or angles count) is 0 with status const_pred. Ties in ranks are mid-ranks.
local core = require "dynamo.core"
local err = require "dynamo.error"
local genesets = require "dynamo.genesets"
local options = require "dynamo.options"

local M = { schema = {} }

local NAN = 0 / 0

local function complain(message) err.raise { code = "EOPTION", message = "metrics: " .. message } end

-- ---- profiles ---------------------------------------------------------------------

local function reference_of(b, spec)
  if spec.reference == "centroid" then return b.centroid end
  if spec.reference == "control=batch" then return b.truth:batch_shift(b.rows) end
end

-- A metric of core.NAME_rows on the genes of a column.
local function profile(name)
  return function(b, spec)
    local o = genesets.choose(b, spec.genes)
    o.reference, o.eps, o.tau = reference_of(b, spec), b.eps, b.tau
    if spec.metric.weights then o.weight = b.truth and b.truth:weights(b.rows) end
    local values, status = core[name .. "_rows"](b.p, b.t, o)
    return values:totable(), status
  end
end

-- ---- retrieval ----------------------------------------------------------------------

-- Truth and prediction on the genes that all candidates have, and the columns to leave out per row.
local function candidates(b, spec)
  local columns, exclude = genesets.common(b, spec.genes)
  local p, t, ref = b.p, b.t, reference_of(b, spec)
  if ref then
    local g = p:size(2)
    ref = ref:reshape(ref:count() / g, g) -- one for all, or one for each
    p, t = p - ref, t - ref
  end
  if columns then p, t = p:index(2, columns), t:index(2, columns) end
  return p, t, exclude
end

-- How many entries of a list are below `own`, and how many others are tied with it.
local function place(list, own, tie)
  local nearer, tied = 0, -1
  for j = 1, #list do
    if list[j] < own - tie then nearer = nearer + 1 elseif list[j] <= own + tie then tied = tied + 1 end
  end
  return nearer, tied
end

--- Places of the n predictions among the n truths of one context: for each i, how many truths j are nearer to prediction
--- i than truth i is, and how many others are tied with that (distances that differ by less than 1e-12 of the largest;
--- 1e-6 for numbers from floats). With `by = "truth"` predictions are counted around a fixed truth.
---@param predicted userdata  Tensor (n, G)
---@param truth userdata  Tensor (n, G)
---@param opts? table  space ("l2", "l1", "cosine", "pearson"), exclude (columns per row), by, eps
---@return integer[] nearer, integer[] tied
function M.places(predicted, truth, opts)
  local o = options.check("metrics.places", opts, M.schema.places)
  local d = core.distance_rows(predicted, truth, { exclude = o.exclude, space = o.space })
  if o.by == "truth" then d = d:t() end
  local nearer, tied = {}, {}
  for i, row in ipairs(d:totable()) do
    local largest = 0
    for j = 1, #row do largest = math.max(largest, row[j]) end
    nearer[i], tied[i] = place(row, row[i], (o.eps > 1e-10 and 1e-6 or 1e-12) * largest)
  end
  return nearer, tied
end

M.schema.places = {
  space = { default = "l2", values = { "l2", "l1", "cosine", "pearson" }, help = "what near means" },
  exclude = { type = "table", help = "per row a list of columns that do not count" },
  by = { default = "prediction", values = { "prediction", "truth" }, help = "what is fixed" },
  eps = { default = 1.2e-7, type = "number", min = 0, help = "precision of the numbers' source" },
}

-- value(k, n, tied) of the place k (0: the nearest; ties by half) among n candidates.
local function retrieval(space, value, by)
  return function(b, spec)
    local p, t, exclude = candidates(b, spec)
    local n, out, status = b.t:size(1), {}, {}
    if n < 2 or t:size(2) == 0 then
      for i = 1, n do out[i], status[i] = NAN, n < 2 and "few_perts" or "few_genes" end
      return out, status
    end
    local nearer, tied = M.places(p, t, { space = space, exclude = exclude, eps = b.eps, by = by })
    for i = 1, n do out[i] = value(nearer[i] + tied[i] / 2, n, tied[i]) end
    return out, status
  end
end

local function pds(k, n) return 1 - k / n end
local function nir(k, n) return (n - 1 - k) / (n - 1) end
local function nir_strict(k, n, tied) return (n - 1 - k - tied / 2) / (n - 1) end
local function rank(k, n) return k / n end
local function below(k, n) return (n - 1 - k) / n end -- share of candidates that are farther

-- ---- sets of differentially expressed genes ------------------------------------------

--- Scores of a set of called genes against the real one (cell-eval's, and the textbook's where those differ).
---
--- Both are lists of genes, strongest first. With k: overlap_k and precision_k cut both lists, ppv_k the called one only.
---@param real any[]    significant genes of the truth
---@param called any[]  genes called by the prediction
---@param k? integer
---@return table { overlap_n, precision_n, recall, jaccard, overlap_k, precision_k, ppv_k }, all NaN (status "no_de") if
---  nothing is real
function M.de_sets(real, called, k)
  local function shared(n, m)
    local set, count = {}, 0
    for i = 1, math.min(n, #real) do set[real[i]] = true end
    for i = 1, math.min(m, #called) do count = count + (set[called[i]] and 1 or 0) end
    return count
  end
  local n, q = #real, #called
  if n == 0 then
    return { overlap_n = NAN, precision_n = NAN, recall = NAN, jaccard = NAN, overlap_k = NAN, precision_k = NAN, ppv_k = NAN,
      status = "no_de" }
  end
  local both = shared(n, q)
  local r = { overlap_n = shared(n, n) / n, precision_n = shared(q, q) / q, recall = both / n, jaccard = both / (n + q - both) }
  if k then
    local a, b = math.min(k, n), math.min(k, q)
    r.overlap_k, r.precision_k, r.ppv_k = shared(a, a) / a, shared(b, b) / b, shared(n, k) / k
  end
  return r
end

-- log2 fold changes that the prediction of row i of a block means.
local function folds(b, i)
  return require("dynamo.prepare").log2_fold((b.control + b.p:select(1, i)):maximum(0), b.control)
end

-- What predicted cells of row i say (populations.calls), or nil: the method predicts means.
local function tested(b, i)
  b.called = b.called or {}
  if b.called[i] == nil then b.called[i] = b.cells and require("dynamo.populations").calls(b, i) or false end
  return b.called[i] or nil
end

-- The called genes (columns) of a set, largest predicted |log2 fold change| first. Predicted cells call those with q < 0.05
-- (second result true); a predicted mean has no test: all genes that it moves, by size.
local function called(b, i, allowed)
  local test, out = tested(b, i), {}
  local size, q = (test and test.log2fc or folds(b, i)):abs(), test and test.q:totable()
  for _, g in ipairs((size * -1):argsort()) do
    if size:get(g) == 0 then break end
    if allowed[g] and (not q or q[g] < 0.05) then out[#out + 1] = g end
  end
  return out, test ~= nil
end

-- f(block, row, real genes, allowed, spec) gives value and status for every row that has significant genes.
local function de_rows(f)
  return function(b, spec)
    local out, status = {}, {}
    for i in ipairs(b.rows) do
      local allowed = genesets.allowed(b, spec.genes, i)
      local real = b.truth:significant(b.rows[i], allowed)
      out[i], status[i] = NAN, "no_de"
      if #real > 0 then out[i], status[i] = f(b, i, real, allowed, spec) end
    end
    return out, status
  end
end

-- A score of de_sets; `sized`: it depends on how many genes are called, which a predicted mean does not say.
local function de_set(name, sized)
  return de_rows(function(b, i, real, allowed, spec)
    local list, sure = called(b, i, allowed)
    if sized and not sure and not spec.k then return NAN, "no_calls" end
    if #list == 0 then return 0, "const_pred" end
    return M.de_sets(real, list, spec.k)[spec.k and spec.name:match "^%a+" .. "_k" or name]
  end)
end

local function fold_spearman(b, i, real)
  local test, observed, n = tested(b, i), b.truth:de(b.rows[i]).log2fc, #real
  local predicted = test and test.log2fc or folds(b, i)
  return core.spearman_rows(predicted:index(1, real):reshape(1, n), observed:index(1, real):reshape(1, n),
    { eps = b.eps }):get(1)
end

-- AUROC or average precision of "significant" among the genes of a row (cell-eval's roc_auc, pr_auc): by -log10 q of predicted
-- cells, q not below 1e-10, else by the predicted |log2 fold change|.
local function de_class(how)
  return de_rows(function(b, i, real, allowed)
    local test, is, columns, labels = tested(b, i), {}, {}, {}
    local score = test and test.q:maximum(1e-10):log() * -1 or folds(b, i):abs()
    for _, g in ipairs(real) do is[g] = 1 end
    for g = 1, b.t:size(2) do
      if allowed[g] then columns[#columns + 1], labels[#labels + 1] = g, is[g] or 0 end
    end
    local v = core[how](score:index(1, columns):reshape(#columns, 1), core.tensor(labels, "double"):reshape(#labels, 1)):get(1)
    return v, v ~= v and "one_class" or nil
  end)
end

-- ---- one number for all perturbations -------------------------------------------------

local function is_constant(list, eps)
  local lo, hi, size = math.huge, -math.huge, 0
  for _, v in ipairs(list) do lo, hi, size = math.min(lo, v), math.max(hi, v), math.max(size, math.abs(v)) end
  return hi - lo <= 16 * eps * size
end

local function standardised(list)
  local n, sum, squares, out = #list, 0, 0, {}
  for i = 1, n do sum = sum + list[i] end
  for i = 1, n do
    out[i] = list[i] - sum / n
    squares = squares + out[i] ^ 2
  end
  for i = 1, n do out[i] = out[i] / math.sqrt(squares / n) end
  return out
end

--- A correlation over perturbations as one value for each: products of standardised numbers, whose mean is Pearson's r, so
--- that it is summarised, resampled and pooled as any column. NaN among the truths drops that perturbation (its status stays);
--- fewer than three, or constant: status few_perts, const_true, or const_pred (0).
---@param predicted number[]
---@param truth number[]
---@param eps? number precision of the numbers' source (default 1.2e-7)
---@return number[] values, table status
function M.contributions(predicted, truth, eps)
  local at, x, y, out, status, why = {}, {}, {}, {}, {}, nil
  for i = 1, #truth do
    out[i] = NAN
    if truth[i] == truth[i] and predicted[i] == predicted[i] then
      at[#at + 1], x[#x + 1], y[#y + 1] = i, predicted[i], truth[i]
    end
  end
  eps = eps or 1.2e-7
  if #at < 3 then
    why = "few_perts"
  else
    why = is_constant(y, eps) and "const_true" or is_constant(x, eps) and "const_pred" or nil
  end
  local zx, zy = standardised(x), standardised(y)
  for k, i in ipairs(at) do
    out[i], status[i] = why and (why == "const_pred" and 0 or NAN) or zx[k] * zy[k], why
  end
  return out, status
end

-- Spearman over perturbations of how many genes are significant and how many are called, by perturbation.
local function counts_spearman(b, spec)
  local x, y = {}, {}
  for i in ipairs(b.rows) do
    local allowed = genesets.allowed(b, spec.genes, i)
    local list, sure = called(b, i, allowed)
    if not sure then
      local out, status = {}, {}
      for k in ipairs(b.rows) do out[k], status[k] = NAN, "no_calls" end
      return out, status
    end
    x[i], y[i] = #list, #b.truth:significant(b.rows[i], allowed)
  end
  return M.contributions(M.midranks(x), M.midranks(y), b.eps)
end

-- ---- doubles ------------------------------------------------------------------------------

-- Pearson of predicted and observed interaction of the doubles whose singles were measured in the same context.
local function interaction(b, spec)
  local singles, status, R = {}, {}, b.R
  for i, r in ipairs(b.rows) do
    local row, sum = R.rows[r], nil
    for _, g in ipairs(#row.targets > 1 and row.targets or {}) do
      local k = R:find(row.context, g)
      local one = k and R.delta:rows(k, k)
      sum = one and (sum == nil and one or sum and sum + one) or false
    end
    if not sum then status[i] = "no_singles" end
    singles[i] = sum or core.zeros(1, #R.genes, "double")
  end
  local o = genesets.choose(b, spec.genes)
  o.reference, o.eps, o.rank = core.cat(singles, 1), b.eps, o.rank or b.t
  local values, why = core.pearson_rows(b.p, b.t, o)
  values = values:totable()
  for i in ipairs(b.rows) do
    if status[i] then values[i] = NAN end
    status[i] = status[i] or why[i]
  end
  return values, status
end

-- ---- definitions ------------------------------------------------------------------------

local BOTH, ERROR = { "control", "centroid", "control=batch" }, { "none" }

local function define(key, kind, better, range, references, doc, more)
  local d = { key = key, kind = kind, better = better, range = range, references = references, doc = doc }
  for k, v in pairs(more or {}) do d[k] = v end
  if kind == "profile" then d.compute = profile(key) end
  return d
end

local INF = math.huge

--- Every metric, in the order of the tables: { key, kind = "profile" | "retrieval" | "de" | "double" | "cells" | "label", better = 1 or
--- -1, range = { lo, hi }, references = the allowed ones (first: default), genes = default gene set, cells = whether the truth
--- must have cells, doc }.
M.list = {
  define("pearson", "profile", 1, { -1, 1 }, BOTH, "Pearson correlation of changes; blind to scale"),
  define("cosine", "profile", 1, { -1, 1 }, BOTH, "cosine of changes: keeps the mean shift that Pearson removes"),
  define("spearman", "profile", 1, { -1, 1 }, BOTH, "Pearson correlation of mid-ranks"),
  define("r2", "profile", 1, { -INF, 1 }, BOTH, "1 - residual over total sum of squares of the truth; not a squared correlation"),
  define("wr2", "profile", 1, { -INF, 1 }, BOTH, "R2 with weights from the genes that tell the perturbation from the others",
    { weights = true, cells = true }),
  define("mse", "profile", -1, { 0, INF }, ERROR, "mean squared error"),
  define("rmse", "profile", -1, { 0, INF }, ERROR, "its square root"),
  define("mae", "profile", -1, { 0, INF }, ERROR, "mean absolute error"),
  define("l2", "profile", -1, { 0, INF }, ERROR, "norm of the error"),
  define("wmse", "profile", -1, { 0, INF }, ERROR, "mean squared error with the weights of wr2", { weights = true, cells = true }),
  define("relerr", "profile", -1, { 0, INF }, BOTH, "norm of the error over that of the true change: 1 is as bad as no change"),
  define("direction", "profile", 1, { 0, 1 }, BOTH, "share of the genes that moved whose sign is right; predicting 0 is wrong"),
  define("opposite", "profile", -1, { 0, 1 }, BOTH, "share of the genes that moved whose sign is the other one"),
  define("pds_l1", "retrieval", 1, { 0, 1 }, ERROR, "perturbation discrimination: 1 - k/n, k truths nearer than its own",
    { compute = retrieval("l1", pds), genes = "all-target" }),
  define("pds_l2", "retrieval", 1, { 0, 1 }, ERROR, "the same with Euclidean distances",
    { compute = retrieval("l2", pds), genes = "all-target" }),
  define("pds_cos", "retrieval", 1, { 0, 1 }, BOTH, "the same with 1 - cosine of changes",
    { compute = retrieval("cosine", pds), genes = "all-target" }),
  define("nir", "retrieval", 1, { 0, 1 }, ERROR, "centroid accuracy: share of the others' truths that are farther, ties a half",
    { compute = retrieval("l2", nir) }),
  define("nir_strict", "retrieval", 1, { 0, 1 }, ERROR, "the same, ties against it (Systema, CellSimBench)",
    { compute = retrieval("l2", nir_strict) }),
  define("rank", "retrieval", -1, { 0, 1 }, ERROR, "share of predictions that are nearer to a truth than its own (PerturBench)",
    { compute = retrieval("l2", rank, "truth") }),
  define("rank_cos", "retrieval", -1, { 0, 1 }, BOTH, "the same with 1 - cosine of changes",
    { compute = retrieval("cosine", rank, "truth") }),
  define("retrieval", "retrieval", 1, { 0, 1 }, BOTH, "share of truths that correlate less with the prediction (TxPert)",
    { compute = retrieval("pearson", below) }),
  define("overlap_n", "de", 1, { 0, 1 }, { "control" }, "share of the significant genes among as many first called ones (DES)",
    { compute = de_set "overlap_n", cells = true }),
  define("precision_n", "de", 1, { 0, 1 }, { "control" }, "share of the called genes among as many first significant ones",
    { compute = de_set("precision_n", true), cells = true }),
  define("recall_sig", "de", 1, { 0, 1 }, { "control" }, "share of the significant genes that are called",
    { compute = de_set("recall", true), cells = true }),
  define("jaccard_sig", "de", 1, { 0, 1 }, { "control" }, "significant and called genes: shared over all",
    { compute = de_set("jaccard", true), cells = true }),
  define("ppv", "de", 1, { 0, 1 }, { "control" }, "ppv_50: share of the first 50 called genes that are significant",
    { compute = de_set "ppv_k", cells = true, numbered = true }),
  define("nsig_spearman", "de", 1, { -INF, INF }, { "control" },
    "Spearman over perturbations of numbers of significant and called genes: its part from each",
    { compute = counts_spearman, cells = true }),
  define("auroc_de", "de", 1, { 0, 1 }, { "control" },
    "area under the ROC curve per perturbation: significant genes by predicted change", { compute = de_class "auroc_cols", cells = true }),
  define("ap_de", "de", 1, { 0, 1 }, { "control" }, "average precision of the same",
    { compute = de_class "precision_cols", cells = true }),
  define("lfc_spearman", "de", 1, { -1, 1 }, { "control" }, "Spearman of real and predicted log2 fold changes of significant genes",
    { compute = de_rows(fold_spearman), cells = true }),
  define("interaction", "double", 1, { -1, 1 }, { "control" },
    "Pearson of predicted and observed change of a combination less those of its singles", { compute = interaction }),
  define("edistance", "cells", -1, { -INF, INF }, ERROR, "energy distance of predicted and real cells, unbiased"),
  define("edistance_v", "cells", -1, { 0, INF }, ERROR, "the same as a V-statistic"),
  define("mmd", "cells", -1, { -INF, INF }, ERROR, "squared maximum mean discrepancy, RBF of median width, unbiased"),
  define("wasserstein", "cells", -1, { 0, INF }, ERROR, "mean over components of the Wasserstein-1 distance"),
  define("sliced_wasserstein", "cells", -1, { 0, INF }, ERROR, "Wasserstein-2 distance over random directions"),
  define("edistance_pearson", "cells", 1, { -INF, INF }, ERROR,
    "Pearson over perturbations of real and predicted energy distance to control cells: its part from each"),
  define("auroc", "label", 1, { 0, 1 }, ERROR, "area under the ROC curve per measured gene over perturbations; chance is 0.5",
    { compute = "auroc_cols" }),
  define("ap", "label", 1, { 0, 1 }, ERROR, "average precision per measured gene; chance is the share of ones",
    { compute = "precision_cols" }),
  define("auroc_pert", "label", 1, { 0, 1 }, ERROR,
    "area under the ROC curve per perturbation over genes; base rates of genes decide it: see the row mean",
    { compute = "auroc_cols", by = "perturbation" }),
  define("ap_pert", "label", 1, { 0, 1 }, ERROR, "average precision per perturbation, with the same warning",
    { compute = "precision_cols", by = "perturbation" }),
}

local by_key = {}
for _, d in ipairs(M.list) do by_key[d.key] = d end
for key, d in pairs(by_key) do
  if d.kind == "cells" then d.compute = function(b) return require("dynamo.populations").column(b, key) end end
end

local NUMBERED = { overlap = "overlap_n", precision = "precision_n", ppv = "ppv" }

--- The definition of a metric; overlap_20, precision_20 and ppv_20 cut the lists at a number. Raises EOPTION with the nearest
--- name.
---@param name string
---@return table definition, integer? k
function M.definition(name)
  local set, k = name:match "^(%a+)_(%d+)$"
  if NUMBERED[set] and tonumber(k) > 0 then return by_key[NUMBERED[set]], tonumber(k) end
  if name == "ppv" then complain "ppv: with a number, as ppv_50" end
  if by_key[name] then return by_key[name] end
  local names = {}
  for i, d in ipairs(M.list) do names[i] = d.key end
  complain(("unknown metric '%s'%s"):format(tostring(name), options.suggestion(tostring(name), names)))
end

--- A column key taken apart: "metric@reference/genes"; what is left out is the metric's default. Raises EOPTION.
---@param key string
---@return table { key, name, metric = definition, reference, genes = see genesets.parse, k }
function M.parse(key)
  if type(key) ~= "string" then complain(("a key such as \"pearson@control/all\" expected (got %s)"):format(options.quote(key))) end
  local name, rest = key:match "^([^@]+)@(.+)$"
  local reference, genes = (rest or ""):match "^([^/]+)/?(.*)$"
  local d, k = M.definition(name or key)
  reference = reference or d.references[1]
  local ok = false
  for _, r in ipairs(d.references) do ok = ok or r == reference end
  if not ok then
    complain(("%s: reference '%s'; it has %s"):format(key, reference, table.concat(d.references, ", ")))
  end
  if not genes or genes == "" then genes = d.genes or "all" end
  local set = genesets.parse(genes)
  if d.kind == "retrieval" and not set.shared then
    complain(("%s: gene set '%s' differs between perturbations; retrieval needs one for all"):format(key, genes))
  end
  return { key = key, name = name or key, metric = d, reference = reference, genes = set, k = k }
end

--- Whether larger values of a column are better (1) or smaller (-1).
---@param key string
---@return integer
function M.better(key) return M.definition(key:match "^[^@]+").better end

--- Whether a column among these scores predicted cells, where there are any.
---@param keys string[]
---@return boolean
function M.of_cells(keys)
  for _, key in ipairs(keys) do
    local kind = M.definition(key:match "^[^@]+").kind
    if kind == "cells" or kind == "de" then return true end
  end
  return false
end

--- Mid-ranks 1 .. n of a list of numbers, and the sum of t^3 - t over groups of t equal ones.
---@param values number[]
---@return number[] ranks, number ties
function M.midranks(values)
  local order, out, ties, n, i = {}, {}, 0, #values, 1
  for k = 1, n do order[k] = k end
  table.sort(order, function(a, b) return values[a] < values[b] or values[a] == values[b] and a < b end)
  while i <= n do
    local j = i
    while j < n and values[order[j + 1]] == values[order[i]] do j = j + 1 end
    for k = i, j do out[order[k]] = (i + j) / 2 end
    ties, i = ties + (j - i + 1) ^ 3 - (j - i + 1), j + 1
  end
  return out, ties
end

-- ---- functions on matrices ----------------------------------------------------------------

M.schema.rows = {
  exclude = { type = "table", help = "per row a list of columns that do not count" },
  mask = { type = "userdata", help = "Tensor (n, G): 1 counts, 0 does not" },
  reference = { type = "userdata", help = "Tensor (G) or (n, G) that comes off both" },
  weight = { type = "userdata", help = "Tensor (n, G), for wmse and wr2" },
  rank = { type = "userdata", help = "Tensor (n, G): `top` genes are those with the largest |rank|; default: the truth" },
  top = { default = 0, type = "integer", min = 0, help = "so many genes only; 0: all" },
  eps = { default = 1.2e-7, type = "number", min = 0, help = "precision of the numbers' source" },
  tau = { default = 1e-9, type = "number", min = 0, help = "direction: changes up to it are none" },
}

--- A profile metric of each row of two matrices (n, G): values, and { [row] = status } of those not scored as usual.
---@param name string  "pearson", "r2", ... (kind "profile")
---@param predicted userdata
---@param truth userdata
---@param opts? table  see metrics.schema.rows
---@return number[] values, table status
function M.rows(name, predicted, truth, opts)
  local d = M.definition(name)
  if d.kind ~= "profile" then complain(("'%s' is not a metric of profiles"):format(name)) end
  local values, status = core[name .. "_rows"](predicted, truth, options.check("metrics.rows", opts, M.schema.rows))
  return values:totable(), status
end

--- Weights of CellSimBench from scores of differential expression: ((|s| - min) / (max - min))^2; NaN counts as 0. All equal:
--- zeros, and status no_weights.
---@param scores userdata  Tensor (G) or (n, G)
---@return userdata Tensor of the same shape
function M.weights(scores)
  local s = scores:to "double":abs()
  s = s:masked_fill(s:isnan(), 0)
  local one = #{ s:size() } == 1
  if one then s = s:reshape(1, s:count()) end
  local n = s:size(1)
  local lo, hi = s:min(2):reshape(n, 1), s:max(2):reshape(n, 1)
  local width = hi - lo
  local w = ((s - lo) / (width + width:eq(0))):square()
  return one and w:reshape(w:count()) or w
end

--- AUROC and average precision with a group per column (gene over perturbations) or per row. Labels 0 or 1, NaN where a
--- group has one class (status one_class).
---@param scores userdata  Tensor (n, G)
---@param labels userdata
---@param opts? table  mask (n, G), by = "gene" or "perturbation"
---@return table { auroc = numbers, ap = numbers, status = { [i] = "one_class" } }
function M.classes(scores, labels, opts)
  local o = options.check("metrics.classes", opts, M.schema.classes)
  local mask = o.mask
  if o.by == "perturbation" then scores, labels, mask = scores:t(), labels:t(), mask and mask:t() end
  local r = { auroc = core.auroc_cols(scores, labels, mask):totable(), ap = core.precision_cols(scores, labels, mask):totable(),
    status = {} }
  for i, v in ipairs(r.auroc) do
    if v ~= v then r.status[i] = "one_class" end
  end
  return r
end

M.schema.classes = {
  mask = { type = "userdata", help = "Tensor (n, G): 1 counts, 0 does not" },
  by = { default = "gene", values = { "gene", "perturbation" }, help = "what a value belongs to" },
}

--- The score of the Virtual Cell Challenge: each metric scaled to the baseline's, 1 - u/b for errors and (u - b)/(1 - b) for
--- others, NaN as 0, not below 0; the mean of mae, pds_l1 and overlap_n.
---@param user table  { mae =, pds_l1 =, overlap_n = } of the method
---@param base table  the same of the baseline
---@return number
function M.vcc(user, base)
  local sum = 0
  for _, key in ipairs { "mae", "pds_l1", "overlap_n" } do
    local u, b = user[key], base[key]
    local v = by_key[key].better < 0 and 1 - u / b or (u - b) / (1 - b)
    sum = sum + (v == v and math.max(v, 0) or 0)
  end
  return sum / 3
end

--- Systematic variation of a data set: mean over perturbations of the cosine of their change with the centroid's. The closer
--- to 1, the less the control reference tells.
---@param truth userdata  Tensor (n, G) of changes
---@param centroid userdata  Tensor (G) of the mean training change
---@return number
function M.systematic_variation(truth, centroid)
  local n, g = truth:size()
  local v = core.cosine_rows(centroid:reshape(1, g):expand(n, g), truth)
  return v:masked_select(v:isnan():eq(0)):mean():item()
end

return M
