--- The latent additive model, CPA's idea (Lotfollahi et al. 2023) in the form of PerturBench (Wu et al. 2024):
--
--     z = enc(x),  z' = z + sum over genes of pe(u_g),  x' = softplus(dec(z'))
--
-- enc, dec and pe are networks with one hidden layer; x is a random control cell of the same context, x' is compared with
-- perturbed cells by squared error. u_g is the gene's embedding or, as published, one of as many unit vectors as there are
-- training genes: then a gene without training is undefined. It is the operator model with commuting translations alone.
local core = require "dynamo.core"
local cells = require "dynamo.cells"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local peer = require "dynamo.peer"
local predictor = require "dynamo.predictor"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = { schema = {} }

M.schema.latent_additive = {
  input = { default = "embedding", values = { "embedding", "onehot" }, help = "what a gene is; onehot: as published" },
  reconstruction = { default = "raw", values = { "raw", "residual" },
    help = "raw: decoded cells; residual: the control cells plus the difference of decoded cells" },
  hidden = { default = 128, type = "integer", min = 1, help = "units of the hidden layers" },
  latent = { default = 32, type = "integer", min = 1, help = "dimensions of the latent state" },
  epochs = { default = 50, type = "integer", min = 0, help = "passes over the cells" },
  batch = { default = 128, type = "integer", min = 1, help = "cells in a step" },
  lr = { default = 1e-3, type = "number", min = 0, help = "learning rate of Adam, cosine to 0" },
  decay = { default = 0, type = "number", min = 0, help = "weight decay, in the gradient" },
  patience = { default = 0, type = "integer", min = 0, help = "epochs without gain on validation before it stops; 0: never" },
  cells_per_perturbation = { default = 0, type = "integer", min = 0, help = "most training cells of each; 0: all" },
  controls = { default = 300, type = "integer", min = 1, help = "control cells that a prediction starts from" },
  embedding = predictor.embedding_rule,
}

local function fail(format, ...)
  err.raise { code = "EVALUE", message = "baseline.latent_additive: " .. format:format(...) }
end

-- ---- the network ---------------------------------------------------------------------

-- Linear layers in order: name, inputs, outputs.
local function layers(s)
  return { { "enc1", s.genes, s.hidden }, { "enc2", s.hidden, s.latent }, { "pe1", s.input, s.hidden },
    { "pe2", s.hidden, s.latent }, { "dec1", s.latent, s.hidden }, { "dec2", s.hidden, s.genes } }
end

local function new_net(spec, seed)
  local layout = {}
  for _, l in ipairs(layers(spec)) do
    layout[#layout + 1], layout[#layout + 2] = { l[1] .. ".w", l[2], l[3] }, { l[1] .. ".b", l[3] }
  end
  local net = { spec = spec, params = core.params(layout) }
  for i, l in ipairs(layers(spec)) do
    for j, part in ipairs { ".w", ".b" } do
      local view = net.params:view(l[1] .. part)
      view:copy_((core.rand(seed * 1000 + 2 * i + j, view:size()) * 2 - 1) / math.sqrt(l[2]))
    end
  end
  return net
end

-- One of the three networks on the tape.
local function pass(v, name, x)
  local first, second = name .. "1", name .. "2"
  return x:linear(v[first .. ".w"], v[first .. ".b"], "relu"):linear(v[second .. ".w"], v[second .. ".b"])
end

-- The same of tensors.
local function run(net, name, x)
  local p = net.params
  local h = (x:matmul(p:view(name .. "1.w")) + p:view(name .. "1.b")):maximum(0)
  return h:matmul(p:view(name .. "2.w")) + p:view(name .. "2.b")
end

local function decode(net, z) return run(net, "dec", z):softplus() end

-- One step: control cells x, perturbed cells y, features of the distinct genes, and which cell has which.
local function step(net, optimiser, x, y, features, of_cell, of_gene, scale)
  local tape = core.tape()
  local v = net.params:bind(tape)
  local shift = pass(v, "pe", tape:leaf(features)):rows(of_gene):scatter_rows(of_cell, x:size(1))
  local out = pass(v, "dec", pass(v, "enc", tape:leaf(x)) + shift):softplus()
  local loss = out:mse(y)
  loss:backward()
  net.params:collect()
  local value = loss:item()
  tape:close()
  optimiser:step(scale)
  return value
end

-- ---- training ------------------------------------------------------------------------

-- Items { cell, context, places of its genes }; rows with a gene without features are left out and counted.
local function items_of(R, set, rows, place)
  local items, out = {}, {}
  for _, i in ipairs(rows) do
    local r, genes = R.rows[i], {}
    for k, g in ipairs(r.targets) do genes[k] = place[g] end
    if #genes == #r.targets and #genes > 0 then
      for _, cell in ipairs(set.of_row[i]) do items[#items + 1] = { cell, r.context, genes } end
    else
      out[#out + 1] = i
    end
  end
  if #items == 0 then fail("no training cell has a gene that can be encoded (%d rows left out)", #out) end
  return items, out
end

-- The tensors of a batch. `at` are random numbers in 0 .. 1 that choose the controls.
local function batch_of(set, items, list, at)
  local before, after, of_cell, of_gene = {}, {}, {}, {}
  for k, i in ipairs(list) do
    local item = items[i]
    local controls = set.control[item[2]]
    if #controls == 0 then fail("there are no control cells of context '%s'", label.safe(item[2])) end
    before[k], after[k] = controls[math.min(math.floor(at[i] * #controls) + 1, #controls)], item[1]
    for _, g in ipairs(item[3]) do of_cell[#of_cell + 1], of_gene[#of_gene + 1] = k, g end
  end
  return set.take(before), set.take(after), of_cell, of_gene
end

local function train(self, env, set, items, features, seed)
  local o, net = self.options, self.net
  local optimiser = core.adamw(net.params, { lr = o.lr, decay = 0, l2 = o.decay })
  local steps, total = 0, o.epochs * math.ceil(#items / o.batch)
  local score
  if #(env.validate or {}) > 0 then
    local truth = responses.pick(env.responses.delta, env.validate)
    function score() return (self:predict(env.validate) - truth):square():mean():item() end
  end
  net.curve = peer.train(net, o, function(epoch)
    local at, sum = core.rand(peer.stream(seed, epoch), #items, "double"):totable(), 0
    local lists = peer.batches(#items, o.batch, peer.stream(seed, epoch))
    for _, list in ipairs(lists) do
      local x, y, of_cell, of_gene = batch_of(set, items, list, at)
      steps = steps + 1
      sum = sum + step(net, optimiser, x, y, features, of_cell, of_gene, core.schedule("cosine", steps, { total = total }))
    end
    return peer.check_loss("baseline.latent_additive", epoch, sum / #lists)
  end, score, env.progress and function(epoch, epochs, loss, s)
    env.progress(epoch, epochs, { loss = loss, validate = s })
  end)
end

-- ---- prediction ----------------------------------------------------------------------

-- Features of genes, zeros and false where there are none.
local function features_of(self, genes)
  if self.embedding then
    local v, have = predictor.vectors(self.embedding, genes)
    return v:to "float", have
  end
  local rows, have = {}, {}
  for i, g in ipairs(genes) do
    local at = self.place[g]
    if not at then
      fail("gene '%s' was not trained on and one-hot inputs know no other%s", label.safe(g),
        options.suggestion(g, self.trained))
    end
    have[i], rows[i] = true, at
  end
  return core.eye(#self.trained):index(1, rows), have
end

-- Shifts of the latent state; a gene without features has the mean of those of the training genes.
local function shifts_of(self, rows)
  return predictor.from_genes(rows, function(genes)
    local f, have = features_of(self, genes)
    local z, flags = run(self.net, "pe", f):to "double", {}
    local mean = run(self.net, "pe", (features_of(self, self.trained))):to "double":mean(1)
    for i, g in ipairs(genes) do
      flags[i] = self.place[g] and "seen" or have[i] and "embedding" or "mean"
      if not have[i] then z:select(1, i):copy_(mean) end
    end
    return z, flags
  end)
end

local function answer(self, context, rows)
  local at = peer.start_of(self, context)
  local d, flags = shifts_of(self, rows)
  local z = run(self.net, "enc", self.controls[at])
  return peer.decoded(self, at, z, d, function(state) return decode(self.net, state) end), flags
end

local function complete(self)
  self.answer, self.pack = answer, M.pack
  self.place = responses.places(self.trained)
  return peer.fitted(self)
end

local function fit(recipe_, env)
  local R, o, seed = env.responses, recipe_.options, env.seed or 1
  if not responses.is(R) then fail "fit expects env.responses" end
  local e = o.input == "embedding" and predictor.embedding_of("latent_additive", o, env) or nil
  local trained = R:targets(env.train)
  if e then trained = e:coverage(trained).covered end
  local set = cells.of(R, env.train, { limit = o.cells_per_perturbation, seed = seed })
  local items, out = items_of(R, set, env.train, responses.places(trained))
  local s = peer.starts("latent_additive", R, set, o.controls, seed)
  local spec = { genes = #R.genes, hidden = o.hidden, latent = o.latent, input = e and e:dim() or #trained }
  local self = complete { name = "latent_additive", recipe = recipe_, options = o, genes = R.genes, contexts = s.contexts,
    seed = seed, responses = R, embedding = e, trained = trained, left_out = out, controls = s.controls, control = s.control,
    net = new_net(spec, seed) }
  train(self, env, set, items, (features_of(self, trained)), seed)
  return self
end

--- The latent additive model; see the top of dynamo.latent_additive.
---@param opts? table  see dynamo.latent_additive.schema.latent_additive
---@return table recipe
function M.latent_additive(opts)
  return recipe.new("predictor", "baseline", "latent_additive", opts, M.schema.latent_additive, { fit = fit })
end

-- ---- files ---------------------------------------------------------------------------

--- Put a fitted model into the tables of a file.
function M.pack(self, t, c)
  c.spec = self.net.spec
  t.lists.trained = self.trained
  peer.pack_starts(t, self)
  peer.pack_net(t, "net/", self.net)
  if self.embedding then
    t.lists["embedding/genes"], t.tensors["embedding/values"] = self.embedding.genes, self.embedding.values
    t.strings["embedding/source"] = self.embedding.source
  end
end

-- The embedding of a file, or nil.
local function stored_embedding(t, path)
  if not t.lists["embedding/genes"] then return nil end
  local ok, e = pcall(require("dynamo.embedding").new, { genes = t.lists["embedding/genes"],
    values = t.tensors["embedding/values"], source = t.strings["embedding/source"] })
  if not ok then err.raise { code = "EFORMAT", file = path, message = ("%s: %s"):format(path, err.tostring(e)) } end
  return e
end

--- A fitted model from the tables of a file; EFORMAT if they do not fit.
function M.restore(t, c, path)
  local genes, trained = peer.list(t, "genes/symbol", path), peer.list(t, "trained", path)
  local e, s = stored_embedding(t, path), c.spec or {}
  local spec = { genes = #genes, hidden = peer.integer(s, "hidden", path, 1, 2 ^ 20),
    latent = peer.integer(s, "latent", path, 1, 2 ^ 20), input = e and e:dim() or #trained }
  local controls, control = peer.unpack_starts(t, c.contexts, #genes, path)
  return complete { name = "latent_additive", options = c.options, genes = genes, contexts = c.contexts, seed = c.seed,
    embedding = e, trained = trained, controls = controls, control = control,
    net = peer.unpack_net(t, "net/", new_net(spec, 1), path) }
end

return M
