--- Baselines: predictors that every table of results holds beside the models.
--
-- `baseline.knn { power = 2 }` is a recipe; `recipe:fit(env)` gives a fitted predictor and `fitted:predict(rows)` gives
-- changes, Tensor double (#rows, G), and a list of flags: "seen" (measured in training), "embedding", "mean" (no
-- information about the gene: the prediction is the training mean).
--
--     env = { responses = R, train = {rows}, validate =, embedding = e, embeddings = {...}, native = {rows}, seed = }
--
-- Every predictor is fitted per context. For a context without training rows it is fitted on the rows of the others:
-- applied there unchanged. The response to a combination is the sum of the responses to its genes. Entries that are not
-- observed count as the gene's own mean. Labels (kind "label") start from the smoothed frequency (k + 1) / (n + 2).
local core = require "dynamo.core"
local err = require "dynamo.error"
local gears = require "dynamo.gears"
local label = require "dynamo.label"
local latent_additive = require "dynamo.latent_additive"
local linear = require "dynamo.linear"
local lines = require "dynamo.lines"
local predictor = require "dynamo.predictor"
local responses = require "dynamo.responses"
local scgen = require "dynamo.scgen"
local similarity = require "dynamo.similarity"

local M = { schema = {} }

local function fail(name, message)
  err.raise { code = "EVALUE", message = ("baseline.%s: %s"):format(name, message) }
end

-- ---- without input --------------------------------------------------------------------------

M.schema.no_change = {}

