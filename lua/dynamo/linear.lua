--- The bilinear ridge baseline: genes times perturbations, both in a few dimensions.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local predictor = require "dynamo.predictor"
local responses = require "dynamo.responses"

local M = { schema = {} }

M.schema.linear = {
  genes = { default = "training", values = { "training", "identity" }, help = "G: scores of genes, or none" },
  perturbations = { default = "training", values = { "training", "embedding", "other" },
    help = "P: rows of G, an embedding, or principal components of all profiles of another line" },
  from = { type = "string", help = "the other line; default: the first context but the row's own" },
  dim = { default = 10, type = "integer", min = 1, help = "of G" },
  gene_ridge = { default = 0.1, type = "number", min = 1e-12, help = "lambda_G: shrinks along genes" },
  perturbation_ridge = { default = 0.1, type = "number", min = 1e-12, help = "lambda_P: shrinks along perturbations" },
  control = { default = true, help = "the control is one of the training conditions" },
  embedding = predictor.embedding_rule,
}

-- Leading `dim` gene scores (G, dim) of the training profiles, each profile centred over genes: U S of their SVD.
local function gene_scores(env, context, s, dim, control)
  local R = env.responses
  local c = R.control:index(1, { responses.places(R.contexts)[context] or R:control_index(R.rows[s.rows[1]].context) })
  local X = (s.residual + s.base) + c
  if control then X = core.cat({ X, c }, 1) end
  X = X - X:mean(2):reshape(X:size(1), 1)
  local _, V = core.eigh(X:matmul(X:t())) -- ascending; X' v = u s
  local n, k = X:size(1), math.min(dim, X:size(1))
  local order = {}
  for i = 1, k do order[i] = n + 1 - i end
  return X:t():matmul(V:index(2, order))
end

--- The map from vectors p (m, q) to delta - b (m, G): W = (Z'Z + lg)^-1 Z' (Y - b)' P (P'P + lp)^-1.
---@param Z userdata? gene scores (G, K); nil: the identity
---@param P userdata vectors of the training perturbations (n, q)
---@param Y userdata their changes (n, G)
---@param b userdata centre (G)
---@param lg number penalty along genes
---@param lp number penalty along perturbations
---@return fun(p: userdata): userdata
function M.bilinear(Z, P, Y, b, lg, lp)
  local Yc = (Y - b):t()
  local A
  if Z then
    A = core.solve(Z:t():matmul(Z) + core.eye(Z:size(2), "double") * lg, Z:t():matmul(Yc):matmul(P))
  else
    A = Yc:matmul(P) / (1 + lg)
  end
  local W = core.solve(P:t():matmul(P) + core.eye(P:size(2), "double") * lp, A:t()) -- (q, K)
  return function(p) return Z and p:matmul(W):matmul(Z:t()) or p:matmul(W) end
end

