--- What every predictor that is fitted per context shares: training sets, frame, sums over genes, vectors of genes.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = {}

-- ---- training sets --------------------------------------------------------------------

--- Mean of the rows (n, G) with weights (n) or nil over observed entries; label frequencies are smoothed.
function M.base_of(R, Y, W, weight)
  local n = Y:size(1)
  if n == 0 then return core.zeros(#R.genes, "double") end
  if weight then W = (W or core.full(1, n, #R.genes, "double")) * weight:reshape(n, 1) end
  local sum = (W and Y * W or Y):sum(1)
  local count = W and W:sum(1) or n
  if R.kind == "label" then return (sum + 1) / (count + 2) end
  return W and sum / count:maximum(1e-300) or sum / count
end

--- Training rows of a context, or of all others if it has none; with `size` 1 only singles, with 2 only combinations.
function M.pool(env, context, size)
  local R, own, out = env.responses, false, {}
  for _, i in ipairs(env.train) do own = own or R.rows[i].context == context end
  for _, i in ipairs(env.train) do
    local row = R.rows[i]
    local fits = not size or (#row.targets == 1) == (size == 1)
    if fits and (not own or row.context == context) then out[#out + 1] = i end
  end
  return out
end

--- What a context is fitted on: rows, their numbers, base, residuals from it (0 where not observed).
function M.set_of(env, context, size)
  local R, rows = env.responses, M.pool(env, context, size)
  if #rows == 0 and size then rows = M.pool(env, context) end
  local s = { rows = rows, Y = responses.pick(R.delta, rows), W = R.mask and responses.pick(R.mask, rows),
    targets = {}, genes = {} }
  s.base = M.base_of(R, s.Y, s.W)
  s.residual = s.Y - s.base
  if s.W then s.residual = s.residual * s.W end
  for k, i in ipairs(rows) do s.targets[k], s.genes[k] = R.rows[i].targets, R.rows[i].targets[1] end
  s.single = true
  for _, t in ipairs(s.targets) do s.single = s.single and #t == 1 end
  return s
end

--- Singles of a context; combinations are left out of what is fitted per gene (an empty set if there are no singles).
function M.singles_of(env, context)
  local s = M.set_of(env, context, 1)
  if s.single then return s end
  local R = env.responses
  return { rows = {}, genes = {}, targets = {}, base = s.base, single = true, Y = responses.pick(R.delta, {}),
    W = R.mask and responses.pick(R.mask, {}), residual = responses.pick(R.delta, {}) }
end

--- A row repeated n times, (n, G).
function M.repeated(base, n) return core.zeros(n, base:size(1), "double") + base end

-- ---- the frame of every predictor ---------------------------------------------------------

--- The rows of a prediction: records, or indices of the data that were fitted.
function M.records(R, rows)
  local out = {}
  for i, r in ipairs(rows) do
    r = type(r) == "number" and R.rows[r] or r
    local targets = r.targets or label.targets(r.perturbation)
    out[i] = { perturbation = r.perturbation, context = r.context, targets = targets }
  end
  return out
end

local function by_context(rows)
  local lists, order = {}, {}
  for i, r in ipairs(rows) do
    if not lists[r.context] then
      lists[r.context] = {}
      order[#order + 1] = r.context
    end
    table.insert(lists[r.context], i)
  end
  table.sort(order)
  return order, lists
end

--- Predict each context by f(context, its rows) -> (n, G), flags (a list, or one for all); in the order of the rows.
function M.by_context(G, rows, f)
  local blocks, places, flags = {}, {}, {}
  local order, lists = by_context(rows)
  for _, context in ipairs(order) do
    local own = {}
    for k, i in ipairs(lists[context]) do own[k] = rows[i] end
    local d, fl = f(context, own)
    blocks[#blocks + 1], places[#places + 1] = d, lists[context]
    for k, i in ipairs(lists[context]) do flags[i] = type(fl) == "string" and fl or fl[k] end
  end
  return responses.assemble(blocks, places, #rows, G), flags
end

--- A recipe whose `prepare(options, env)` gives f(context, rows) -> delta, flags.
function M.new(module, name, opts, schema, prepare)
  return recipe.new("predictor", module, name, opts, schema, {
    fit = function(self, env)
      if not responses.is(env.responses) then
        err.raise { code = "EVALUE", message = ("%s.%s: fit expects env.responses"):format(module, name) }
      end
      local f = prepare(self.options, env)
      return { name = name, recipe = self, predict = function(_, rows)
        return M.by_context(#env.responses.genes, M.records(env.responses, rows), f)
      end }
    end,
  })
end

--- Results of f(context), computed once.
function M.remembered(f)
  local known = {}
  return function(context)
    known[context] = known[context] or f(context)
    return known[context]
  end
end

-- Flags from the best known to the least.
local RANK = { seen = 1, embedding = 2, neighbours = 3, mean = 4 }

--- The weaker of two flags: a combination is as good as the gene that is known least.
function M.weaker(a, b) return RANK[b] > RANK[a] and b or a end

--- Responses to combinations from those to single genes: single(genes) -> (m, G), flags per gene. `scale(row)` weighs
--- the sum of a row (1 by default).
function M.from_genes(rows, single, scale)
  local seen = {}
  for _, r in ipairs(rows) do
    for _, g in ipairs(r.targets) do seen[g] = true end
  end
  local genes = label.sorted_keys(seen)
  local place, P, flag = responses.places(genes), single(genes)
  local flags, i_list, j_list, weight = {}, {}, {}, {}
  for i, r in ipairs(rows) do
    flags[i], weight[i] = flag[place[r.targets[1]]], { scale and scale(r) or 1 }
    for _, g in ipairs(r.targets) do
      i_list[#i_list + 1], j_list[#j_list + 1] = i, place[g]
      flags[i] = M.weaker(flags[i], flag[place[g]])
    end
  end
  local sum = core.sparse(#rows, #genes, i_list, j_list):matmul(P)
  return scale and sum * core.tensor(weight, "double") or sum, flags
end

-- ---- embeddings -----------------------------------------------------------------------------

M.embedding_rule = { type = "table", help = "an Embedding or a recipe of one; default: that of the experiment" }

--- An Embedding from itself or from a recipe.
function M.built(e, env)
  if type(e) == "table" and e.kind == "embedding" and e.build then
    return e:build { genes = env.responses:targets(), seed = env.seed or 1, progress = env.progress }
  end
  return e
end

--- The embedding of a predictor's options or of the experiment; EOPTION if there is none.
function M.embedding_of(name, o, env)
  local e = M.built(o.embedding or env.embedding, env)
  if not e then err.raise { code = "EOPTION", message = ("baseline.%s: needs an embedding"):format(name) } end
  return e
end

--- Vectors of the genes, Tensor double (n, d), zero rows for those without one; and which have one.
function M.vectors(e, genes)
  local have, places, found = {}, {}, {}
  for i, g in ipairs(genes) do
    have[i] = e:has(g)
    if have[i] then found[#found + 1], places[#places + 1] = g, i end
  end
  if #found == #genes and #genes > 0 then return e:rows(genes):to "double", have end
  local out = core.zeros(#genes, e:dim(), "double")
  if #found > 0 then
    local v = e:rows(found):to "double"
    for k, i in ipairs(places) do out:select(1, i):copy_(v:select(1, k)) end
  end
  return out, have
end

--- How a gene is known: "embedding" (a vector of its own), "neighbours" (one from others), "mean" (nothing).
function M.flag(e, gene)
  if not e:has(gene) then return "mean" end
  return e.origin and e.origin[gene] or "embedding"
end

--- M.flag of each gene.
function M.has_flags(e, genes)
  local out = {}
  for i, g in ipairs(genes) do out[i] = M.flag(e, g) end
  return out
end

--- The answer of a predictor that knows nothing about any gene: base, flag "mean".
function M.nothing(base)
  return function(genes)
    local flags = {}
    for i = 1, #genes do flags[i] = "mean" end
    return M.repeated(base, #genes), flags
  end
end

return M
