--- Models: the Koopman operator model and its ablation, the direct MLP. They are predictors like the baselines.
--
--     local fitted = dynamo.model.koopman { latent = 64, rank = 8 }:fit(env)
--     fitted:predict { { perturbation = "KLF1+MAP2K6", context = "K562" } }
--     fitted:operator("KLF1"):eigenvalues()
--
-- The prediction for genes a, b, ... is  sum of (mean response + direct effects)  +  D' (K_a K_b ... z - z): it starts as
-- the train mean (the additive model for combinations), and the operators, generated from gene embeddings, add what is
-- particular. They are trained per context and applied to other contexts unchanged, on states centred on the controls of
-- those. An ensemble of `members` networks is averaged.
local core = require "dynamo.core"
local direct = require "dynamo.direct"
local err = require "dynamo.error"
local fitted = require "dynamo.fitted"
local label = require "dynamo.label"
local observables = require "dynamo.observables"
local predictor = require "dynamo.predictor"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"
local stream = require "dynamo.stream"
local train = require "dynamo.train"

local M = { schema = {} }

local shared = {
  latent = { default = 64, type = "integer", min = 1, max = 1024, help = "dimensions of the latent state" },
  network = { default = 0, type = "integer", min = 0, max = 512, help = "of which directions of the embedding" },
  hidden = { default = 256, type = "integer", min = 1, max = 8192, help = "hidden units of the generator" },
  depth = { default = 2, type = "integer", min = 1, max = 4, help = "hidden layers of the generator" },
  rank = { default = 8, type = "integer", min = 0, max = 256, help = "of the operators" },
  learnable = { default = true, help = "a learnable part for each gene perturbed in training" },
  direct = { default = true, help = "direct effects on the gene itself and, with a signed graph, on its targets" },
  decoder = { default = "fixed", values = { "fixed", "trained" }, help = "observables stay principal directions, or not" },
  cells = { default = 16, type = "integer", min = 0, max = 1024,
    help = "cells before and after per perturbation and step, where the data has cells: what operators do to states; 0: none" },
  spread = { default = 1, type = "number", min = 0, help = "weight of that (energy distance)" },
  members = { default = 5, type = "integer", min = 1, max = 100, help = "networks in the ensemble" },
  anchor = { default = "auto", values = { "auto", "mean", "knn" },
    help = "what the operators start from; auto: mean for effects, knn for labels" },
  fallback = { default = "neighbours", values = { "neighbours", "mean", "error" },
    help = "for a gene without embedding: neighbours in the graph, the mean response, or an error" },
  embedding = predictor.embedding_rule,
  epochs = { default = 60, type = "integer", min = 0, help = "passes over the training perturbations" },
  batch = { default = 64, type = "integer", min = 1, help = "perturbations in a step" },
  lr = { default = 3e-3, type = "number", min = 0, help = "learning rate of AdamW" },
  own_lr = { default = 30, type = "number", min = 0, help = "factor of it for the learnable parts" },
  decay = { default = 1e-3, type = "number", min = 0, help = "decoupled weight decay" },
  noise = { default = 1, type = "number", min = 0, help = "sd of the noise on embeddings, in units of their sd" },
  dropout = { default = 0.5, type = "number", min = 0, max = 0.99, help = "of hidden units" },
  clip = { default = 1, type = "number", min = 0, help = "largest norm of the gradient; 0: any" },
  warmup = { default = 0, type = "integer", min = 0, help = "steps of linear warm-up" },
  patience = { default = 0, type = "integer", min = 0, help = "epochs without gain on validation before it stops; 0: never" },
  precision = { default = "float", values = { "float", "bf16" },
    help = "of large products in training; bf16 needs a processor with AVX512-BF16 and keeps 8 bits of each factor" },
}

local function with(extra)
  local out = {}
  for k, v in pairs(shared) do out[k] = v end
  for k, v in pairs(extra) do out[k] = v end
  return out
end

M.schema.koopman = with {
  form = { default = "affine", values = { "affine", "exponential" }, help = "I + UV', b or the exponential of it" },
  combine = { default = "symmetric", values = { "symmetric", "product", "generator", "additive" },
    help = "how the operators of a combination act together" },
}
M.schema.mlp, M.schema.mlp_delta = with {}, with {}

