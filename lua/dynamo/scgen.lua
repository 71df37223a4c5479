--- scGen (Lotfollahi, Wolf and Theis 2019) as a predictor: a perturbation is a shift of the latent state of cells.
--
-- scGen transfers a condition that was seen to other cells. It has no notion of a gene, so that perturbations that were
-- not seen need a rule: the mean of the shifts ("mean"), their mean over similar genes ("knn"), or none ("zero": what is
-- left is the error of reconstruction). The shift of a combination is the sum over its genes unless it was seen.
local core = require "dynamo.core"
local cells = require "dynamo.cells"
local err = require "dynamo.error"
local label = require "dynamo.label"
local peer = require "dynamo.peer"
local predictor = require "dynamo.predictor"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"
local scgen_net = require "dynamo.scgen_net"

local M = { schema = {} }

M.schema.scgen = {
  variant = { default = "mean", values = { "mean", "knn", "zero" }, help = "the shift of a perturbation that was not seen" },
  reconstruction = { default = "raw", values = { "raw", "residual" },
    help = "raw: decoded cells, as published; residual: the control cells plus the difference of decoded cells" },
  hidden = { default = 800, type = "integer", min = 1, help = "units of the hidden layers" },
  latent = { default = 100, type = "integer", min = 1, help = "dimensions of the latent state" },
  dropout = { default = 0.2, type = "number", min = 0, max = 0.99, help = "of hidden units" },
  kl = { default = 5e-5, type = "number", min = 0, help = "weight of the divergence from N(0, I)" },
  epochs = { default = 100, type = "integer", min = 0, help = "passes over the cells" },
  batch = { default = 32, type = "integer", min = 2, help = "cells in a step" },
  lr = { default = 1e-3, type = "number", min = 0, help = "learning rate of Adam" },
  decay = { default = 1e-6, type = "number", min = 0, help = "weight decay, in the gradient" },
  patience = { default = 25, type = "integer", min = 0, help = "epochs without a smaller validation loss; 0: all epochs" },
  holdout = { default = 0.1, type = "number", min = 0, max = 0.9, help = "share of cells for validation" },
  cells_per_perturbation = { default = 0, type = "integer", min = 0, help = "most training cells of each; 0: all" },
  controls = { default = 300, type = "integer", min = 1, help = "control cells that a prediction starts from" },
  embedding = predictor.embedding_rule,
}

local function fail(message) err.raise { code = "EVALUE", message = "baseline.scgen: " .. message } end

-- ---- training ------------------------------------------------------------------------

