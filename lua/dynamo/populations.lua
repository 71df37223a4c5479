--- Two sets of cells against each other: energy distance, MMD, Wasserstein, and their columns in evaluate.
--
-- X and Y are Tensors (cells, dimensions). Unbiased forms leave out the pair of a cell with itself and may be negative;
-- V forms keep it and are biased upwards for few cells. With squared distances (and the linear kernel) only means are seen.
-- Use as many cells in both, at least 50.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"
local prepare = require "dynamo.prepare"

local M = { schema = {} }

local NAN = 0 / 0

local function check(name, x, y, least)
  if not (core.is_tensor(x) and core.is_tensor(y)) then
    err.raise { code = "EOPTION", message = ("populations.%s: two matrices (cells, dimensions) expected"):format(name) }
  end
  local n, m = x:size(1), y:size(1)
  if n < least or m < least then
    err.raise { code = "EVALUE", message = ("populations.%s: %d and %d cells, at least %d in each are needed"):format(name, n, m,
      least) }
  end
  return n, m
end

local form_rule = { default = "unbiased", values = { "unbiased", "v" }, help = "without or with the pairs of a cell with itself" }

-- Mean over pairs within n cells: of the sum over different ones, and what a cell has with itself.
local function within(sum, n, own, form)
  if form == "v" then return (2 * sum + n * own) / (n * n) end
  return 2 * sum / (n * (n - 1))
end

M.schema.edistance = {
  form = form_rule,
  squared = { default = false, help = "squared distances: sees means only (the tables of scPerturb)" },
}

--- Energy distance 2 E|X - Y| - E|X - X'| - E|Y - Y'| (Szekely and Rizzo 2013).
---@param x userdata  Tensor (n, d)
---@param y userdata  Tensor (m, d)
---@param opts? table  form, squared
---@return number
function M.edistance(x, y, opts)
  local o = options.check("populations.edistance", opts, M.schema.edistance)
  local n, m = check("edistance", x, y, o.form == "v" and 1 or 2)
  local a, b, c = core.pair_sums(x, y, { kind = o.squared and "squared" or "distance" })
  return 2 * a / (n * m) - within(b, n, 0, o.form) - within(c, m, 0, o.form)
end

M.schema.mmd = {
  form = form_rule,
  kernel = { default = "rbf", values = { "rbf", "linear" }, help = "linear sees means only" },
  gamma = { type = "number", min = 0, help = "of exp(-gamma d^2); default: 1 / median of the pooled squared distances" },
}

--- Squared maximum mean discrepancy (Gretton et al. 2012).
---@param x userdata  Tensor (n, d)
---@param y userdata  Tensor (m, d)
---@param opts? table  form, kernel, gamma
---@return number
function M.mmd(x, y, opts)
  local o = options.check("populations.mmd", opts, M.schema.mmd)
  local n, m = check("mmd", x, y, o.form == "v" and 1 or 2)
  if o.kernel == "linear" then return M.edistance(x, y, { form = o.form, squared = true }) / 2 end
  local gamma = o.gamma
  if not gamma then
    local width = core.pair_median(x, y)
    gamma = width > 0 and 1 / width or 1
  end
  local a, b, c = core.pair_sums(x, y, { kind = "rbf", gamma = gamma })
  return within(b, n, 1, o.form) + within(c, m, 1, o.form) - 2 * a / (n * m)
end

M.schema.wasserstein = { p = { default = 1, type = "integer", min = 1, max = 2, help = "power of the distance" } }

--- Mean over dimensions of the Wasserstein-p distance of the two marginals.
---@param x userdata  Tensor (n, d)
---@param y userdata  Tensor (m, d)
---@param opts? table  p
---@return number
function M.wasserstein(x, y, opts)
  local o = options.check("populations.wasserstein", opts, M.schema.wasserstein)
  check("wasserstein", x, y, 1)
  local w = core.wasserstein_cols(x, y, o.p)
  return (o.p == 2 and w:sqrt() or w):mean():item()
end