--- Nothing happens: delta 0. Scores 0 at the control reference, its errors set the scale of relerr.
---@return table recipe
function M.no_change(opts)
  return predictor.new("baseline", "no_change", opts, M.schema.no_change, function(_, env)
    return function(_, rows) return core.zeros(#rows, #env.responses.genes, "double"), "mean" end
  end)
end

M.schema.mean = {
  weight = { default = "one", values = { "one", "cells" }, help = "weight of a training perturbation" },
  with_control = { default = false, help = "the control counts as one perturbation with delta 0" },
  class = { default = false, help = "means of singles for singles, of combinations for combinations" },
}

local function mean_base(o, env, context, size)
  local R, s = env.responses, predictor.set_of(env, context, size)
  local weight
  if o.weight == "cells" and #s.rows > 0 then
    local n = {}
    for k, i in ipairs(s.rows) do n[k] = R.rows[i].n_cells or 1 end
    weight = core.tensor(n, "double")
  end
  local base = predictor.base_of(R, s.Y, s.W, weight)
  return o.with_control and base * (#s.rows / (#s.rows + 1)) or base
end

--- The mean training response of the context: the row to beat first.
---@param opts? table  weight ("one" | "cells"), with_control, class
---@return table recipe
function M.mean(opts)
  return predictor.new("baseline", "mean", opts, M.schema.mean, function(o, env)
    local known = {}
    return function(context, rows)
      local blocks = {}
      for i, r in ipairs(rows) do
        local size = o.class and math.min(#r.targets, 2) or nil
        local key = context .. "\0" .. tostring(size)
        known[key] = known[key] or mean_base(o, env, context, size):reshape(1, #env.responses.genes)
        blocks[i] = known[key]
      end
      return core.cat(blocks, 1), "mean"
    end
  end)
end

M.schema.context_mean = {}

--- The mean of all perturbed cells of the context in training (State): the training mean weighted by cells.
---@return table recipe
function M.context_mean(opts)
  return predictor.new("baseline", "context_mean", opts, M.schema.context_mean, function(_, env)
    local base = predictor.remembered(function(context) return mean_base({ weight = "cells" }, env, context) end)
    return function(context, rows) return predictor.repeated(base(context), #rows), "mean" end
  end)
end

M.schema.shuffled = {}

--- The measured response of a random training perturbation: the right size, the wrong content. Drawn by env.seed.
---@return table recipe
function M.shuffled(opts)
  return predictor.new("baseline", "shuffled", opts, M.schema.shuffled, function(_, env)
    return function(context, rows)
      local list, chosen = predictor.pool(env, context), {}
      if #list == 0 then fail("shuffled", "no training rows") end
      local order = core.permutation(#list, env.seed or 1, "shuffled " .. context)
      for i = 1, #rows do chosen[i] = list[order[(i - 1) % #list + 1]] end
      return env.responses.delta:index(1, chosen), "mean"
    end
  end)
end

-- ---- neighbours -------------------------------------------------------------------------------

M.schema.knn = {
  power = { default = 2, type = "number", min = 0, help = "of the similarity" },
  lambda = { default = 0.05, type = "number", min = 1e-12, help = "shrinks to the mean where few genes are similar" },
  k = { default = 0, type = "integer", min = 0, help = "only the k most similar; 0: all" },
  similarity = { default = "auto", values = { "auto", "annotation", "cosine", "hops", "jaccard", "ppr" },
    help = "auto: annotation if the embedding has sets, else cosine of its vectors; hops, jaccard, ppr: in the graph" },
  embedding = predictor.embedding_rule,
}

-- The k largest of each row of w, the others 0.
local function largest(w, k)
  if k == 0 or k >= w:size(2) then return w end
  local cut = {}
  for i = 1, w:size(1) do
    local row = w:select(1, i)
    cut[i] = { row:get(row:argsort(true)[k]) }
  end
  return w * w:ge(core.tensor(cut, "double"))
end

-- Responses of genes as weighted means of training singles.
local function knn_single(o, e, s)
  return function(genes)
    if #s.rows == 0 or #genes == 0 then return predictor.nothing(s.base)(genes) end
    local w = largest(e:similarity(genes, s.genes):to "double":maximum(0) ^ o.power, o.k)
    local total, flags = w:sum(2), {}
    local below = s.W and w:matmul(s.W) + o.lambda or total:reshape(#genes, 1) + o.lambda
    for i, g in ipairs(genes) do flags[i] = total:get(i) < o.lambda and "mean" or predictor.flag(e, g) end
    return w:matmul(s.residual) / below + s.base, flags
  end
end

-- What the neighbours are asked: the embedding as it is, its vectors or sets alone, or the graph.
local function neighbourhood(name, o, env)
  local kind = o.similarity
  for _, k in ipairs(similarity.kinds) do
    if k == kind then return similarity.new(kind, env.graph) end
  end
  local e = predictor.embedding_of(name, o, env)
  if kind == "annotation" and not e.membership then
    err.raise { code = "EOPTION", message = ("baseline.%s: similarity 'annotation' needs an embedding made from sets")
      :format(name), hint = "dynamo.embed.annotation { sets = \"GO.gmt\" }" }
  end
  if kind == "cosine" then return similarity.cosine(e) end
  return e
end

--- Similarity-weighted neighbours, shrunk to the training mean: ybar + sum w (Y - ybar) / (sum w + lambda) with
--- w = max(similarity, 0)^power over all training singles. Similarity: cosine of set memberships if the embedding has
--- them, else of its vectors. Unobserved entries have no weight. The baseline that most models do not beat.
---@param opts? table  power, lambda, k, similarity, embedding
---@return table recipe
function M.knn(opts)
  return predictor.new("baseline", "knn", opts, M.schema.knn, function(o, env)
    local e = neighbourhood("knn", o, env)
    local single = predictor.remembered(function(context)
      return knn_single(o, e, predictor.singles_of(env, context))
    end)
    return function(context, rows) return predictor.from_genes(rows, single(context)) end
  end)
end

-- ---- combinations -------------------------------------------------------------------------------

M.schema.additive = {
  fallback = { default = "knn", values = { "knn", "mean" }, help = "for a gene without a measured single" },
  scale = { default = 1, type = "number|string",
    help = '1, a number, or "fit": one factor fitted on training combinations' },
  embedding = predictor.embedding_rule,
}

-- Measured training singles; other genes by `other(genes)`.
local function measured(s, other)
  local at = responses.places(s.genes)
  return function(genes)
    local known, known_at, rest, rest_at, flags = {}, {}, {}, {}, {}
    for i, g in ipairs(genes) do
      if at[g] then known[#known + 1], known_at[#known_at + 1], flags[i] = at[g], i, "seen"
      else rest[#rest + 1], rest_at[#rest_at + 1] = g, i end
    end
    local Y = s.W and s.residual + s.base or s.Y
    local P, fl = responses.pick(Y, known), nil
    if #rest == 0 then return P, flags end
    local Q
    Q, fl = other(rest)
    for k, i in ipairs(rest_at) do flags[i] = fl[k] end
    return responses.assemble({ P, Q }, { known_at, rest_at }, #genes, s.base:size(1)), flags
  end
end

local function other_genes(o, env, s)
  local e = o.fallback ~= "mean" and predictor.built(o.embedding or env.embedding, env)
  if e then return knn_single({ power = 2, lambda = 0.05, k = 0 }, e, s) end
  return predictor.nothing(s.base)
end

-- One factor by least squares over training combinations whose genes all have measured singles.
local function fitted_scale(env, context, s, single)
  local R, at, rows = env.responses, responses.places(s.genes), {}
  for _, i in ipairs(predictor.pool(env, context)) do
    local all = #R.rows[i].targets > 1
    for _, g in ipairs(R.rows[i].targets) do all = all and at[g] ~= nil end
    if all then rows[#rows + 1] = i end
  end
  if #rows == 0 then return 1 end
  local sum = predictor.from_genes(predictor.records(R, rows), single)
  local Y = R.delta:index(1, rows)
  return (Y * sum):sum():item() / math.max((sum * sum):sum():item(), 1e-300)
end

--- The sum of the measured responses to the single genes; a gene without one is predicted by `fallback` and flagged.
---@param opts? table  fallback ("knn" | "mean"), scale (1, number, "fit"), embedding
---@return table recipe
function M.additive(opts)
  return predictor.new("baseline", "additive", opts, M.schema.additive, function(o, env)
    local parts = predictor.remembered(function(context)
      local s = predictor.singles_of(env, context)
      local single = measured(s, other_genes(o, env, s))
      return { single = single, scale = o.scale == "fit" and fitted_scale(env, context, s, single) or o.scale }
    end)
    return function(context, rows)
      local p = parts(context)
      if p.scale == 1 then return predictor.from_genes(rows, p.single) end
      return predictor.from_genes(rows, p.single, function(r) return #r.targets > 1 and p.scale or 1 end)
    end
  end)
end

M.schema.matching_mean = {}

--- The mean of the measured responses to the single genes (Systema); a gene without one counts as the cell-weighted
--- mean of all training perturbations.
---@return table recipe
function M.matching_mean(opts)
  return predictor.new("baseline", "matching_mean", opts, M.schema.matching_mean, function(_, env)
    return function(context, rows)
      local base = mean_base({ weight = "cells" }, env, context)
      local single = measured(predictor.singles_of(env, context), predictor.nothing(base))
      return predictor.from_genes(rows, single, function(r) return 1 / #r.targets end)
    end
  end)
end

-- ---- linear models --------------------------------------------------------------------------------

M.schema.ridge = {
  alpha = { default = 3, type = "number", min = 1e-12, help = "penalty" },
  embedding = predictor.embedding_rule,
}

-- Coefficients (q, G) of centred vectors F (n, q): primal or, with fewer rows than columns, dual.
local function ridge_solve(F, Y, alpha)
  local n, q = F:size(1), F:size(2)
  if n < q then return F:t():matmul(core.solve(F:matmul(F:t()) + core.eye(n, "double") * alpha, Y)) end
  return core.solve(F:t():matmul(F) + core.eye(q, "double") * alpha, F:t():matmul(Y))
end

-- The training rows of a set whose gene has a vector.
local function with_vector(e, s)
  local list, genes = {}, {}
  for k, g in ipairs(s.genes) do
    if e:has(g) then list[#list + 1], genes[#genes + 1] = k, g end
  end
  return list, genes
end

local function ridge_single(o, e, s)
  local list, names = with_vector(e, s)
  if #list == 0 then
    return predictor.nothing(s.base)
  end
  local F = predictor.vectors(e, names)
  local centre = F:mean(1)
  local B = ridge_solve(F - centre, s.residual:index(1, list), o.alpha)
  return function(genes)
    local f, have = predictor.vectors(e, genes)
    local flags, there = {}, {}
    for i, g in ipairs(genes) do flags[i], there[i] = predictor.flag(e, g), { have[i] and 1 or 0 } end
    return ((f - centre) * core.tensor(there, "double")):matmul(B) + s.base, flags
  end
end

--- Ridge regression of responses on gene vectors: ybar + (f - fbar) B. A gene without vector gets ybar (flag "mean").
---@param opts? table  alpha, embedding
---@return table recipe
function M.ridge(opts)
  return predictor.new("baseline", "ridge", opts, M.schema.ridge, function(o, env)
    local e = predictor.embedding_of("ridge", o, env)
    local single = predictor.remembered(function(context)
      return ridge_single(o, e, predictor.singles_of(env, context))
    end)
    return function(context, rows) return predictor.from_genes(rows, single(context)) end
  end)
end

M.schema.kernel_ridge = {
  lambda = { default = 1, type = "number", min = 1e-12, help = "penalty" },
  embedding = predictor.embedding_rule,
  embeddings = { type = "table", help = "several Embeddings or recipes: the mean of their kernels" },
}

--- Kernel ridge: ybar + k' (K + lambda I)^-1 (Y - ybar), K the mean of the cosine kernels of the embeddings, not
--- centred.
---@param opts? table  lambda, embedding, embeddings
---@return table recipe
function M.kernel_ridge(opts)
  return predictor.new("baseline", "kernel_ridge", opts, M.schema.kernel_ridge, function(o, env)
    local list = {}
    for i, e in ipairs(o.embeddings or env.embeddings or {}) do list[i] = predictor.built(e, env) end
    if #list == 0 then list[1] = predictor.embedding_of("kernel_ridge", o, env) end
    local function kernel(a, b)
      local K = list[1]:similarity(a, b):to "double"
      for i = 2, #list do K = K + list[i]:similarity(a, b):to "double" end
      return K / #list
    end
    local any = #list == 1 and list[1] or { has = function(_, g)
      for _, e in ipairs(list) do if e:has(g) then return true end end
      return false
    end }
    local fit = predictor.remembered(function(context)
      local s = predictor.singles_of(env, context)
      local n = #s.rows
      local A = n > 0 and core.solve(kernel(s.genes, s.genes) + core.eye(n, "double") * o.lambda, s.residual)
      return function(genes)
        if n == 0 or #genes == 0 then return predictor.nothing(s.base)(genes) end
        return kernel(genes, s.genes):matmul(A) + s.base, predictor.has_flags(any, genes)
      end
    end)
    return function(context, rows) return predictor.from_genes(rows, fit(context)) end
  end)
end

M.schema.linear = linear.schema.linear

--- The bilinear ridge of Ahlmann-Eltze, Huber and Anders (2025); see dynamo.linear.linear.
---@param opts? table  genes, perturbations, from, dim, gene_ridge, perturbation_ridge, control, embedding
---@return table recipe
function M.linear(opts) return linear.linear(opts) end

-- ---- transfer -----------------------------------------------------------------------------------

M.schema.copy = { from = { type = "string", help = "context to copy from; default: the mean of all others" } }

-- The rows in which a perturbation was measured in other contexts.
local function elsewhere(R, perturbation, context, from)
  local out = {}
  for _, c in ipairs(R.contexts) do
    if c ~= context and (not from or c == from) then out[#out + 1] = R:find(c, perturbation) end
  end
  return out
end

--- The same perturbation's measured response in another line, whether or not that line's row trains: what a perfect
--- memory of the other line is worth. Without one: the training mean (flag "mean").
---@param opts? table  from
---@return table recipe
function M.copy(opts)
  return predictor.new("baseline", "copy", opts, M.schema.copy, function(o, env)
    local R = env.responses
    if o.from then R:control_index(o.from) end
    return function(context, rows)
      local blocks, flags = {}, {}
      for i, r in ipairs(rows) do
        local list = elsewhere(R, r.perturbation, context, o.from)
        flags[i] = #list > 0 and "seen" or "mean"
        local W = R.mask and responses.pick(R.mask, list)
        local plain = { kind = "effect", genes = R.genes }
        local d = #list > 0 and predictor.base_of(plain, R.delta:index(1, list), W)
        blocks[i] = (d or predictor.set_of(env, context).base):reshape(1, #R.genes)
      end
      return core.cat(blocks, 1), flags
    end
  end)
end

local wrapped = {
  base = { type = "table", help = "the predictor that is carried over; default: knn" },
  from = { type = "string", help = "context it is fitted in; default: all others" },
}
M.schema.carried, M.schema.template = wrapped, wrapped

-- The training rows that are not of this context (or only those of `from`), with everything else as in env.
local function source_env(env, context, from)
  local train = {}
  for _, i in ipairs(env.train) do
    local c = env.responses.rows[i].context
    if c ~= context and (not from or c == from) then train[#train + 1] = i end
  end
  if #train == 0 then fail("carried", ("no training rows outside context '%s'"):format(label.safe(context))) end
  return setmetatable({ train = train, native = false }, { __index = env })
end

--- A predictor fitted in other contexts and applied unchanged, also where this context has training rows.
---@param opts? table  base (a predictor, default knn), from
---@return table recipe
function M.carried(opts)
  return predictor.new("baseline", "carried", opts, M.schema.carried, function(o, env)
    local fit = predictor.remembered(function(context)
      return (o.base or M.knn()):fit(source_env(env, context, o.from))
    end)
    return function(context, rows) return fit(context):predict(rows) end
  end)
end

--- A predictor fitted in other contexts whose training mean is replaced by this context's: its prediction, less the
--- source mean, plus the mean of the rows of this context in env.native (or env.train). Not zero-shot: it needs the
--- target line's training responses. Raises EVALUE if there are none.
---@param opts? table  base, from
---@return table recipe
function M.template(opts)
  return predictor.new("baseline", "template", opts, M.schema.template, function(o, env)
    local fit = predictor.remembered(function(context)
      local source = source_env(env, context, o.from)
      local own = {}
      for _, list in ipairs { env.native or {}, env.train } do
        for _, i in ipairs(#own == 0 and list or {}) do
          if env.responses.rows[i].context == context then own[#own + 1] = i end
        end
      end
      if #own == 0 then
        fail("template", ("no training rows in context '%s' (env.native)"):format(label.safe(context)))
      end
      local target = setmetatable({ train = own }, { __index = env })
      local shift = predictor.set_of(target, context).base - predictor.set_of(source, context).base
      return { model = (o.base or M.knn()):fit(source), shift = shift }
    end)
    return function(context, rows)
      local p = fit(context)
      local d, flags = p.model:predict(rows)
      return d + p.shift, flags
    end
  end)
end

--- TxPert's general baseline: the perturbation's own mean response over the training lines, else the lines' mean; see
--- dynamo.lines.general.
---@return table recipe
function M.general(opts) return lines.general(opts) end

--- State's perturbation mean: the response averaged over cell lines, 0 if never seen; see dynamo.lines.perturb_mean.
---@return table recipe
function M.perturb_mean(opts) return lines.perturb_mean(opts) end

--- The direct network on states and embeddings: dynamo.model.mlp, the ablation of the operators.
---@param opts? table  see dynamo.model.schema.mlp
---@return table recipe
function M.mlp(opts) return require("dynamo.model").mlp(opts) end

--- The direct network on embeddings alone: dynamo.model.mlp_delta.
---@param opts? table  see dynamo.model.schema.mlp_delta
---@return table recipe
function M.mlp_delta(opts) return require("dynamo.model").mlp_delta(opts) end

-- ---- peers ------------------------------------------------------------------------------------------

--- scGen, a variational autoencoder of cells with shifts of its latent state; see dynamo.scgen.scgen.
---@param opts? table  see dynamo.scgen.schema.scgen
---@return table recipe
function M.scgen(opts) return scgen.scgen(opts) end

--- GEARS, faithful or fixed; see dynamo.gears.gears.
---@param opts? table  see dynamo.gears.schema.gears
---@return table recipe
function M.gears(opts) return gears.gears(opts) end

--- GEARS as published; see dynamo.gears.gears_faithful.
---@param opts? table  those of gears
---@return table recipe
function M.gears_faithful(opts) return gears.gears_faithful(opts) end

--- scGen, unseen perturbations by the mean shift; see dynamo.scgen.scgen_mean.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_mean(opts) return scgen.scgen_mean(opts) end

--- scGen, unseen perturbations by similar genes; see dynamo.scgen.scgen_knn.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_knn(opts) return scgen.scgen_knn(opts) end

--- scGen, unseen perturbations not shifted; see dynamo.scgen.scgen_zero.
---@param opts? table  those of scgen
---@return table recipe
function M.scgen_zero(opts) return scgen.scgen_zero(opts) end

--- The latent additive model, as CPA adds what perturbations do to the state of cells; see
--- dynamo.latent_additive.latent_additive.
---@param opts? table  see dynamo.latent_additive.schema.latent_additive
---@return table recipe
function M.latent_additive(opts) return latent_additive.latent_additive(opts) end

for _, module in ipairs { gears, scgen } do
  for name, schema in pairs(module.schema) do M.schema[name] = schema end
end
M.schema.latent_additive = latent_additive.schema.latent_additive

M.schema.general, M.schema.perturb_mean = lines.schema.general, lines.schema.perturb_mean

-- ---- controls of the embedding --------------------------------------------------------------------

local shaken = {
  base = { type = "table", help = "the predictor that is given the other embedding; default: ridge" },
  embedding = predictor.embedding_rule,
}
M.schema.random, M.schema.permuted = shaken, shaken

-- A predictor with another embedding, made of the experiment's by change(e, genes, seed).
local function with_embedding(name, opts, change)
  return predictor.new("baseline", name, opts, M.schema[name], function(o, env)
    local e = predictor.embedding_of(name, o, env)
    local other = setmetatable({ embedding = change(e, env) }, { __index = env })
    local model = (o.base or M.ridge()):fit(other)
    return function(_, rows) return model:predict(rows) end
  end)
end

--- A predictor (ridge, unless `base` says another) with a random embedding of the same width on the same genes: N(0, 1/q)
--- entries fixed per gene by the seed and its name.
---@param opts? table  base, embedding
---@return table recipe
function M.random(opts)
  return with_embedding("random", opts, function(e, env)
    return require("dynamo.embed").random(e.genes, { dim = e:dim(), seed = env.seed or 1 })
  end)
end

--- A predictor (ridge, unless `base` says another) with the real embedding under permuted gene names: the same spectrum,
--- no information about genes. The fairer control.
---@param opts? table  base, embedding
---@return table recipe
function M.permuted(opts)
  return with_embedding("permuted", opts, function(e, env) return e:permuted(env.seed or 1) end)
end

-- ---- which of them a table holds --------------------------------------------------------------------

--- The baselines that a table holds without being asked: a list of recipes for data with or without combinations,
--- an embedding, another context.
---@param t? table  { combinations = boolean, embedding = boolean, transfer = boolean, labels = boolean }
---@return table[]
function M.standard(t)
  t = t or {}
  local out = { M.no_change(), M.mean() }
  if t.combinations then
    out[#out + 1] = M.additive()
    out[#out + 1] = M.matching_mean()
  end
  if not t.labels then out[#out + 1] = M.linear() end
  if t.embedding then
    out[#out + 1] = M.knn()
    out[#out + 1] = M.ridge()
  end
  if t.transfer then out[#out + 1] = M.copy() end
  return out
end

return M