-- All training cells in a fixed order, and those kept for validation.
local function parts(o, set, rows, contexts, seed)
  local all = {}
  for _, c in ipairs(contexts) do
    for _, cell in ipairs(set.control[c]) do all[#all + 1] = cell end
  end
  for _, i in ipairs(rows) do
    for _, cell in ipairs(set.of_row[i]) do all[#all + 1] = cell end
  end
  local order, hold = core.permutation(#all, seed, "scgen validation"), math.floor(#all * o.holdout)
  local train, validate = {}, {}
  for k, at in ipairs(order) do table.insert(k <= hold and validate or train, all[at]) end
  if #train < 2 then fail(("%d training cells"):format(#train)) end
  return train, validate
end

local function step(net, optimiser, x, seed)
  local tape = core.tape()
  local noise = core.randn(seed, x:size(1), net.spec.latent)
  local ok, loss, pass = pcall(scgen_net.loss, net, tape, x, noise, seed)
  if not ok then
    tape:close()
    error(loss, 0)
  end
  loss:backward()
  net.params:collect()
  scgen_net.learn_statistics(net, pass)
  local value = loss:item()
  tape:close()
  optimiser:step()
  return value
end

local function fit_net(o, set, train, validate, genes, seed, progress)
  local net = scgen_net.new({ genes = genes, hidden = o.hidden, latent = o.latent, dropout = o.dropout, kl = o.kl }, seed)
  local optimiser = core.adamw(net.params, { lr = o.lr, eps = 0.01, decay = 0, l2 = o.decay })
  local x = #validate > 0 and set.take(validate)
  local steps = 0
  net.curve = peer.train(net, o, function(epoch)
    local sum, n = 0, 0
    for _, list in ipairs(peer.batches(#train, o.batch, peer.stream(seed, epoch), false)) do
      if #list > 1 then -- one cell has no variance
        local chosen = {}
        for k, i in ipairs(list) do chosen[k] = train[i] end
        steps = steps + 1
        sum, n = sum + step(net, optimiser, set.take(chosen), peer.stream(seed, steps)), n + 1
      end
    end
    return peer.check_loss("baseline.scgen", epoch, sum / n)
  end, x and function() return scgen_net.error(net, x) end, progress)
  return net
end

-- ---- shifts --------------------------------------------------------------------------

-- `n` of a list drawn with replacement or, if there are enough, without. `tag` tells draws of one seed apart.
local function draw(list, n, seed, tag)
  local out = {}
  if n <= #list then
    local order = core.permutation(#list, seed, "draw " .. tag)
    for k = 1, n do out[k] = list[order[k]] end
    return out
  end
  local at = (core.rand(seed * 64 % 2 ^ 50 + tag, n, "double") * #list):totable()
  for k = 1, n do out[k] = list[math.min(math.floor(at[k]) + 1, #list)] end
  return out
end

-- Contexts balanced by resampling to the largest.
local function balanced(lists, seed, tag)
  local most, out = 0, {}
  for _, list in ipairs(lists) do most = math.max(most, #list) end
  for k, list in ipairs(lists) do
    for _, cell in ipairs(#list == most and list or draw(list, most, seed + k, tag)) do out[#out + 1] = cell end
  end
  return out
end

-- The shift of a perturbation: mean state of its cells less that of controls of the same contexts, equal numbers of both.
local function shift_of(net, R, set, rows, seed)
  local after, before = {}, {}
  for k, i in ipairs(rows) do after[k], before[k] = set.of_row[i], set.control[R.rows[i].context] end
  after, before = balanced(after, seed, 1), balanced(before, seed, 2)
  local n = math.min(#after, #before)
  if n == 0 then return nil end
  local function mean(list, tag)
    return scgen_net.encode(net, set.take(#list == n and list or draw(list, n, seed, tag))):to "double":mean(1)
  end
  return mean(after, 3) - mean(before, 4)
end

-- Shifts of all training perturbations: names, targets, (n, latent).
local function shifts(net, R, set, rows, seed)
  local lists, targets = {}, {}
  for _, i in ipairs(rows) do
    local p = R.rows[i].perturbation
    lists[p] = lists[p] or {}
    table.insert(lists[p], i)
    targets[p] = R.rows[i].targets
  end
  local names, blocks = {}, {}
  for _, p in ipairs(label.sorted_keys(lists)) do
    local d = shift_of(net, R, set, lists[p], peer.stream(seed, #names))
    if d then
      names[#names + 1] = p
      blocks[#blocks + 1] = d:reshape(1, net.spec.latent)
    end
  end
  if #names == 0 then fail "no training perturbation has cells" end
  return names, core.cat(blocks, 1)
end

-- ---- prediction ----------------------------------------------------------------------

-- Shifts of genes that were not seen alone.
local function unseen(self, genes)
  local base = self.shifts:mean(1)
  if self.options.variant == "knn" then return peer.interpolate(self.near, genes, self.singles, base) end
  if self.options.variant == "zero" then base = base * 0 end
  return predictor.nothing(base)(genes)
end

-- Shifts (n, latent) of rows, and flags.
local function shifts_of(self, rows)
  local d, flags = predictor.from_genes(rows, function(genes)
    local rest = {}
    for _, g in ipairs(genes) do
      if not self.place[g] then rest[#rest + 1] = g end
    end
    local other, fl = unseen(self, rest)
    local blocks, out, k = {}, {}, 0
    for i, g in ipairs(genes) do
      local at = self.place[g]
      if not at then k = k + 1 end
      blocks[i], out[i] = at and self.shifts:rows(at, at) or other:rows(k, k), at and "seen" or fl[k]
    end
    return core.cat(blocks, 1), out
  end)
  for i, r in ipairs(rows) do
    local parts_ = { (table.unpack or unpack)(r.targets) }
    table.sort(parts_)
    local at = self.place[r.perturbation] or self.place[table.concat(parts_, "+")]
    if at and #r.targets > 1 then
      d:select(1, i):copy_(self.shifts:select(1, at))
      flags[i] = "seen"
    end
  end
  return d, flags
end

local function answer(self, context, rows)
  local at = peer.start_of(self, context)
  local d, flags = shifts_of(self, rows)
  local z = scgen_net.encode(self.net, self.controls[at])
  return peer.decoded(self, at, z, d, function(state) return scgen_net.decode(self.net, state) end), flags
end

-- What follows from the rest.
local function complete(self)
  self.answer, self.pack = answer, M.pack
  self.place = responses.places(self.perturbations)
  local list = {}
  for k, g in ipairs(self.near.train) do list[k] = self.place[g] end
  self.singles = responses.pick(self.shifts, list)
  return peer.fitted(self)
end

local function fit(self, env)
  local R, o, seed = env.responses, self.options, env.seed or 1
  if not responses.is(R) then fail "fit expects env.responses" end
  local set = cells.of(R, env.train, { limit = o.cells_per_perturbation, seed = seed })
  local start = peer.starts("scgen", R, set, o.controls, seed)
  local train, validate = parts(o, set, env.train, start.contexts, seed)
  local net = fit_net(o, set, train, validate, #R.genes, seed, env.progress and function(epoch, epochs, loss, score)
    env.progress(epoch, epochs, { loss = loss, validate = score })
  end)
  local names, values = shifts(net, R, set, env.train, seed)
  local e = o.variant == "knn" and predictor.embedding_of("scgen", o, env) or nil
  local known = {}
  for _, p in ipairs(names) do
    if #label.targets(p) == 1 then known[#known + 1] = p end
  end
  return complete { name = "scgen", recipe = self, options = o, genes = R.genes, contexts = start.contexts, seed = seed,
    responses = R, net = net, perturbations = names, shifts = values, controls = start.controls,
    control = start.control, near = peer.neighbours(e, known) }
end

--- scGen. `variant` says what a perturbation that was not seen does, `reconstruction` what is compared with the controls.
---@param opts? table  see dynamo.scgen.schema.scgen
---@return table recipe
function M.scgen(opts) return recipe.new("predictor", "baseline", "scgen", opts, M.schema.scgen, { fit = fit }) end

-- The options of scgen with one value of `variant`.
local function of_variant(variant)
  local s = {}
  for k, v in pairs(M.schema.scgen) do s[k] = v end
  s.variant = { default = variant, values = { variant }, help = "the shift of a perturbation that was not seen" }
  return s
end

M.schema.scgen_mean, M.schema.scgen_knn, M.schema.scgen_zero = of_variant "mean", of_variant "knn", of_variant "zero"

local function named(name, opts) return recipe.new("predictor", "baseline", name, opts, M.schema[name], { fit = fit }) end

--- scGen where a perturbation that was not seen shifts as the training perturbations do in the mean.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_mean(opts) return named("scgen_mean", opts) end

--- scGen where a perturbation that was not seen shifts as those of similar genes do.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_knn(opts) return named("scgen_knn", opts) end

--- scGen where a perturbation that was not seen does nothing: what is left is the error of reconstruction.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_zero(opts) return named("scgen_zero", opts) end

-- ---- files ---------------------------------------------------------------------------

--- Put a fitted scGen into the tables of a file.
function M.pack(self, t, c)
  c.spec = self.net.spec
  t.lists.perturbations = self.perturbations
  t.tensors.shifts = self.shifts
  peer.pack_starts(t, self)
  peer.pack_net(t, "net/", self.net)
  peer.pack_neighbours(t, self.near)
end

--- A fitted scGen from the tables of a file; EFORMAT if they do not fit.
function M.restore(t, c, path)
  local genes, s = peer.list(t, "genes/symbol", path), c.spec or {}
  local spec = { genes = #genes, hidden = peer.integer(s, "hidden", path, 1, 2 ^ 20),
    latent = peer.integer(s, "latent", path, 1, 2 ^ 20), dropout = 0, kl = 0 }
  local names = peer.list(t, "perturbations", path)
  local controls, control = peer.unpack_starts(t, c.contexts, #genes, path)
  return complete { name = "scgen", options = c.options, genes = genes, contexts = c.contexts, seed = c.seed,
    net = peer.unpack_net(t, "net/", scgen_net.new(spec, 1), path), perturbations = names, controls = controls,
    shifts = peer.tensor(t, "shifts", path, #names, spec.latent), near = peer.unpack_neighbours(t, path),
    control = control }
end

return M
