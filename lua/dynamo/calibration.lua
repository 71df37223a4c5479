--- Calibration: do intervals hold what they promise, and how far to trust an ensemble at a distance in the network.
--
-- Ensemble spread is what members of a model disagree by. Against held-out perturbations it is usually too small, the more
-- so the farther a gene is from the training genes; `fit` finds the factor per distance, `Calibration:sd` applies it.
-- An interval is for the *observed* mean of n cells: its variance is the model's plus s^2 / n of the gene.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = { schema = {} }

local class = {}
class.__index = class

local function raise(message, hint) err.raise { code = "EVALUE", message = "calibration: " .. message, hint = hint } end

-- ---- scores --------------------------------------------------------------------------

--- z with P(|Z| <= z) = level for a standard normal Z, by bisection.
---@param level number
---@return number
function M.width(level)
  local lo, hi = 0, 40
  local zero, one = core.zeros(1, "double"), core.full(1, 1, "double")
  for _ = 1, 100 do
    local mid = (lo + hi) / 2
    local _, below = core.crps(zero, one, core.full(mid, 1, "double"))
    if 2 * below:get(1) - 1 < level then lo = mid else hi = mid end
  end
  return (lo + hi) / 2
end

--- How intervals [lo, hi] of a level hold y, over the entries with mask 1: coverage (share inside), width (mean), interval
--- score (mean of (hi - lo) + 2/a (lo - y)+ + 2/a (y - hi)+, a = 1 - level; Gneiting and Raftery 2007).
---@param y userdata   Tensor double
---@param lo userdata
---@param hi userdata
---@param level number
---@param mask? userdata
---@return table { coverage, width, score, n }
function M.intervals(y, lo, hi, level, mask)
  local w = mask or core.full(1, y:count(), "double"):reshape(y:size())
  local n = w:sum():item()
  local function mean(t) return n > 0 and (t * w):sum():item() / n or 0 / 0 end
  local inside = y:ge(lo) * y:le(hi)
  local outside = (lo - y):relu() + (y - hi):relu()
  return { coverage = mean(inside), width = mean(hi - lo), n = n, score = mean(hi - lo + outside * (2 / (1 - level))) }
end

M.schema.report = {
  levels = { default = { 0.5, 0.8, 0.9, 0.95 }, type = "table", item = "number", min = 0.001, max = 0.999, help = "of intervals" },
  mask = { type = "userdata", help = "Tensor (n, G): 1 counts; such as the significant genes" },
}

--- Calibration of Gaussian predictions: per level coverage, width and interval score; the calibration error (mean over levels
--- of |coverage - level|) and the mean CRPS.
---@param mean userdata  Tensor double (n, G)
---@param sd userdata    Tensor double (n, G), that of the observed value
---@param y userdata     Tensor double (n, G)
---@param opts? table  levels, mask
---@return table { levels = { { level, coverage, width, score } }, error, crps, n }
function M.report(mean, sd, y, opts)
  local o = options.check("calibration.report", opts, M.schema.report)
  local r = { levels = {}, error = 0 }
  for i, level in ipairs(o.levels) do
    local half = sd * M.width(level)
    local t = M.intervals(y, mean - half, mean + half, level, o.mask)
    t.level, r.levels[i], r.n = level, t, t.n
    r.error = r.error + math.abs(t.coverage - level) / #o.levels
  end
  local crps = core.crps(mean, sd, y)
  r.crps = o.mask and (crps * o.mask):sum():item() / math.max(1, r.n) or crps:mean():item()
  return r
end

-- ---- ensembles -------------------------------------------------------------------------

-- The same model with member k alone in every context.
local function alone(fitted, k)
  local one = { models = {} }
  for key, v in pairs(fitted) do
    if key ~= "models" then one[key] = v end
  end
  for context, m in pairs(fitted.models) do
    local copy = {}
    for key, v in pairs(m) do copy[key] = v end
    copy.members = { m.members[k] }
    one.models[context] = copy
  end
  return setmetatable(one, getmetatable(fitted))
end

