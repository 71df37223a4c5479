--- What GEARS, scGen and the latent additive model share: batches, early stopping, neighbours, files.
local core = require "dynamo.core"
local err = require "dynamo.error"
local json = require "dynamo.json"
local label = require "dynamo.label"
local predictor = require "dynamo.predictor"
local responses = require "dynamo.responses"

local M = {}

--- A stream for one purpose of one seed: an integer that differs from all others.
function M.stream(seed, k) return (seed % 2 ^ 20) * 2 ^ 32 + k end

--- The batches of an epoch: lists of numbers 1 .. n in a random order; `whole` drops the last one if it is short.
---@param n integer
---@param size integer
---@param seed integer
---@param whole? boolean
---@return integer[][]
function M.batches(n, size, seed, whole)
  local order, out = core.permutation(n, seed, "batches"), {}
  for lo = 1, n, size do
    local list = {}
    for k = lo, math.min(n, lo + size - 1) do list[#list + 1] = order[k] end
    if #list == size or #out == 0 or not whole then out[#out + 1] = list end
  end
  return out
end

-- A copy of everything that learns.
local function snapshot(net)
  local s = { flat = net.params:flat():clone(), running = {} }
  for name, r in pairs(net.running or {}) do s.running[name] = { mean = r.mean, var = r.var } end
  return s
end

--- Run epochs, keep the best: step(epoch) trains and gives the mean loss, score(epoch) gives what is to be small, or nil.
---
--- Stops after `patience` epochs without a smaller score (0: never). Without scores the last state is kept.
---@param net table  { params =, running = }
---@param o table  { epochs =, patience = }
---@param step fun(epoch: integer): number
---@param score? fun(epoch: integer): number?
---@param progress? fun(epoch: integer, epochs: integer, loss: number, score: number?)
---@return table curve  { train = {...}, validate = {...} }
function M.train(net, o, step, score, progress)
  local curve, best, at, kept = { train = {}, validate = {} }, math.huge, 0, nil
  for epoch = 1, o.epochs do
    curve.train[epoch] = step(epoch)
    local s = score and score(epoch)
    curve.validate[epoch] = s
    if progress then progress(epoch, o.epochs, curve.train[epoch], s) end
    if s and s < best then
      best, at, kept = s, epoch, snapshot(net)
    elseif s and o.patience > 0 and epoch - at >= o.patience then
      break
    end
  end
  if kept then
    net.params:flat():copy_(kept.flat)
    if net.running then net.running = kept.running end
  end
  return curve
end

--- A loss that is not a number ends the training with the epoch and a hint.
function M.check_loss(name, epoch, loss)
  if loss == loss and loss < math.huge then return loss end
  err.raise { code = "ENUMERIC", message = ("%s: the loss is not finite in epoch %d"):format(name, epoch),
    hint = "a smaller lr" }
end

-- ---- neighbours ----------------------------------------------------------------------------------

--- Weights of genes on training genes as in baseline.knn: max(similarity, 0)^2. Can be written to a file.
---@param e table?  Embedding; nil: nothing is similar
---@param train string[]  the training genes
---@return table
function M.neighbours(e, train)
  return { train = train, lambda = 0.05, has = function(_, g) return e ~= nil and e:has(g) end,
    genes = e and e.genes or {}, weights = function(_, genes)
      if not e or #train == 0 or #genes == 0 then return core.zeros(#genes, #train, "double") end
      return e:similarity(genes, train):to "double":maximum(0):square()
    end }
end

-- The same from the weights that a file has: S (#genes, #train).
local function stored_neighbours(genes, train, S)
  local at = responses.places(genes)
  return { train = train, lambda = 0.05, genes = genes, has = function(_, g) return at[g] ~= nil end,
    weights = function(_, names)
      local out = core.zeros(#names, #train, "double")
      for i, g in ipairs(names) do
        if at[g] and #train > 0 then out:select(1, i):copy_(S:select(1, at[g]):to "double") end
      end
      return out
    end }
end

--- Values of genes from those of the training genes: base + sum w (values - base) / (sum w + lambda); flags "embedding",
--- or "mean" where nothing is similar.
---@param near table  of peer.neighbours
---@param genes string[]
---@param values userdata  Tensor double (#train, k)
---@param base userdata  (k)
---@return userdata, string[]
function M.interpolate(near, genes, values, base)
  local flags = {}
  if #near.train == 0 or #genes == 0 then return predictor.nothing(base)(genes) end
  local w = near:weights(genes)
  local total = w:sum(2)
  for i = 1, #genes do flags[i] = total:get(i) < near.lambda and "mean" or "embedding" end
  return w:matmul(values - base) / (total:reshape(#genes, 1) + near.lambda) + base, flags
end

-- ---- where predictions start -----------------------------------------------------------------------

--- Control cells that predictions start from: contexts that have some, up to `count` of each, mean controls (contexts, G).
---@param name string of the predictor, for the message
---@param R table Responses
---@param set table of cells.of
---@param count integer
---@param seed integer
---@return table { contexts =, controls = list of Tensor (n, G), control = Tensor double (contexts, G) }
function M.starts(name, R, set, count, seed)
  local s, list = { contexts = {}, controls = {} }, {}
  for _, c in ipairs(R.contexts) do
    local own = set.control[c]
    if #own > 0 then
      local order, chosen = core.permutation(#own, seed, "start"), {}
      for k = 1, math.min(count, #own) do chosen[k] = own[order[k]] end
      s.contexts[#s.contexts + 1], s.controls[#s.controls + 1] = c, set.take(chosen)
      list[#list + 1] = R:control_index(c)
    end
  end
  if #list == 0 then err.raise { code = "EVALUE", message = ("baseline.%s: there are no control cells"):format(name) } end
  s.control = R.control:index(1, list)
  return s
end

--- The place of a context among those with controls; EVALUE with its name if it has none.
function M.start_of(self, context)
  for i, c in ipairs(self.contexts) do
    if c == context then return i end
  end
  err.raise { code = "EVALUE", message = ("baseline.%s: no control cells of context '%s'"):format(self.name,
    label.safe(tostring(context))) }
end

--- Changes (n, G) by shifts (n, latent) of the states z of a context's controls: the mean of the decoded cells less the
--- mean control (options.reconstruction "raw") or less the mean of the controls decoded without a shift ("residual").
---@param self table
---@param at integer the context's place
---@param z userdata states of its controls
---@param shifts userdata Tensor double
---@param decode fun(z: userdata): userdata
---@return userdata
function M.decoded(self, at, z, shifts, decode)
  local raw, blocks = self.options.reconstruction == "raw", {}
  local from = raw and self.control:select(1, at) or decode(z):to "double":mean(1)
  for i = 1, shifts:size(1) do
    local x = decode(z + shifts:select(1, i):to "float")
    blocks[i] = (x:to "double":mean(1) - from):reshape(1, #self.genes)
  end
  return core.cat(blocks, 1)
end

-- ---- fitted ones ---------------------------------------------------------------------------------

local class = {}
class.__index = class

--- Changes (#rows, G), double, and a flag per row. Rows: records or, right after fitting, numbers of rows of the data.
---@param rows table
---@return userdata delta, string[] flags
function class:predict(rows)
  local list = {}
  for i, r in ipairs(rows) do
    if type(r) == "string" then r = { perturbation = r } end
    r = predictor.records(self.responses or { rows = {} }, { r })[1]
    r.context = r.context or self.contexts[1]
    list[i] = r
  end
  return predictor.by_context(#self.genes, list, function(context, own) return self.answer(self, context, own) end)
end

--- Write it to a file that dynamo.load reads: everything that predicting needs, no training cells but the controls.
---@param path string
---@param more? table  tables to keep with it, as JSON
function class:save(path, more)
  local t = { strings = {}, lists = { ["genes/symbol"] = self.genes }, tensors = {} }
  local c = { name = self.name, head = self.name, kind = "effect", seed = self.seed, contexts = json.array(self.contexts),
    options = {} }
  for k, v in pairs(self.options) do
    if type(v) ~= "table" and type(v) ~= "userdata" then c.options[k] = v end
  end
  self.pack(self, t, c)
  for k, v in pairs(more or {}) do t.strings[k] = json.encode(v) end
  t.strings.config = json.encode(c)
  core.model_write(path, t)
end

function class:__tostring()
  return ("%s: %d genes, %s"):format(self.name, #self.genes, label.safe(table.concat(self.contexts, ", ")))
end

--- A fitted predictor: name, options, genes, contexts, seed, answer(self, context, rows) -> delta, flags and
--- pack(self, t, c), which puts what it knows into a file.
---@param t table
---@return table
function M.fitted(t) return setmetatable(t, class) end

-- ---- files ---------------------------------------------------------------------------------------

--- Put a network's parameters and running statistics, or neighbours, into the tables of a file.
function M.pack_net(t, at, net)
  t.tensors[at .. "params"] = net.params:flat()
  for name, r in pairs(net.running or {}) do
    t.tensors[at .. "running/" .. name .. "/mean"], t.tensors[at .. "running/" .. name .. "/var"] = r.mean, r.var
  end
end

--- See pack_net.
function M.pack_starts(t, self)
  t.tensors.control = self.control
  for i = 1, #self.contexts do t.tensors["controls/" .. i] = self.controls[i] end
end

--- See pack_net.
function M.pack_neighbours(t, near)
  t.lists["neighbours/train"], t.lists["neighbours/genes"] = near.train, near.genes
  if #near.genes > 0 and #near.train > 0 then
    t.tensors["neighbours/weights"] = near:weights(near.genes):to "float"
  end
end

local function broken(path, format, ...)
  err.raise { code = "EFORMAT", file = path, message = ("%s: " .. format):format(path, ...) }
end

--- A tensor of a file with these sizes and only finite values; EFORMAT otherwise.
function M.tensor(t, name, path, ...)
  local x, want = t.tensors[name], { ... }
  if x == nil then broken(path, "%s is missing; the file is not a whole model", name) end
  local have, same = { x:size() }, true
  same = #have == #want
  for d = 1, #want do same = same and have[d] == want[d] end
  if not same then
    broken(path, "%s is %s, %s expected", name, table.concat(have, "x"), table.concat(want, "x"))
  end
  if x:count() > 0 and x:reshape(1, x:count()):nonfinite() > 0 then broken(path, "%s has values that are not finite", name) end
  return x
end

--- A list of a file; EFORMAT if it is not there.
function M.list(t, name, path)
  return t.lists[name] or broken(path, "%s is missing; the file is not a whole model", name)
end

--- A whole number of the configuration in lo .. hi; EFORMAT otherwise.
function M.integer(c, name, path, lo, hi)
  local v = c[name]
  if type(v) ~= "number" or v % 1 ~= 0 or v < lo or v > hi then broken(path, "config: %s is %s", name, tostring(v)) end
  return v
end

--- Fill a new network from a file.
function M.unpack_net(t, at, net, path)
  net.params:flat():copy_(M.tensor(t, at .. "params", path, net.params:flat():count()):to "float")
  for name, r in pairs(net.running or {}) do
    local m = r.mean:size(1)
    r.mean = M.tensor(t, at .. "running/" .. name .. "/mean", path, m):to "double"
    r.var = M.tensor(t, at .. "running/" .. name .. "/var", path, m):to "double"
  end
  return net
end

--- Controls from a file: controls, control.
function M.unpack_starts(t, contexts, G, path)
  local controls = {}
  for i = 1, #contexts do
    local x = t.tensors["controls/" .. i]
    controls[i] = M.tensor(t, "controls/" .. i, path, x and x:size(1) or 0, G)
  end
  return controls, M.tensor(t, "control", path, #contexts, G)
end

--- Neighbours from a file.
function M.unpack_neighbours(t, path)
  local train, genes = M.list(t, "neighbours/train", path), M.list(t, "neighbours/genes", path)
  local any = #genes > 0 and #train > 0
  return stored_neighbours(genes, train, any and M.tensor(t, "neighbours/weights", path, #genes, #train))
end

return M