-- Vectors of perturbations by their genes, summed; and which have all of them.
local function perturbation_vectors(lookup, list)
  local names = {}
  for _, t in ipairs(list) do
    for _, g in ipairs(t) do names[g] = true end
  end
  names = label.sorted_keys(names)
  local v, have = lookup(names)
  local place, i_list, j_list, all = responses.places(names), {}, {}, {}
  for i, t in ipairs(list) do
    all[i] = true
    for _, g in ipairs(t) do
      i_list[#i_list + 1], j_list[#j_list + 1] = i, place[g]
      all[i] = all[i] and have[place[g]]
    end
  end
  return core.sparse(#list, #names, i_list, j_list):matmul(v), all
end

-- Rows of the gene scores as vectors of the genes that are measured.
local function score_lookup(R, Z)
  local at = responses.places(R.genes)
  local e = {}
  function e:has(g) return at[g] ~= nil end
  function e:dim() return Z:size(2) end
  function e:rows(names)
    local list = {}
    for i, g in ipairs(names) do list[i] = at[g] end
    return Z:index(1, list)
  end
  return e
end

-- The first context but this one that has rows, or that of the options.
local function other_line(o, R, context)
  if o.from then return R.contexts[R:control_index(o.from)] end
  for _, r in ipairs(R.rows) do
    if r.context ~= context then return r.context end
  end
  err.raise { code = "EVALUE", message = ("baseline.linear: perturbations = \"other\" needs a line beside '%s'")
    :format(label.safe(context)) }
end

-- Leading scores of another line's profiles, control included, by perturbation: of all rows, whether they train or not.
local function other_lookup(o, R, context)
  local line = other_line(o, R, context)
  local list = R:where(function(r) return r.context == line and #r.targets == 1 end)
  local X = core.cat({ responses.pick(R.delta, list), core.zeros(1, #R.genes, "double") }, 1)
  X = X - X:mean(1)
  local n = X:size(1)
  local w, V = core.eigh(X:matmul(X:t()))
  local order, at = {}, {}
  for k = 1, math.min(o.dim, n) do order[k] = n + 1 - k end
  for k, i in ipairs(list) do at[R.rows[i].targets[1]] = k end
  local Z = V:index(2, order) * w:index(1, order):maximum(0):sqrt()
  return { has = function(_, g) return at[g] ~= nil end, dim = function() return Z:size(2) end,
    rows = function(_, names)
      local idx = {}
      for i, g in ipairs(names) do idx[i] = at[g] end
      return Z:index(1, idx)
    end }
end

-- Where the vectors of perturbations come from.
local function vectors_of(o, env, context, scores)
  if o.perturbations == "training" then return score_lookup(env.responses, scores) end
  if o.perturbations == "other" then return other_lookup(o, env.responses, context) end
  return predictor.embedding_of("linear", o, env)
end

local function linear_fit(o, env, context)
  local R, s = env.responses, predictor.set_of(env, context)
  if #s.rows == 0 then err.raise { code = "EVALUE", message = "baseline.linear: no training rows" } end
  local needed = o.genes == "training" or o.perturbations == "training"
  local scores = needed and gene_scores(env, context, s, o.dim, o.control)
  local e = vectors_of(o, env, context, scores)
  local function lookup(names) return predictor.vectors(e, names) end
  local P, have = perturbation_vectors(lookup, s.targets)
  local list = {}
  for k = 1, #s.rows do list[#list + 1] = have[k] and k or nil end
  local Y = responses.pick(s.residual, list) + s.base
  local b = #list > 0 and Y:sum(1) / (#list + (o.control and 1 or 0)) or s.base
  local Z = o.genes == "training" and scores or nil
  local f = #list > 0 and M.bilinear(Z, P:index(1, list), Y, b, o.gene_ridge, o.perturbation_ridge)
  return function(rows)
    local targets, there, flags = {}, {}, {}
    for i, r in ipairs(rows) do targets[i] = r.targets end
    local p, all = perturbation_vectors(lookup, targets)
    for i = 1, #rows do flags[i], there[i] = all[i] and "embedding" or "mean", { all[i] and 1 or 0 } end
    if not f then return predictor.repeated(b, #rows), flags end
    return f(p) * core.tensor(there, "double") + b, flags
  end
end

--- The bilinear ridge of Ahlmann-Eltze, Huber and Anders (2025): delta(p) = G W p + b, W = (G'G + lg)^-1 G' Y P (P'P +
--- lp)^-1. By default G are the first ten principal scores of genes over the training profiles and p is the perturbed
--- gene's own row of G; a gene that is not measured gets b (flag "mean"). Combinations: p = p_a + p_b.
---@param opts? table  genes, perturbations, from, dim, gene_ridge, perturbation_ridge, control, embedding
---@return table recipe
function M.linear(opts)
  return predictor.new("baseline", "linear", opts, M.schema.linear, function(o, env)
    local fit = predictor.remembered(function(context) return linear_fit(o, env, context) end)
    return function(context, rows) return fit(context)(rows) end
  end)
end

return M