--- What each member of a model predicts: list of Tensors (#rows, G), coverage flags. Raises EVALUE: not an ensemble.
---@param fitted table  of dynamo.model
---@param rows table
---@param env? table  see Fitted:predict
---@return userdata[] members, string[] flags
function M.members(fitted, rows, env)
  local first = type(fitted.models) == "table" and fitted.models[fitted.contexts[1]]
  local n = first and first.members and #first.members or 0
  if n < 2 then raise("a model with at least two members is needed", "members = 5") end
  local out, flags = {}, nil
  for k = 1, n do out[k], flags = alone(fitted, k):predict(rows, env) end
  return out, flags
end

--- Mean and standard deviation over members of what they predict: Tensors (#rows, G).
---@param members userdata[]
---@return userdata mean, userdata sd
function M.spread(members)
  local n, sum, squares = #members, nil, nil
  for _, p in ipairs(members) do sum = sum and sum + p or p end
  local mean = sum / n
  for _, p in ipairs(members) do
    local d = (p - mean):square()
    squares = squares and squares + d or d
  end
  return mean, (squares / math.max(1, n - 1)):sqrt()
end

M.schema.fit = {
  distance = { type = "table", help = "edges to the nearest training gene per row (-1: none); default: all alike" },
  noise = { type = "userdata", help = "Tensor (n, G): variance of the observed mean, s^2 / n cells; default: none" },
  mask = { type = "userdata", help = "Tensor (n, G): 1 counts" },
  least = { default = 5, type = "integer", min = 1, help = "rows that a distance needs for a factor of its own" },
}

-- Sums of squares of residuals less noise, and of spread, of the rows in a list.
local function factor(list, residual, spread)
  local a, b = 0, 0
  for _, i in ipairs(list) do a, b = a + residual[i], b + spread[i] end
  return b > 0 and math.max(0, a / b) or nil
end

--- Factors by which the squared spread of an ensemble has to grow to be the squared error, per distance of the perturbed gene
--- from training in the network: sum of (residual^2 - noise) over sum of spread^2 of held-out rows. Distances with fewer than
--- `least` rows have the factor of all.
---@param mean userdata    Tensor (n, G) over members, held-out rows
---@param spread userdata  Tensor (n, G)
---@param y userdata       Tensor (n, G) observed
---@param opts? table  distance, noise, mask, least
---@return table Calibration { factor = { [distance] = number }, all = number }
function M.fit(mean, spread, y, opts)
  local o = options.check("calibration.fit", opts, M.schema.fit)
  local n = y:size(1)
  if n < 2 then raise "at least two held-out rows are needed" end
  local w = o.mask or core.full(1, n, y:size(2), "double")
  local error2 = (y - mean):square()
  if o.noise then error2 = error2 - o.noise end
  local residual, s2 = (error2 * w):sum(2):totable(), (spread:square() * w):sum(2):totable()
  local all, by = {}, {}
  for i = 1, n do
    local d = o.distance and o.distance[i] or 0
    all[i], by[d] = i, by[d] or {}
    table.insert(by[d], i)
  end
  local self = setmetatable({ factor = {}, count = {}, all = factor(all, residual, s2) or 1, n = n }, class)
  for _, d in ipairs(label.sorted_keys_any(by)) do
    self.count[d] = #by[d]
    if #by[d] >= o.least then self.factor[d] = factor(by[d], residual, s2) end
  end
  return self
end

--- Standard deviation of predictions: the spread times the root of the factor of each row's distance.
---@param spread userdata  Tensor (n, G)
---@param distance? integer[]  per row
---@param noise? userdata  Tensor (n, G), variance that is added: for intervals of observed means
---@return userdata Tensor (n, G)
function class:sd(spread, distance, noise)
  local n, k = spread:size(1), {}
  for i = 1, n do k[i] = { self.factor[distance and distance[i] or 0] or self.all } end
  local v = spread:square() * core.tensor(k, "double")
  return (noise and v + noise or v):sqrt()
end

function class.__tostring(c)
  local parts = {}
  for _, d in ipairs(label.sorted_keys_any(c.factor)) do
    parts[#parts + 1] = ("%s %.3g (%d)"):format(tostring(d), math.sqrt(c.factor[d]), c.count[d])
  end
  return ("Calibration: spread x %.3g on %d rows; by distance (rows): %s"):format(math.sqrt(c.all), c.n,
    table.concat(parts, ", "))
end

-- ---- of a run ------------------------------------------------------------------------------

--- Variance of the observed mean of each row and gene, s^2 / n over its cells: Tensor (#rows, G), or nil without cells. A row
--- of one cell has that of the others.
---@param R table Responses
---@param rows integer[]
---@return userdata?
function M.noise(R, rows)
  if not R.cells then return nil end
  local lists, blocks, sum, known = {}, {}, nil, 0
  for cell, r in ipairs(R.cells.row_of) do
    lists[r] = lists[r] or {}
    table.insert(lists[r], cell)
  end
  for k, i in ipairs(rows) do
    local own = lists[i] or {}
    if #own > 1 then
      local x = R.cells.x:index(1, own)
      local v = core.column_moments(core.is_sparse(x) and x or core.sparse_from_dense(x)).variance
      blocks[k], sum, known = (v / #own):reshape(1, #R.genes), sum and sum + v or v, known + 1
    end
  end
  local pooled = (sum and sum / known or core.zeros(#R.genes, "double")):reshape(1, #R.genes)
  for k in ipairs(rows) do blocks[k] = blocks[k] or pooled end
  return core.cat(blocks, 1)
end

-- Mean, spread, truth, mask, noise and distance of rows, by the ensemble.
local function measured(results, fitted, rows)
  local R, list = results.R, {}
  for k, i in ipairs(rows) do list[k] = R.rows[i] end
  local ok, members, flags = pcall(M.members, fitted, list)
  if not ok then return nil end
  local mean, spread = M.spread(members)
  local distance = require("dynamo.predictions").distances(results.graph, R:targets(results.splits[1].train), list)
  return { mean = mean, spread = spread, y = R.delta:index(1, rows), mask = R.mask and R.mask:index(1, rows), flags = flags,
    noise = M.noise(R, rows), distance = distance and distance:totable() or nil }
end

local LEAST = 5 -- held-out rows

--- Intervals of the main model of a run (first seed): factors fitted on the validation rows, by distance in the network, and how
--- they hold on the test rows. nil where the model is no ensemble, or fewer than 5 rows validate.
---@param results table
---@return table? { calibration, sd = Tensor (#test, G) of the model alone, all = calibration.report, plain = the same of the raw
---  spread, groups = { { name, n, report } } by distance and coverage }
function M.of(results)
  local S, fitted = results.splits[1], results:main().fitted
  if results.kind == "label" or not fitted or #S.validate < LEAST then return nil end
  local held = measured(results, fitted, S.validate)
  local test = held and measured(results, fitted, S.test)
  if not test then return nil end
  local c = M.fit(held.mean, held.spread, held.y, { distance = held.distance, noise = held.noise, mask = held.mask })
  local sd = c:sd(test.spread, test.distance, test.noise)
  local plain = test.noise and (test.spread:square() + test.noise):sqrt() or test.spread
  local out = { calibration = c, sd = c:sd(test.spread, test.distance), groups = {}, plain = M.report(test.mean, plain, test.y, {
    mask = test.mask }), all = M.report(test.mean, sd, test.y, { mask = test.mask }) }
  local by = {}
  for k in ipairs(S.test) do
    for _, name in ipairs { test.distance and ("distance %d"):format(test.distance[k]) or false, "coverage " .. test.flags[k] } do
      if name then
        by[name] = by[name] or {}
        table.insert(by[name], k)
      end
    end
  end
  for _, name in ipairs(label.sorted_keys(by)) do
    local at = by[name]
    out.groups[#out.groups + 1] = { name = name, n = #at, report = M.report(test.mean:index(1, at), sd:index(1, at),
      test.y:index(1, at), { mask = test.mask and test.mask:index(1, at) }) }
  end
  return out
end

--- The table of calibration.of for a report: coverage at each level, calibration error, CRPS.
---@param of table
---@return table { title, columns, rows, notes }
function M.table(of)
  local t = { title = "calibration of intervals, first seed", rows = {}, columns = { "rows", "n" }, notes = {
    tostring(of.calibration), "Share of observed values inside intervals of the predicted mean, for all tested perturbations and "
      .. "genes; unresponsive genes are easy and dominate." } }
  for _, l in ipairs(of.all.levels) do t.columns[#t.columns + 1] = ("%g%%"):format(100 * l.level) end
  for _, name in ipairs { "error", "crps" } do t.columns[#t.columns + 1] = name end
  local function add(name, n, r)
    local line = { name, n }
    for _, l in ipairs(r.levels) do line[#line + 1] = l.coverage end
    line[#line + 1], line[#line + 2] = r.error, r.crps
    t.rows[#t.rows + 1] = line
  end
  add("all", "", of.all)
  add("all, spread as it is", "", of.plain)
  for _, g in ipairs(of.groups) do add(g.name, g.n, g.report) end
  return t
end

return M