M.schema.sliced_wasserstein = {
  p = { default = 2, type = "integer", min = 1, max = 2, help = "power of the distance" },
  directions = { default = 100, type = "integer", min = 1, help = "random ones" },
  seed = { default = 1, type = "integer", min = 0, help = "of the directions" },
}

--- Sliced Wasserstein distance (Bonneel et al. 2015): (mean over random unit directions of W_p^p)^(1/p).
---@param x userdata  Tensor (n, d)
---@param y userdata  Tensor (m, d)
---@param opts? table  p, directions, seed
---@return number
function M.sliced_wasserstein(x, y, opts)
  local o = options.check("populations.sliced_wasserstein", opts, M.schema.sliced_wasserstein)
  check("sliced_wasserstein", x, y, 1)
  local u = M.directions(x:size(2), o.directions, o.seed)
  local w = core.wasserstein_cols(x:to "double":matmul(u), y:to "double":matmul(u), o.p)
  return w:mean():item() ^ (1 / o.p)
end

--- Random unit vectors as columns: Tensor double (d, n).
---@param d integer
---@param n integer
---@param seed integer
---@return userdata
function M.directions(d, n, seed)
  local u = core.randn(seed, d, n, "double")
  return u / u:square():sum(1):sqrt():reshape(1, n)
end

M.schema.test = {
  draws = { default = 999, type = "integer", min = 1, help = "permutations" },
  seed = { default = 1, type = "integer", min = 0, help = "of the permutations" },
}