-- ---- genes and their features -----------------------------------------------------

-- Rows of unit length: the direction of a vector says what a gene does, its length mostly how often it is annotated.
local function unit_rows(v)
  return v / v:square():sum(2):sqrt():maximum(1e-12):reshape(v:size(1), 1)
end

--- Standardised vectors of genes: centred on the training genes and divided by one standard deviation.
---@return userdata features Tensor float (#genes, d)
---@return string[] flags  "embedding", "neighbours" or "mean" per gene
function M.features(scaling, e, genes, graph)
  local v, have = predictor.vectors(e, genes)
  v = unit_rows(v)
  local flags, blocks = {}, {}
  for i, g in ipairs(genes) do
    flags[i] = predictor.flag(e, g)
    blocks[i] = v:rows(i, i)
    if not have[i] then
      blocks[i] = scaling.centre:reshape(1, v:size(2))
      local near = graph and graph:find(g) and graph:neighbours(g) or {}
      local known = e:coverage(near).covered
      if #known > 0 then
        blocks[i] = unit_rows(e:rows(known):to "double"):mean(1):reshape(1, v:size(2))
        flags[i] = "neighbours"
      end
    end
  end
  if #genes == 0 then return core.zeros(0, v:size(2)), flags end
  return ((core.cat(blocks, 1) - scaling.centre) / scaling.sd):to "float", flags
end

-- The graph that genes without a vector may ask.
local function fallback_graph(o, env) return o.fallback == "neighbours" and env.graph or nil end

local function scaling_of(e, genes)
  local covered = e:coverage(genes).covered
  if #covered == 0 then
    err.raise { code = "EVALUE", message = ("none of the %d perturbed genes has a vector in %s (first: %s)"):format(#genes,
      e.source, table.concat(genes, ", ", 1, math.min(3, #genes))), hint = "other gene names, or another embedding" }
  end
  local v = unit_rows(e:rows(covered):to "double")
  local centre = v:mean(1)
  return { centre = centre, sd = math.max((v - centre):square():mean():sqrt():item(), 1e-12) }
end

-- ---- one context --------------------------------------------------------------------

-- Sparse (rows, genes) with one entry per target of each row.
local function incidence(rows, place)
  local i_list, j_list = {}, {}
  for i, r in ipairs(rows) do
    for _, g in ipairs(r.targets) do i_list[#i_list + 1], j_list[#j_list + 1] = i, place[g] end
  end
  local n = 0
  for _ in pairs(place) do n = n + 1 end
  return core.sparse(#rows, n, i_list, j_list)
end

-- Everything about the training rows of one context that does not depend on a network.
local function prepare(o, env, context)
  local R = env.responses
  local s = predictor.set_of(env, context)
  if #s.rows == 0 then err.raise { code = "EVALUE", message = "model: no training rows for context " .. context } end
  local singles = predictor.singles_of(env, context)
  local m = { context = context, base = #singles.rows > 0 and singles.base or s.base, genes = R:targets(s.rows),
    control = R.control:select(1, R:control_index(R.rows[s.rows[1]].context)), kind = R.kind }
  m.place = responses.places(m.genes)
  local records = predictor.records(R, s.rows)
  local count = {}
  for i, r in ipairs(records) do count[i] = { #r.targets } end
  local k = R.kind == "label" and 1 or core.tensor(count, "double")
  local rest = (s.Y - m.base * k)
  if s.W then rest = rest * s.W end
  m.incidence = incidence(records, m.place)
  m.records, m.rest, m.mask = records, rest, s.W
  m.weight = R.weight and responses.pick(R.weight, s.rows)
  return m, s
end

local function add_direct(o, env, m)
  if not o.direct or m.kind == "label" then return end
  m.regulon = direct.regulon(env.graph, m.genes, env.responses.genes)
  local names, list = {}, {}
  for i, r in ipairs(m.records) do
    if #r.targets == 1 then names[#names + 1], list[#list + 1] = r.targets[1], i end
  end
  if #list == 0 then return end
  local regulon = direct.regulon(env.graph, names, env.responses.genes)
  m.direct = direct.fit(names, env.responses.genes, m.rest:index(1, list), m.control, regulon)
  local effect = direct.effect(m.direct, m.genes, env.responses.genes, m.control, m.regulon)
  m.rest = m.rest - m.incidence:matmul(effect)
  if m.mask then m.rest = m.rest * m.mask end
end

-- What the operators start from instead of the mean: neighbours, each training gene predicted from the others.
local function add_anchor(o, e, m, s)
  local anchor = o.anchor == "auto" and (m.kind == "label" and "knn" or "mean") or o.anchor
  if anchor == "mean" or not s.single then return end
  local w = e:similarity(s.genes, s.genes):to "double":maximum(0):square()
  w = w * (1 - core.eye(#s.genes, "double"))
  m.neighbours = { genes = s.genes, residual = s.residual, W = s.W, lambda = 0.05 }
  local below = s.W and w:matmul(s.W) + 0.05 or w:sum(2):reshape(#s.genes, 1) + 0.05
  m.rest = m.rest - w:matmul(s.residual) / below
  if m.mask then m.rest = m.rest * m.mask end
end

local function basis(o, env, e, m)
  local D, rms = observables.principal(m.rest, o.latent)
  D = observables.with_embedding(D, env.responses.genes, e, o.network)
  if D:size(1) == 0 then
    err.raise { code = "EVALUE", message = ("context %s: the training responses do not differ"):format(m.context) }
  end
  m.D, m.scale = D, rms:count() > 0 and math.max(rms:get(1), 1e-12) or 1
end

local function targets_of(m, o)
  local set = {}
  local weight = m.weight and (m.mask and m.mask * m.weight or m.weight) or m.mask
  if weight or o.decoder == "trained" then
    set.target = (m.rest / m.scale):to "float"
    set.mask = weight and weight:to "float" -- a mask of numbers: how much each entry counts
    if o.decoder == "fixed" then set.decoder = m.D:to "float" end
  else
    set.target = (m.rest:matmul(m.D:t()) / m.scale):to "float"
  end
  return set
end

-- Rows of genes as places in the features, without genes that have no features; all of them gone: no row.
local function usable(records, place, flags)
  local keep, genes = {}, {}
  for i, r in ipairs(records) do
    local list, good = {}, #r.targets > 0
    for k, g in ipairs(r.targets) do list[k] = place[g] end
    if #list == 1 and flags[list[1]] == "mean" then good = false end
    if good then keep[#keep + 1], genes[#genes + 1] = i, list end
  end
  return keep, genes
end

-- What a network is trained or validated on; nil if no row can be predicted from embeddings.
local function learning_set(o, m, features, flags)
  local set = targets_of(m, o)
  local keep, genes = usable(m.records, m.place, flags)
  if #keep == 0 then return nil end
  for _, key in ipairs { "target", "mask" } do set[key] = set[key] and set[key]:index(1, keep) end
  set.features, set.genes, set.rows = features, genes, keep
  return set
end

-- Validation rows in terms of the trained context; nil if there are none that can be predicted from embeddings.
local function validation_set(o, env, e, m, scaling)
  local R, list = env.responses, {}
  for _, i in ipairs(env.validate or {}) do
    if R.rows[i].context == m.context then list[#list + 1] = i end
  end
  if #list == 0 or m.neighbours then return nil end
  local genes = R:targets(list)
  local features, flags = M.features(scaling, e, genes, fallback_graph(o, env))
  local records, place = predictor.records(R, list), responses.places(genes)
  local count = {}
  for i, r in ipairs(records) do count[i] = { #r.targets } end
  local rest = responses.pick(R.delta, list) - m.base * core.tensor(count, "double")
  if m.direct then
    local regulon = direct.regulon(env.graph, genes, R.genes)
    rest = rest - incidence(records, place):matmul(direct.effect(m.direct, genes, R.genes, m.control, regulon))
  end
  local v = { rest = rest, D = m.D, scale = m.scale, records = records, place = place, context = m.context,
    mask = R.mask and responses.pick(R.mask, list) }
  if v.mask then v.rest = v.rest * v.mask end
  return learning_set(o, v, features, flags)
end

-- States (cells, latent) less what is not of the operators, in units of the model.
local function states(m, z, shift) return ((z:to "double" - shift) / m.scale):to "float" end

-- Cells of streamed data are too many for their states to be in memory: so many of a perturbation, chosen by the seed; those
-- that were kept when the responses were computed, so that nothing is read again.
local function some_of(list, most, seed, purpose)
  if #list <= most then return list end
  local out = {}
  for i, k in ipairs(core.permutation(#list, seed, purpose)) do if i <= most then out[i] = list[k] end end
  table.sort(out)
  return out
end
local function fewer(x, control, own, seed)
  local out = {}
  for k, list in ipairs(own) do out[k] = some_of(x:known(list), stream.MOST, seed, "cells of " .. k) end
  return some_of(x:known(control), 16 * stream.MOST, seed, "cells of control"), out
end

-- States of the control cells and of the cells of each training row: what the energy distance compares. nil without.
local function cell_states(o, env, m, s, Y)
  local R = env.responses
  if not R.cells or o.cells < 2 or o.rank == 0 or m.kind == "label" then return nil end
  local at, own, control = {}, {}, {}
  for k, i in ipairs(s.rows) do at[i], own[k] = k, {} end
  local c = R:control_index(R.rows[s.rows[1]].context)
  for cell, row in ipairs(R.cells.row_of) do
    if row == 0 and R.cells.context_of[cell] == c then control[#control + 1] = cell end
    if at[row] then table.insert(own[at[row]], cell) end
  end
  if #control < 2 then return nil end
  if stream.is(R.cells.x) then control, own = fewer(R.cells.x, control, own, env.seed) end
  local mean = m.control:reshape(1, m.D:size(2)):matmul(m.D:t())
  local known = (Y - m.rest):matmul(m.D:t()) + mean -- the mean response and direct effects of each row
  local list, row, lists, before = {}, {}, {}, #control
  for i, cell in ipairs(control) do list[i] = cell end
  for k, cells in ipairs(own) do
    lists[k] = {}
    for _, cell in ipairs(cells) do
      list[#list + 1], row[#row + 1] = cell, k
      lists[k][#lists[k] + 1] = #row
    end
  end
  if #row == 0 then return nil end
  local z = R.cells.x:index(1, list):matmul(m.D:t():to "float") -- one pass over the cells, controls first
  return { control = states(m, z:rows(1, before), mean), after = states(m, z:rows(before + 1, #list), known:index(1, row)),
    of_row = lists, count = o.cells, spread = o.spread }
end

local function spec_of(head, o, m, dim)
  return { head = head, form = o.form or "affine", how = o.combine or "additive", dim = dim, hidden = o.hidden,
    depth = o.depth, latent = m.D:size(1), rank = math.min(o.rank, m.D:size(1)), own = o.learnable and #m.genes or 0,
    genes = o.decoder == "trained" and m.D:size(2) or 0 }
end

local function new_params(spec, m, seed)
  local p = core.params(core.response_layout(spec), "float")
  core.response_init(p, spec, seed)
  if spec.genes > 0 then p:view("decoder"):copy_(m.D) end
  return p
end

-- Fit one context: the networks of the ensemble over one set of observables.
local function fit_context(head, o, env, e, context, report)
  local m, s = prepare(o, env, context)
  m.scaling = scaling_of(e, m.genes)
  add_direct(o, env, m)
  add_anchor(o, e, m, s)
  basis(o, env, e, m)
  local features, flags = M.features(m.scaling, e, m.genes, fallback_graph(o, env))
  m.spec = spec_of(head, o, m, features:size(2))
  local set, own = learning_set(o, m, features, flags), nil
  if not set then
    err.raise { code = "EVALUE", message = ("context %s: no training perturbation has an embedding"):format(context) }
  end
  if o.learnable then
    own = {}
    for i = 1, #m.genes do own[i] = i end
  end
  set.own = own
  set.cells = head == "operator" and cell_states(o, env, m, s, s.Y) or nil
  if set.cells then
    local lists = {}
    for k, i in ipairs(set.rows) do lists[k] = set.cells.of_row[i] end
    set.cells.of_row = lists
  end
  local validate = validation_set(o, env, e, m, m.scaling)
  m.members, m.curves = {}, {}
  for k = 1, o.members do
    local seed = (env.seed or 1) * 1000 + k
    m.members[k] = new_params(m.spec, m, seed)
    m.curves[k] = train.run(m.members[k], m.spec, set, o, seed, { validate = validate, progress = report and
      function(epoch, epochs, curve) report(k, epoch, epochs, curve) end })
  end
  m.records, m.rest, m.mask, m.incidence, m.regulon, m.weight = nil, nil, nil, nil, nil, nil
  return m
end

-- ---- fitting ------------------------------------------------------------------------

local function contexts_of(env)
  local seen = {}
  for _, i in ipairs(env.train) do seen[env.responses.rows[i].context] = true end
  return label.sorted_keys(seen)
end

local function fit(self, head, env)
  if not responses.is(env.responses) then
    err.raise { code = "EVALUE", message = ("model.%s: fit expects env.responses"):format(self.name) }
  end
  local o = self.options
  if o.precision == "bf16" and not core.bf16() then
    err.raise { code = "EOPTION", message = ("model.%s: precision = \"bf16\" needs a processor with AVX512-BF16"):format(self.name),
      hint = "precision = \"float\"" }
  end
  local e = predictor.built(o.embedding or env.embedding, env)
  if not e then err.raise { code = "EOPTION", message = ("model.%s: needs an embedding"):format(self.name) } end
  local names, models = contexts_of(env), {}
  if #names == 0 then err.raise { code = "EVALUE", message = ("model.%s: no training rows"):format(self.name) } end
  local total = #names * o.members * math.max(1, o.epochs)
  for c, context in ipairs(names) do
    local function report(k, epoch, epochs, curve)
      if not env.progress then return end
      local done = ((c - 1) * o.members + k - 1) * epochs + epoch
      env.progress(done, total, { loss = curve.train[epoch], validate = curve.validate[epoch] })
    end
    models[context] = fit_context(head, o, env, e, context, report)
  end
  return fitted.new { name = self.name, head = head, recipe = self, options = o, embedding = e, graph = env.graph,
    genes = env.responses.genes, kind = env.responses.kind, models = models, contexts = names, seed = env.seed or 1,
    control = env.responses.control, control_contexts = env.responses.contexts, units = env.responses.units }
end

--- The operator model: K_p = [[I + U V', b], [0, 1]] generated from the embedding of the perturbed gene.
---
--- Fitted per context on the mean responses of the training perturbations (and combinations); cells, pseudobulks and
--- response tables with missing entries alike. O(epochs n (dim hidden + hidden latent rank)) per member.
---@param opts? table  see dynamo.model.schema.koopman
---@return table recipe
function M.koopman(opts)
  return recipe.new("predictor", "model", "koopman", opts, M.schema.koopman,
    { fit = function(self, env) return fit(self, "operator", env) end })
end

--- The ablation: z' = z + sum of m([z, f_g]) with a two-layer network of as many parameters; all else is shared.
---@param opts? table  see dynamo.model.schema.mlp
---@return table recipe
function M.mlp(opts)
  return recipe.new("predictor", "model", "mlp", opts, M.schema.mlp,
    { fit = function(self, env) return fit(self, "mlp", env) end })
end

--- The ablation without a state: z' = z + sum of m(f_g), a non-linear ridge. Its difference from `mlp` is what the
--- dependence on the state adds. As many parameters as both.
---@param opts? table  see dynamo.model.schema.mlp_delta
---@return table recipe
function M.mlp_delta(opts)
  return recipe.new("predictor", "model", "mlp_delta", opts, M.schema.mlp_delta,
    { fit = function(self, env) return fit(self, "delta", env) end })
end

--- Read a model that `fitted:save` or `dynamo run` wrote.
---@param path string
---@return table fitted
function M.load(path) return fitted.load(path) end

return M
