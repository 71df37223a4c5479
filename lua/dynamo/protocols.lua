--- The protocols that every release reports, P1 to P5: which experiments a data set calls for, and why one does not apply.
--
-- A data set here is { name, R = Responses, singles = Responses of singles, embeddings = { { name, recipe = built, from = recipe } },
-- graph, model }
-- as dynamo.benchmark prepares it. A protocol turns it into cells: { id, protocol, title, experiment = function() or
-- comparison = function(), missing = { { model, reason } } }, or { id, protocol, title, reason } where it does not apply.
local baseline = require "dynamo.baseline"
local compare = require "dynamo.compare"
local embed = require "dynamo.embed"
local experiment = require "dynamo.experiment"
local label = require "dynamo.label"
local model = require "dynamo.model"
local recipe = require "dynamo.recipe"
local release = require "dynamo.release"
local split = require "dynamo.split"

local M = {}

--- What each protocol asks.
M.questions = {
  P1 = "genes that nobody perturbed, in a cell line that was screened",
  P2 = "another cell line, of which only unperturbed cells were seen, without retraining",
  P3 = "combinations, by how many of their genes were seen",
  P4 = "which embedding of genes helps, against random and permuted ones",
  P5 = "what each part of the model contributes",
}

local FEW = 40 -- fewer perturbed genes than this, and half of them are tested in a new cell line instead of a quarter

-- ---- rows of every table -------------------------------------------------------------------

local function with(options, more)
  local out = {}
  for _, t in ipairs { options or {}, more } do
    for k, v in pairs(t) do out[k] = v end
  end
  return out
end