--- Energy distance with the p of a permutation test: (1 + #{E* >= E}) / (1 + draws).
---@param x userdata  Tensor (n, d)
---@param y userdata  Tensor (m, d)
---@param opts? table  draws, seed
---@return table { value, p, draws }
function M.test(x, y, opts)
  local o = options.check("populations.test", opts, M.schema.test)
  local n = check("test", x, y, 2)
  local all = core.cat({ x:to "double", y:to "double" }, 1)
  local d = core.distance_rows(all, all)
  return { value = M.edistance(x, y), p = core.energy_test(d, n, { draws = o.draws, seed = o.seed }), draws = o.draws }
end

--- cell-eval's edistance_pearson: Pearson correlation over perturbations of the energy distance to the control cells, real
--- against predicted.
---@param real userdata[]       cells of each perturbation
---@param predicted userdata[]
---@param control userdata      control cells
---@param opts? table  form, squared
---@return number
function M.edistance_pearson(real, predicted, control, opts)
  local a, b = {}, {}
  for i = 1, #real do
    a[i], b[i] = M.edistance(real[i], control, opts), M.edistance(predicted[i], control, opts)
  end
  local n = #a
  return core.pearson_rows(core.tensor(b, "double"):reshape(1, n), core.tensor(a, "double"):reshape(1, n), { eps = 1e-16 }):get(1)
end

-- ---- columns of evaluate ----------------------------------------------------------------

local SEED, GENES, DIM = 1, 2000, 50 -- of the choice of cells, genes and components
M.most = 300 -- cells of a side, at most

local function dense(x) return (core.is_sparse(x) and x:dense "double" or x:to "double") end

-- At most n of a list, chosen by seed.
local function some(list, n, purpose)
  if #list <= n then return list end
  local order, out = core.permutation(#list, SEED, purpose), {}
  for i = 1, n do out[i] = list[order[i]] end
  return out
end

-- Components of 2,000 variable genes, from control cells and those of training rows: (G, dim), zero for other genes.
local function components(R, train)
  local of, keep = {}, {}
  for _, i in ipairs(train) do of[i] = true end
  for c, r in ipairs(R.cells.row_of) do
    if r == 0 or of[r] then keep[#keep + 1] = c end
  end
  local x, g = R.cells.x:index(1, keep), #R.genes
  local genes
  if g > GENES then genes = prepare.hvg(x, { n = GENES }).genes end
  local p = prepare.pca(genes and x:index(2, genes) or x, { dim = DIM }).components
  if not genes then return p end
  local at = {}
  for k, j in ipairs(genes) do at[j] = k end
  local zero, blocks = core.zeros(1, p:size(2), "double"), {}
  for j = 1, g do blocks[j] = at[j] and p:rows(at[j], at[j]) or zero end
  return core.cat(blocks, 1)
end

-- Per context: cells of each row, control cells; once per block.
local function cells_of(b)
  if b.population then return b.population end
  local c, lists, control, context = b.R.cells, {}, {}, b.R:control_index(b.context)
  for cell, r in ipairs(c.row_of) do
    if r > 0 then
      lists[r] = lists[r] or {}
      table.insert(lists[r], cell)
    elseif c.context_of[cell] == context then
      control[#control + 1] = cell
    end
  end
  b.population = { lists = lists, control = control, pairs = {} }
  return b.population
end

-- Cells as components, which are learned once per training set.
local function projected(b, x)
  local own = b.truth.components
  if not own or own.train ~= b.train then
    own = { train = b.train, value = components(b.R, b.train or {}) }
    b.truth.components = own
  end
  return dense(x):matmul(own.value)
end

local function every(n)
  local out = {}
  for k = 1, n do out[k] = k end
  return out
end

-- Real and predicted cells of row i as components, as many of each. Predicted cells are given, or the context's control
-- cells, each moved by the predicted change.
local function pair(b, i)
  local s = cells_of(b)
  if s.pairs[i] == nil then
    local list = s.lists[b.rows[i]] or {}
    local given = b.cells and b.cells(b.places[i])
    local n = math.min(M.most, #list, given and given:size(1) or #s.control)
    local from
    if n < 2 then
      s.pairs[i] = false
      return nil
    elseif given then
      from = given:index(1, some(every(given:size(1)), n, "predicted cells"))
    else
      from = dense(b.R.cells.x:index(1, some(s.control, n, "control cells"))) + b.p:select(1, i):reshape(1, b.p:size(2))
    end
    s.pairs[i] = { projected(b, b.R.cells.x:index(1, some(list, n, "real cells"))), projected(b, from) }
  end
  return s.pairs[i] or nil
end

-- Whether a block predicts the same mean for all rows, and no cells: nothing to tell them apart by.
local function says_nothing(b)
  return not b.cells and (b.p:max(1) - b.p:min(1)):max():item() <= 16 * b.eps * b.p:abs():max():item()
end

-- Parts of the Pearson correlation of energy distances to (other) control cells.
local function distances_pearson(b)
  local s, real, predicted, status = cells_of(b), {}, {}, {}
  local control = #s.control > 1 and projected(b, b.R.cells.x:index(1, some(s.control, M.most, "reference cells")))
  for i = 1, #b.rows do
    local xy = control and pair(b, i)
    real[i], predicted[i] = xy and M.edistance(xy[1], control) or NAN, xy and M.edistance(xy[2], control) or NAN
    status[i] = not xy and "few_cells" or nil
  end
  if says_nothing(b) then
    for i = 1, #b.rows do predicted[i] = 0 end
  end
  local values, why = require("dynamo.metrics").contributions(predicted, real, b.eps)
  for i = 1, #b.rows do status[i] = status[i] or why[i] end
  return values, status
end

--- The genes that predicted cells of row i of a block change, as the truth's are found: Welch against the context's control
--- cells, BH over genes: { q, log2fc } (Tensors (G)); nil with fewer than two cells.
---@param b table
---@param i integer
---@return table?
function M.calls(b, i)
  local given, s = b.cells(b.places[i]), cells_of(b)
  if not given or given:size(1) < 2 or #s.control < 2 then return nil end
  local function sparse(x) return core.is_sparse(x) and x or core.sparse_from_dense(x) end
  local both = core.sparse_cat({ sparse(given:to "float"), sparse(b.R.cells.x:index(1, s.control)) }, 1)
  local codes = {}
  for k = 1, both:size(1) do codes[k] = k <= given:size(1) and 1 or 2 end
  local r = core.diffexpr(both:t(), codes, { test = "welch" })
  return { q = core.bh(r.p), log2fc = prepare.log2_fold(r.mean1, r.mean2) }
end

--- Control cells of each context for methods that predict cells (`fitted:cells`): at most `n` a context, chosen by seed.
---@param R table Responses with cells
---@param n? integer default 300
---@return table<string, userdata> Tensor double (cells, G) per context
function M.controls(R, n)
  local lists, out = {}, {}
  for cell, r in ipairs(R.cells.row_of) do
    if r == 0 then
      local name = R.contexts[R.cells.context_of[cell]]
      lists[name] = lists[name] or {}
      table.insert(lists[name], cell)
    end
  end
  for name, list in pairs(lists) do out[name] = dense(R.cells.x:index(1, some(list, n or M.most, "control cells"))) end
  return out
end

local how = {
  edistance = function(x, y) return M.edistance(x, y) end,
  edistance_v = function(x, y) return M.edistance(x, y, { form = "v" }) end,
  mmd = function(x, y) return M.mmd(x, y) end,
  wasserstein = function(x, y) return M.wasserstein(x, y) end,
  sliced_wasserstein = function(x, y) return M.sliced_wasserstein(x, y) end,
}

--- A column of evaluate: a distance of predicted and real cells for each row of a block, in 50 components of 2,000 variable
--- genes of control and training cells, at most 300 cells of each, as many real as predicted (status few_cells below two).
--- Where the method predicts means, its cells are the context's control cells, each moved by the predicted change.
---@param b table  block of evaluate
---@param key string  "edistance", "edistance_v", "mmd", "wasserstein", "sliced_wasserstein", "edistance_pearson"
---@return number[] values, table status
function M.column(b, key)
  if key == "edistance_pearson" then return distances_pearson(b) end
  local out, status = {}, {}
  for i = 1, #b.rows do
    local xy = pair(b, i)
    if xy then out[i] = how[key](xy[1], xy[2]) else out[i], status[i] = NAN, "few_cells" end
  end
  return out, status
end

-- ---- which perturbations do anything -----------------------------------------------------

M.schema.responders = {
  rows = { type = "table", item = "integer", min = 1, help = "rows to test; default: all" },
  train = { type = "table", item = "integer", min = 1, 
    help = "rows whose cells the components are learned from beside controls; default: all" },
  cells = { default = 300, type = "integer", min = 2, help = "cells of a side, at most; as many of both" },
}
for k, v in pairs(M.schema.test) do M.schema.responders[k] = v end

--- The E-test of each perturbation against the control cells of its context (Peidli et al. 2024): which perturbations move cells
--- at all. Energy distance in 50 components of 2,000 variable genes, p by permutation of labels, q by BH over the rows tested. A
--- row with fewer than two cells has none. Raises EVALUE: no cells.
---@param R table Responses with cells
---@param opts? table  see populations.schema.responders
---@return table[] { row, perturbation, context, n = cells of a side, edistance, p, q }
function M.responders(R, opts)
  local o = options.check("populations.responders", opts, M.schema.responders)
  if not R.cells then err.raise { code = "EVALUE", file = R.file, message = "populations.responders: the data have no cells" } end
  local all = every(#R.rows)
  local axes, lists, out, p = components(R, o.train or all), {}, {}, {}
  for cell, r in ipairs(R.cells.row_of) do
    local key = r > 0 and r or -R.cells.context_of[cell]
    lists[key] = lists[key] or {}
    table.insert(lists[key], cell)
  end
  for k, i in ipairs(o.rows or all) do
    local row = R.rows[i]
    local own, control = lists[i] or {}, lists[-R:control_index(row.context)] or {}
    local n = math.min(o.cells, #own, #control)
    local t = { row = i, perturbation = row.perturbation, context = row.context, n = n }
    if n >= 2 then
      local function take(list, purpose) return dense(R.cells.x:index(1, some(list, n, purpose))):matmul(axes) end
      local r = M.test(take(own, "real cells"), take(control, "control cells"), { draws = o.draws, seed = o.seed })
      t.edistance, t.p = r.value, r.p
    end
    out[k], p[k] = t, t.p or 0 / 0
  end
  for k, q in ipairs(#p > 0 and core.bh(core.tensor(p, "double")):totable() or {}) do out[k].q = out[k].p and q or nil end
  return out
end

return M
