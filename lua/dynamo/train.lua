--- Training of one response model: the loop over epochs and batches, the same for operators and the direct MLP.
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}

-- Steps from one look at cells to the next: states cost ten times what means cost.
local EVERY = 4

-- Streams for one purpose of one seed: integers that differ from all others.
local function stream(seed, k) return (seed % 2 ^ 20) * 2 ^ 32 + k end

local function part(t, list) return t and t:index(1, list) or nil end

-- The rows `list` of a set { genes = {...}, target, mask, weight }.
local function batch(set, list)
  local genes = {}
  for i, k in ipairs(list) do genes[i] = set.genes[k] end
  return { features = set.features, own = set.own, genes = genes },
    { target = part(set.target, list), mask = part(set.mask, list), weight = part(set.weight, list),
      decoder = set.decoder }
end

--- `count` of the cells in `list`, from place `from` of a random order, round and round.
local function take(out, list, order, from, count)
  for k = 0, count - 1 do out[#out + 1] = list[order[(from + k) % #order + 1]] end
end

-- Cells before and after for the singles of a batch, drawn anew in every step: l.before, l.after (n, count, latent).
local function draw_cells(l, set, batch_list, seed)
  local cells, list = set.cells, {}
  for _, k in ipairs(batch_list) do
    if #set.genes[k] == 1 then list[#list + 1] = k end
  end
  local n, d = #list, cells.control:size(2)
  if n == 0 then return end
  local all = {}
  for i = 1, cells.control:size(1) do all[i] = i end
  local order = core.permutation(#all, seed, "cells before")
  local before, after = {}, {}
  for i, k in ipairs(list) do
    local own = cells.of_row[k]
    if #own == 0 then return end
    take(before, all, order, (i - 1) * cells.count, cells.count)
    take(after, own, core.permutation(#own, seed, "cells after " .. k), 0, cells.count)
  end
  l.before = cells.control:index(1, before):reshape(n, cells.count, d)
  l.after = cells.after:index(1, after):reshape(n, cells.count, d)
  l.spread = cells.spread
end

--- Mean squared error on a set without noise; nil if it is empty.
function M.error(params, spec, set)
  if not set or #set.genes == 0 then return nil end
  local all = {}
  for i = 1, #set.genes do all[i] = i end
  local q, l = batch(set, all)
  local y = core.response_predict(params, spec, q)
  local D = spec.genes > 0 and params:view "decoder" or set.decoder
  if D then y = y:matmul(D) end
  local d = (y - l.target):square()
  local w = l.mask
  if l.weight then w = w and w * l.weight or core.zeros(d:size(1), d:size(2)) + l.weight end
  if not w then return d:mean():item() end
  return (d * w):sum():item() / math.max(w:sum():item(), 1e-300)
end

-- The step of one batch; numerical trouble names epoch and batch.
local function step(params, spec, optimiser, set, list, o, at)
  local q, l = batch(set, list)
  l.noise, l.drop, l.seed, l.precision = o.noise, o.dropout, at.seed, o.precision
  if set.cells and at.step % EVERY == 0 then draw_cells(l, set, list, at.seed) end
  local ok, loss = pcall(core.response_loss, params, spec, q, l)
  if not ok then
    if type(loss) == "table" then error(loss, 0) end
    err.raise { code = "ENUMERIC", message = ("epoch %d, batch %d: %s"):format(at.epoch, at.batch, tostring(loss)),
      hint = "a smaller train.lr" }
  end
  optimiser:step(core.schedule("cosine", at.step, { total = at.total, warmup = o.warmup }))
  return loss
end

-- Combinations are few: what all operators share of U and V learns fast, what is particular to a gene slowly.
local function groups(spec, o)
  local g = {}
  if spec.own > 0 then g.own = { lr = o.own_lr } end
  if spec.head == "operator" and spec.rank > 0 then
    g["u.w"], g["v.w"], g["u.b"], g["v.b"] = { lr = 0.1 }, { lr = 0.1 }, { lr = 3 }, { lr = 3 }
  end
  return g
end

--- Train `params` on `set`; the mean loss of each epoch and, if there is a validation set, its error.
---
--- AdamW (Loshchilov and Hutter, 2019) with a cosine schedule over all steps and clipping of the gradient's norm. With
--- `patience` > 0 and a validation set, training stops after that many epochs without improvement and the best
--- parameters are kept. Batches, noise and dropout depend on (seed, step) alone.
---@param params userdata
---@param spec table    what core.response_loss takes
---@param set table     { features, own, genes, target, mask, weight, decoder }
---@param o table       epochs, batch, lr, decay, noise, dropout, clip, warmup, patience, precision
---@param seed integer
---@param more? table   { validate = set, progress = function(done, total, values) }
---@return table curve  { train = {...}, validate = {...} }
function M.run(params, spec, set, o, seed, more)
  more = more or {}
  local n = #set.genes
  local batches = math.max(1, math.ceil(n / o.batch))
  local optimiser_groups = groups(spec, o)
  local optimiser = core.adamw(params, { lr = o.lr, decay = o.decay, clip = o.clip,
    groups = optimiser_groups })
  local curve = { train = {}, validate = {} }
  local best, best_at, kept = math.huge, 0, nil
  for epoch = 1, o.epochs do
    local order, sum = core.permutation(n, stream(seed, epoch), "batches"), 0
    for b = 1, batches do
      local list = {}
      for k = (b - 1) * o.batch + 1, math.min(n, b * o.batch) do list[#list + 1] = order[k] end
      local at = { epoch = epoch, batch = b, step = (epoch - 1) * batches + b, total = o.epochs * batches }
      at.seed = stream(seed, at.step)
      sum = sum + step(params, spec, optimiser, set, list, o, at)
    end
    curve.train[epoch] = sum / batches
    curve.validate[epoch] = M.error(params, spec, more.validate)
    if more.progress then more.progress(epoch, o.epochs, curve) end
    if o.patience > 0 and curve.validate[epoch] then
      if curve.validate[epoch] < best then
        best, best_at, kept = curve.validate[epoch], epoch, params:flat():clone()
      elseif epoch - best_at >= o.patience then
        break
      end
    end
  end
  if kept then params:flat():copy_(kept) end
  return curve
end

return M
