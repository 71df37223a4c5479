--- Doubles: how a combination's response is made of those of its singles (GI scores of GEARS, after Norman et al. 2019).
--
-- a, b: changes of the singles, y: of the double, against control, over genes. c1, c2 are fitted by Theil-Sen without
-- intercept. magnitude is high in synergy and low in suppression, fit_corr low in neomorphism, similarity high in
-- redundancy, equality low in epistasis. There are no official thresholds: types are ranks among the doubles at hand, with
-- the share of bootstrap samples of cells (or members of an ensemble) in which the type is the same.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = { schema = {} }

local function log10(x) return math.log(x) / math.log(10) end

local function column(t) return t:reshape(t:count(), 1) end

-- Pearson correlation of two vectors; NaN if one is constant.
local function pearson(p, t)
  local n = t:count()
  local v, status = core.pearson_rows(p:reshape(1, n), t:reshape(1, n), { eps = 1e-16 })
  return status[1] and 0 / 0 or v:get(1)
end

M.schema.scores = {
  tol = { default = 1e-3, type = "number", min = 0, help = "length of the last step of the spatial median" },
  pairs = { default = 100000, type = "integer", min = 1, help = "pairs of genes in the fit; more are drawn from" },
  seed = { default = 1, type = "integer", min = 0, help = "of the draw" },
  distances = { default = true, help = "similarity, singles and equality too: O(genes^2)" },
}

--- GI scores of a double.
---@param a userdata  Tensor double (G): change of the first single
---@param b userdata  of the second
---@param y userdata  of the double
---@param opts? table  tol, pairs, seed, distances
---@return table { c1, c2, magnitude, dominance, mixed_sign, fit_corr, similarity, singles, equality, interaction = norm of
---  y - a - b over that of y }
function M.scores(a, b, y, opts)
  local o = options.check("interaction.scores", opts, M.schema.scores)
  local c1, c2 = core.theil_sen(a, b, y, { tol = o.tol, pairs = o.pairs, seed = o.seed })
  local ratio = c1 / c2
  local r = { c1 = c1, c2 = c2, magnitude = math.sqrt(c1 * c1 + c2 * c2), dominance = math.abs(log10(math.abs(ratio))),
    mixed_sign = ratio <= 0, fit_corr = pearson(a * c1 + b * c2, y),
    interaction = (y - a - b):norm():item() / y:norm():item() }
  if o.distances then
    local ca, cb, cy = column(a), column(b), column(y)
    local ay, by = core.distance_correlation(ca, cy), core.distance_correlation(cb, cy)
    r.similarity, r.singles = core.distance_correlation(core.cat({ ca, cb }, 2), cy), core.distance_correlation(ca, cb)
    r.equality = math.min(ay, by) / math.max(ay, by)
  end
  return r
end

--- Pearson correlation of predicted and observed interaction, y' - a - b against y - a - b, the observed singles in both.
---@param predicted userdata  Tensor (G)
---@param y userdata
---@param a userdata
---@param b userdata
---@return number
function M.correlation(predicted, y, a, b) return pearson(predicted - a - b, y - a - b) end

-- ---- types -------------------------------------------------------------------------------

local KINDS = { { "synergy", "magnitude", 1 }, { "suppression", "magnitude", -1 }, { "neomorphism", "fit_corr", -1 },
  { "redundancy", "similarity", 1 }, { "epistasis", "equality", -1 } }

-- Rank of each value among the others: 0 the smallest, 1 the largest; ties in the middle.
local function percentiles(list, key)
  local out, n = {}, #list
  for i = 1, n do
    local below, same = 0, 0
    for j = 1, n do
      if list[j][key] < list[i][key] then below = below + 1 elseif list[j][key] == list[i][key] then same = same + 1 end
    end
    out[i] = n > 1 and (below + (same - 1) / 2) / (n - 1) or 0.5
  end
  return out
end