-- Peers that learn from single cells; { name, recipe or nil, reason it cannot run here }.
local function peers(set, o)
  local R, list = set.R, {}
  local why = R.kind == "label" and "predicts expression, the data has labels"
    or not R.cells and "learns from single cells, the file has one profile per perturbation" or nil
  local function peer(name, options)
    if baseline[name] then list[#list + 1] = { name = name, recipe = not why and baseline[name](options) or nil, reason = why } end
  end
  if o.peers then
    peer("latent_additive", o.peer_options.latent_additive)
    for _, name in ipairs { "scgen_mean", "scgen_knn", "scgen_zero" } do
      for _, how in ipairs { "raw", "residual" } do peer(name, with(o.peer_options.scgen, { reconstruction = how })) end
    end
    for _, name in ipairs { "gears", "gears_faithful" } do peer(name, with(o.peer_options.gears, { graph = set.graph })) end
  end
  return list
end

-- Baselines beyond those that every experiment has, and the rows that cannot be there; ablations go without peers.
local function more_rows(set, o, with_peers)
  local list, missing = {}, {}
  if set.R.kind ~= "label" then
    list[1] = baseline.ridge { embedding = embed.random { dim = 128 } }
    list[2] = baseline.kernel_ridge {}
  end
  for _, p in ipairs(with_peers and peers(set, o) or {}) do
    if p.recipe then list[#list + 1] = p.recipe else missing[#missing + 1] = { model = p.name, reason = p.reason } end
  end
  return list, missing
end

-- What the experiments of a data set share.
local function common(set, o, t)
  t.baselines, t.seeds, t.draws, t.report = more_rows(set, o, not t.ablate), o.seeds, o.draws, o.report
  t.embedding, t.graph = set.embeddings[1].recipe, set.graph
  t.model, t.metrics = t.model or set.model, release.keys(t.data)
  t.train = o.train
  return experiment.experiment(t)
end

local function cell(set, o, protocol, suffix, title, options)
  local id = ("%s-%s%s"):format(protocol, set.name, suffix and "-" .. suffix or "")
  local c = { id = id, protocol = protocol, set = set.name, title = title }
  if type(options) == "string" then
    c.reason = options
    return c
  end
  c.missing = select(2, more_rows(set, o, not options.ablate))
  function c.experiment()
    options.name, options.question = id, title
    return common(set, o, options)
  end
  return c
end

-- ---- P1, P2, P3 ----------------------------------------------------------------------------------

-- The published split where the file has one, else a quarter of the genes.
local function unseen(set)
  for _, row in ipairs(set.R.rows) do
    if row.part == "test" then return split.column { validate = 0 }, "the split of the file" end
  end
  return split.unseen_genes { test = 0.25, validate = 0 }, "a quarter of the genes held out"
end

local function p1(set, o)
  local S, how = unseen(set)
  local few = #set.singles:targets() < 8 and ("%d perturbed genes, 8 needed"):format(#set.singles:targets()) or nil
  return { cell(set, o, "P1", nil, ("unseen genes, %s: %s"):format(set.name, how), few or { data = set.singles, split = S }) }
end

-- Perturbations of a context that another context has too.
local function shared(R, context)
  local elsewhere, n = {}, 0
  for _, row in ipairs(R.rows) do
    if row.context ~= context then elsewhere[row.perturbation] = true end
  end
  for _, row in ipairs(R.rows) do
    if row.context == context and elsewhere[row.perturbation] then n = n + 1 end
  end
  return n
end

local function p2_cell(set, o, context)
  local R = set.singles
  local n = shared(R, context)
  local title = ("transfer to %s, %s"):format(context, set.name)
  if n < 5 then
    return cell(set, o, "P2", context, title, ("%s shares %d perturbations with the other cell lines, 5 needed"):format(context, n))
  end
  local portion = #R:targets() < FEW and 0.5 or 0.25
  title = title .. (": %s of the genes unseen in every line"):format(portion == 0.5 and "half" or "a quarter")
  return cell(set, o, "P2", context, title, { data = R,
    split = split.contexts { test = context, unseen = portion, validate = 0 } })
end

local function p2(set, o)
  local R, out = set.singles, {}
  if #R.contexts < 2 then return { cell(set, o, "P2", nil, "transfer, " .. set.name, "the data has one cell line") } end
  for _, context in ipairs(R.contexts) do
    if not next(o.contexts) or o.contexts[context] then out[#out + 1] = p2_cell(set, o, context) end
  end
  return out
end

local function combinations(R)
  local seen = {}
  for _, row in ipairs(R.rows) do
    if #row.targets > 1 then seen[row.perturbation] = true end
  end
  return #label.sorted_keys(seen)
end

local function p3(set, o)
  local n = combinations(set.R)
  if n < 5 then
    return { cell(set, o, "P3", nil, "combinations, " .. set.name, n == 0 and "the data has no combinations"
      or ("the data has %d combinations, 5 needed"):format(n)) }
  end
  return {
    cell(set, o, "P3", "seen", ("combinations of singles that were all measured, %s"):format(set.name),
      { data = set.R, split = split.combinations { singles = "all", validate = 0 } }),
    cell(set, o, "P3", "unseen", ("combinations by 0, 1, 2 genes seen, %s"):format(set.name),
      { data = set.R, split = split.combinations { validate = 0 } }),
  }
end

-- ---- P4, P5 -----------------------------------------------------------------------------------------

local function p4(set, o)
  local c = { id = "P4-" .. set.name, protocol = "P4", set = set.name, title = "embeddings, " .. set.name }
  if #set.singles:targets() < 8 then
    c.reason = ("%d perturbed genes, 8 needed"):format(#set.singles:targets())
    return { c }
  end
  function c.comparison()
    local list = {}
    for _, e in ipairs(set.embeddings) do list[e.name] = e.from end
    return compare.compare { name = c.id, question = c.title, data = set.singles, embeddings = list, split = (unseen(set)),
      model = recipe.with(set.model, { members = math.min(set.model.options.members, 2) }), train = o.train, seeds = o.seeds,
      draws = o.draws, sets = set.sets, report = o.report }
  end
  return { c }
end

-- Each changes one thing of the model; combinations and cells only where the data has them.
local function ablations(set, o)
  local main = set.model.options
  local t = { rank = { 0, main.rank > 2 and 2 or 8 }, form = { "exponential" }, learnable = { false }, direct = { false },
    noise = { 0 }, dropout = { 0 }, anchor = { main.anchor == "knn" and "mean" or "knn" } }
  if combinations(set.R) > 0 then t.combine = { "additive", "product", "generator" } end
  if set.R.cells then t.cells = { 0 } end
  t.model = { model.mlp { members = main.members }, recipe.with(set.model, { embedding = embed.random { dim = 128 }, learnable = false }) }
  return o.quick and { rank = { 0 }, learnable = { false } } or t
end

local function p5(set, o)
  local S, data = nil, set.singles
  if combinations(set.R) >= 5 then
    S, data = split.combinations { validate = 0 }, set.R
  elseif #set.singles:targets() < 8 then
    return { cell(set, o, "P5", nil, "ablations, " .. set.name, ("%d perturbed genes, 8 needed"):format(#set.singles:targets())) }
  else
    S = unseen(set)
  end
  local small = recipe.with(set.model, { members = math.min(set.model.options.members, 2) })
  return { cell(set, o, "P5", nil, "ablations, " .. set.name, { data = data, split = S, model = small,
    ablate = ablations({ R = data, model = small }, o) }) }
end

local PROTOCOLS = { P1 = p1, P2 = p2, P3 = p3, P4 = p4, P5 = p5 }

--- The cells of a protocol on a data set.
---@param name string  "P1" .. "P5"
---@param set table
---@param o table  options of dynamo.benchmark, `contexts` as a set (empty: all)
---@return table[]
function M.cells(name, set, o) return PROTOCOLS[name](set, o) end

--- The names of the protocols, in order.
M.names = label.sorted_keys(PROTOCOLS)

return M
