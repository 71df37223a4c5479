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

return M