--- The type of each double by rank among all of a list: the one of synergy, suppression, neomorphism, redundancy, epistasis
--- for which it is most extreme. Adds `type` and `ranks` to each; fewer than 5 doubles have none.
---@param list table[]  of interaction.scores
---@return table[] the list
function M.types(list)
  if #list < 5 then return list end
  local ranks = {}
  for _, k in ipairs(KINDS) do ranks[k[1]] = percentiles(list, k[2]) end
  for i, r in ipairs(list) do
    r.ranks = {}
    for _, k in ipairs(KINDS) do
      local v = ranks[k[1]][i]
      r.ranks[k[1]] = k[3] > 0 and v or 1 - v
      if not r.type or r.ranks[k[1]] > r.ranks[r.type] then r.type = k[1] end
    end
  end
  return list
end

-- ---- uncertainty --------------------------------------------------------------------------

-- Mean of bootstrap samples of some cells: Tensor (draws, G).
local function resampled(x, cells, draws, seed)
  local n = #cells
  local at = core.rand(seed, draws, n, "double"):totable()
  local w = {}
  for d = 1, draws do
    local count = {}
    for i = 1, n do count[i] = 0 end
    for i = 1, n do
      local k = math.floor(at[d][i] * n) + 1
      count[k] = count[k] + 1 / n
    end
    w[d] = count
  end
  local own = x:index(1, cells)
  local dense = core.is_sparse(own) and own:dense "double" or own:to "double"
  return core.tensor(w, "double"):matmul(dense)
end

-- Cells of a row (0: controls of its context).
local function cells_of(R, row, context)
  local out = {}
  for c, r in ipairs(R.cells.row_of) do
    if r == row and R.cells.context_of[c] == context then out[#out + 1] = c end
  end
  return out
end

-- Samples { a, b, y } (Tensors (draws, G)) of a double of Responses with cells.
local function samples(R, d, o)
  local context = R:control_index(d.context)
  local at = {}
  for k, row in ipairs { 0, d.a, d.b, d.y } do
    local cells = cells_of(R, row, context)
    if #cells < 2 then return nil end
    at[k] = resampled(R.cells.x, cells, o.draws, o.seed * 4 + k)
  end
  return { a = at[2] - at[1], b = at[3] - at[1], y = at[4] - at[1] }
end

local function interval(values, level)
  local kept = {}
  for _, v in ipairs(values) do
    if v == v then kept[#kept + 1] = v end
  end
  if #kept < 5 then return nil end
  table.sort(kept)
  local quantile = require("dynamo.evaluate").quantile
  return { quantile(kept, (1 - level) / 2), quantile(kept, (1 + level) / 2) }
end

local NUMBERS = { "c1", "c2", "magnitude", "dominance", "fit_corr", "similarity", "singles", "equality", "interaction" }

-- Scores of every draw of every double; then intervals, and how often the type is the same.
local function uncertainty(list, draw, n, o)
  local same = {}
  for k = 1, n do
    local round = {}
    for i, r in ipairs(list) do round[i] = draw(r, k) end
    M.types(round)
    for i, s in ipairs(round) do
      local r = list[i]
      r.draws = r.draws or {}
      r.draws[k] = s
      same[i] = (same[i] or 0) + (s.type == r.type and 1 or 0)
    end
  end
  for i, r in ipairs(list) do
    r.interval = {}
    for _, key in ipairs(NUMBERS) do
      local v = {}
      for k = 1, n do v[k] = r.draws[k][key] end
      r.interval[key] = v[1] and interval(v, o.level) or nil
    end
    r.support, r.draws = r.type and same[i] / n or nil, nil
    local m = r.interval.magnitude
    r.call = m and (m[1] > math.sqrt(2) and "more than additive" or m[2] < math.sqrt(2) and "less than additive"
      or "additive") or nil
  end
  return list
end

-- ---- tables ----------------------------------------------------------------------------------

local SIGNIFICANT = { default = 0, type = "integer", min = 0,
  help = "resamples under additivity for a p of norm(y - a - b); 0: none" }

M.schema.table = {
  genes = { type = "table", item = "string", help = "genes that count; default: all" },
  draws = { default = 100, type = "integer", min = 5, max = 10000, help = "bootstrap samples of cells" },
  null = SIGNIFICANT,
  level = { default = 0.95, type = "number", min = 0.5, max = 0.999, help = "of the intervals" },
  seed = { default = 1, type = "integer", min = 0, help = "of the samples" },
  tol = { default = 1e-3, type = "number", min = 0, help = "see interaction.scores" },
  pairs = { default = 100000, type = "integer", min = 1, help = "see interaction.scores" },
  distances = { default = true, help = "see interaction.scores" },
}

-- Doubles of Responses whose singles were measured in the same context.
local function doubles(R)
  local out = {}
  for i, row in ipairs(R.rows) do
    local a = #row.targets == 2 and R:find(row.context, row.targets[1])
    local b = #row.targets == 2 and R:find(row.context, row.targets[2])
    if a and b then
      out[#out + 1] = { perturbation = row.perturbation, context = row.context, a = a, b = b, y = i, n_cells = row.n_cells }
    end
  end
  return out
end

local function fill(r, s)
  for k, v in pairs(s) do r[k] = v end
  return r
end

-- p of norm(y - a - b) under additivity: the double as additive mean plus resampled residuals of its own cells, compared to
-- the additive sum of resampled singles.
local function additive_p(s, e, draws)
  local residual = (s.y - s.a - s.b)
  local centred = residual - residual:mean(1):reshape(1, residual:size(2))
  local observed, hits = e:norm():item(), 1
  for _, v in ipairs(centred:square():sum(2):sqrt():totable()) do hits = hits + (v >= observed and 1 or 0) end
  return hits / (draws + 1)
end

--- GI scores, types and intervals of all doubles of Responses whose two singles were measured in the same context. With cells,
--- intervals are from bootstrap samples of the cells of the double, its singles and the controls; `null` > 0 adds p and q (BH)
--- of the size of y - a - b against additivity.
---@param R table Responses
---@param opts? table  see interaction.schema.table
---@return table[] { perturbation, context, scores, type, ranks, interval = { [score] = { lo, hi } }, support, call, p, q }
function M.table(R, opts)
  local o = options.check("interaction.table", opts, M.schema.table)
  if o.genes then R = R:take_genes(o.genes) end
  local list = doubles(R)
  local how = { tol = o.tol, pairs = o.pairs, seed = o.seed, distances = o.distances }
  for _, d in ipairs(list) do
    fill(d, M.scores(R.delta:select(1, d.a), R.delta:select(1, d.b), R.delta:select(1, d.y), how))
  end
  M.types(list)
  if not R.cells or #list == 0 then return list end
  local own, p = {}, {}
  for i, d in ipairs(list) do
    own[d] = samples(R, d, o)
    local s = o.null > 0 and samples(R, d, { draws = o.null, seed = o.seed + 1 })
    d.p = s and additive_p(s, R.delta:select(1, d.y) - R.delta:select(1, d.a) - R.delta:select(1, d.b), o.null) or nil
    p[i] = d.p or 0 / 0
    if not own[d] then return list end
  end
  if o.null > 0 then
    for i, q in ipairs(core.bh(core.tensor(p, "double")):totable()) do list[i].q = q end
  end
  return uncertainty(list, function(d, k)
    local s = own[d]
    return M.scores(s.a:select(1, k), s.b:select(1, k), s.y:select(1, k), how)
  end, o.draws, o)
end

--- GI scores, types and intervals of predicted doubles: the model predicts double and singles; intervals are over the members
--- of an ensemble (none with fewer than 5).
---@param rows table[]  doubles: { perturbation, targets, context }
---@param predict fun(rows: table[]): userdata[]  predictions of every member (or one): Tensors (#rows, G)
---@param opts? table  see interaction.schema.table
---@return table[] see interaction.table
function M.predicted(rows, predict, opts)
  local o = options.check("interaction.predicted", opts, M.schema.table)
  local ask, list = {}, {}
  for _, r in ipairs(rows) do
    if #r.targets ~= 2 then err.raise { code = "EVALUE", message = ("interaction: '%s' is not a double"):format(
      label.safe(r.perturbation)) } end
    list[#list + 1] = { perturbation = r.perturbation, context = r.context, at = #ask }
    for _, g in ipairs(r.targets) do ask[#ask + 1] = { perturbation = g, targets = { g }, context = r.context } end
    ask[#ask + 1] = r
  end
  if #list == 0 then return list end
  local members = predict(ask)
  local sum
  for _, m in ipairs(members) do sum = sum and sum + m or m end
  local how = { tol = o.tol, pairs = o.pairs, seed = o.seed, distances = o.distances }
  local function of(t, d) return M.scores(t:select(1, d.at + 1), t:select(1, d.at + 2), t:select(1, d.at + 3), how) end
  for _, d in ipairs(list) do fill(d, of(sum / #members, d)) end
  M.types(list)
  if #members < 5 then return list end
  return uncertainty(list, function(d, k) return of(members[k], d) end, #members, o)
end

M.schema.predicted = M.schema.table

-- ---- calls against an empirical null ---------------------------------------------------------
-- Ahlmann-Eltze, Huber and Anders 2025: interactions are (double, gene) pairs whose deviation from additivity is too large for
-- the bulk of all deviations; predictions are scored by how well they rank those pairs.

-- Legendre polynomials 0 .. degree of x in [-1, 1] as columns.
local function legendre(x, degree)
  local out = {}
  for i, v in ipairs(x) do
    local row = { 1, v }
    for k = 2, degree do row[k + 1] = ((2 * k - 1) * v * row[k] - (k - 1) * row[k - 1]) / k end
    out[i] = row
  end
  return core.tensor(out, "double")
end

-- Poisson regression of counts on a polynomial of x (iterated weighted least squares): log of the fitted counts.
local function log_density(x, counts, degree)
  local n, X, y = #x, legendre(x, degree), column(core.tensor(counts, "double"))
  local eta, before = (y + 0.5):log(), math.huge
  for _ = 1, 200 do
    local mu = eta:exp()
    local z = eta + (y - mu) / mu
    eta = X:matmul(core.solve((X * mu):t():matmul(X), (X * mu):t():matmul(z))):minimum(40):maximum(-50)
    local likelihood = (y * eta - eta:exp()):sum():item()
    if math.abs(likelihood - before) <= 1e-13 * math.abs(likelihood) then break end
    before = likelihood
  end
  return eta:reshape(n):totable()
end

-- Counts of sorted values in `bins` equal bins of lo .. hi, and the middles.
local function histogram(sorted, lo, hi, bins)
  local counts, middle, width = {}, {}, (hi - lo) / bins
  for k = 1, bins do counts[k], middle[k] = 0, lo + (k - 0.5) * width end
  for _, v in ipairs(sorted) do
    if v >= lo and v <= hi then
      local k = math.min(bins, math.floor((v - lo) / width) + 1)
      counts[k] = counts[k] + 1
    end
  end
  return counts, middle
end

-- Intercept, slope and curvature of a parabola through (x, y) by least squares.
local function parabola(x, y)
  local rows, right = {}, {}
  for i, v in ipairs(x) do rows[i], right[i] = { 1, v, v * v }, { y[i] } end
  local X = core.tensor(rows, "double")
  local c = core.solve(X:t():matmul(X), X:t():matmul(core.tensor(right, "double")))
  return c:get(1, 1), c:get(2, 1), c:get(3, 1)
end

-- Where the local fdr falls to the level, from bin `at` in steps of `step`: linear between the middles of bins; nil: nowhere.
local function crossing(middle, fdr, at, step, level)
  local k = at
  while fdr[k + step] do
    local a, b = fdr[k], fdr[k + step]
    if b <= level then return middle[k] + (middle[k + step] - middle[k]) * (a - level) / (a - b) end
    k = k + step
  end
end

M.schema.null = {
  level = { default = 0.05, type = "number", min = 1e-6, max = 0.5, help = "local false discovery rate at the thresholds" },
  bins = { default = 120, type = "integer", min = 20, max = 2000, help = "of the histogram" },
  degree = { default = 7, type = "integer", min = 2, max = 15, help = "of the polynomial of the log density" },
  width = { default = 10, type = "number", min = 2, help = "of the histogram to each side, in standard deviations of the bulk" },
}

--- An empirical null (Efron 2004, central matching): the log density of values is a polynomial fitted to a histogram by Poisson
--- regression, the null the normal curve that matches it between the quartiles; the thresholds are where null over density
--- falls to the level. Values beyond the histogram are more extreme than its ends.
---
--- Raises EVALUE: fewer than 100 values, or no spread between the quartiles.
---@param values number[]
---@param opts? table  see interaction.schema.null
---@return table { mean, sd, share = of the null, lo, hi = thresholds or nil where the fdr stays above, level }
function M.null(values, opts)
  local o, sorted = options.check("interaction.null", opts, M.schema.null), {}
  for i, v in ipairs(values) do sorted[i] = v end
  table.sort(sorted)
  local quantile = require("dynamo.evaluate").quantile
  local function bad(what) err.raise { code = "EVALUE", message = "interaction.null: " .. what } end
  if #sorted < 100 then bad(("%d values; at least 100 are needed"):format(#sorted)) end
  local q1, middle_value, q3 = quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)
  local spread = (q3 - q1) / 1.349
  if spread <= 0 then bad "half of the values are equal (genes that are not expressed? a smaller `top`)" end
  local lo, hi = math.max(sorted[1], middle_value - o.width * spread), math.min(sorted[#sorted], middle_value + o.width * spread)
  local counts, middle = histogram(sorted, lo, hi, o.bins)
  local scaled = {}
  for k, m in ipairs(middle) do scaled[k] = 2 * (m - lo) / (hi - lo) - 1 end
  local f, peak = log_density(scaled, counts, o.degree), 1
  local x, y = {}, {}
  for k, m in ipairs(middle) do
    if m > q1 and m < q3 then x[#x + 1], y[#y + 1] = m - middle_value, f[k] end
    if math.abs(m - middle_value) < math.abs(middle[peak] - middle_value) then peak = k end
  end
  if #x < 4 then bad "too few bins between the quartiles: more bins, or a smaller width" end
  local c0, c1, c2 = parabola(x, y)
  if c2 >= 0 then bad "no bulk: the density has no peak between the quartiles" end
  local fdr, null, all = {}, 0, 0
  for k, m in ipairs(middle) do
    local z = m - middle_value
    local own = math.exp(c0 + c1 * z + c2 * z * z)
    fdr[k], null, all = math.min(1, own / math.exp(f[k])), null + own, all + math.exp(f[k])
  end
  return { mean = middle_value - c1 / (2 * c2), sd = 1 / math.sqrt(-2 * c2), share = math.min(1, null / all), level = o.level,
    lo = crossing(middle, fdr, peak, -1, o.level), hi = crossing(middle, fdr, peak, 1, o.level) }
end

M.schema.calls = { top = { default = 1000, type = "integer", min = 10, help = "genes with the highest control mean" } }
for k, v in pairs(M.schema.null) do M.schema.calls[k] = v end

-- Columns of the genes with the highest control mean over the contexts of the doubles, ascending.
local function highest(R, n, list)
  local contexts, seen = {}, {}
  for _, d in ipairs(list) do
    if not seen[d.context] then seen[d.context], contexts[#contexts + 1] = true, R:control_index(d.context) end
  end
  local order, out = (R.control:index(1, contexts):mean(1) * -1):argsort(), {}
  for k = 1, math.min(n, #order) do out[k] = order[k] end
  table.sort(out)
  return out
end

--- Interactions of measured doubles: deviations y - a - b of all doubles whose singles are measured, on the genes with the highest
--- control mean, called where they exceed the thresholds of their own empirical null.
---@param R table Responses
---@param opts? table  see interaction.schema.calls
---@return table { rows = row indices of the doubles, names, columns, genes, additive = a + b (n, G'), deviation (n, G'), calls =
---  1 synergy, -1 suppression, 0 (n, G'), synergy, suppression = counts, null = see interaction.null }
function M.calls(R, opts)
  local o = options.check("interaction.calls", opts, M.schema.calls)
  local list, a, b, y = doubles(R), {}, {}, {}
  if #list == 0 then err.raise { code = "EVALUE", message = "interaction.calls: no double whose two singles are measured" } end
  local columns = highest(R, o.top, list)
  local t = { rows = y, names = {}, columns = columns, genes = {} }
  for k, d in ipairs(list) do a[k], b[k], y[k], t.names[k] = d.a, d.b, d.y, d.context .. "/" .. d.perturbation end
  for k, j in ipairs(columns) do t.genes[k] = R.genes[j] end
  t.additive = R.delta:index(1, a):index(2, columns) + R.delta:index(1, b):index(2, columns)
  t.deviation = R.delta:index(1, y):index(2, columns) - t.additive
  local null = {}
  for k in pairs(M.schema.null) do null[k] = o[k] end
  t.null = M.null(t.deviation:reshape(t.deviation:count()):totable(), null)
  local up = t.null.hi and t.deviation:gt(t.null.hi):to "double" or t.deviation * 0
  local down = t.null.lo and t.deviation:lt(t.null.lo):to "double" or t.deviation * 0
  t.calls, t.synergy, t.suppression = up - down, up:sum():item(), down:sum():item()
  return t
end

M.schema.score_calls = {
  fdp = { default = { 0.1, 0.2, 0.5 }, type = "table", item = "number", help = "false discovery proportions" },
  signed = { default = false, help = "a pair counts as found only if the sign is right too" },
}

-- The largest share of true pairs found at a false discovery proportion of at most q, ties taken together.
local function found_at(score, is, total, levels)
  local order, best = {}, {}
  for i = 1, #score do order[i] = i end
  table.sort(order, function(i, j) return score[i] > score[j] or score[i] == score[j] and i < j end)
  for _, q in ipairs(levels) do best[q] = 0 end
  local hits = 0
  for k, i in ipairs(order) do
    hits = hits + is[i]
    if k == #order or score[order[k + 1]] < score[i] then
      for _, q in ipairs(levels) do
        if 1 - hits / k <= q then best[q] = math.max(best[q], hits / total) end
      end
    end
  end
  return best
end

--- How well predicted doubles find the called interactions: pairs (double, gene) ranked by |y' - a - b|, the measured singles
--- coming off. An additive prediction ranks nothing: its average precision is the share of interactions.
---@param t table  of interaction.calls
---@param predicted userdata  Tensor (n, G) of changes, a row for each of t.rows
---@param opts? table  see interaction.schema.score_calls
---@return table { auprc, chance, tpr = { [fdp] = share of the interactions found }, n = pairs, interactions }; auprc NaN without
---  interactions
function M.score_calls(t, predicted, opts)
  local o = options.check("interaction.score_calls", opts, M.schema.score_calls)
  if predicted:size(1) ~= #t.rows then
    err.raise { code = "EVALUE", message = ("interaction.score_calls: %d rows predicted, expected %d"):format(predicted:size(1),
      #t.rows) }
  end
  local e = predicted:to "double":index(2, t.columns) - t.additive
  local is = o.signed and (t.calls * e):gt(0):to "double" or t.calls:abs()
  local n, total = e:count(), t.calls:abs():sum():item()
  local score = e:abs():reshape(n, 1)
  -- rounding of the sum a + b is no signal
  score = score:masked_fill(score:lt(1e-9 * math.max(t.additive:abs():max():item(), 1e-300)), 0)
  is = is:reshape(n, 1)
  local ap = total > 0 and core.precision_cols(score, is):get(1) or 0 / 0
  return { auprc = o.signed and ap * is:sum():item() / math.max(total, 1) or ap, chance = total / n, n = n, interactions = total,
    tpr = found_at(score:reshape(n):totable(), is:reshape(n):totable(), math.max(total, 1), o.fdp) }
end

return M
