--- GEARS (Roohani, Huang and Leskovec, Nature Biotechnology 2023) as a predictor.
--
--     dynamo.baseline.gears { mode = "faithful" }:fit(env):predict(rows)
--
-- mode "faithful" is the published program with what it does beside its description: the co-expression graph reaches the
-- first cell of a batch only, errors to the fourth power, a direction term without gradient, a learning rate that is
-- halved every epoch, pairs of cells drawn once, the epoch with the smallest error in the 20 most changed genes. "fixed"
-- repairs each of them. A gene outside the perturbation graph is an error there; here it is predicted from its neighbours
-- and flagged, unless fallback = false. A perturbation that cannot be encoded never trains as control.
local core = require "dynamo.core"
local cells = require "dynamo.cells"
local err = require "dynamo.error"
local gears_loss = require "dynamo.gears_loss"
local gears_net = require "dynamo.gears_net"
local graphs = require "dynamo.gears_graph"
local label = require "dynamo.label"
local options = require "dynamo.options"
local peer = require "dynamo.peer"
local predictor = require "dynamo.predictor"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = { schema = {} }

M.schema.gears = {
  mode = { default = "fixed", values = { "fixed", "faithful" }, help = "faithful: as published, with its quirks" },
  graph = { type = "userdata", help = "Graph of perturbed genes; default: Jaccard of the embedding's sets, else the "
    .. "experiment's graph" },
  dim = { default = 64, type = "integer", min = 1, help = "of the vectors of genes" },
  epochs = { default = 20, type = "integer", min = 0, help = "passes over the cells" },
  batch = { default = 32, type = "integer", min = 2, help = "cells in a step" },
  lr = { default = 1e-3, type = "number", min = 0, help = "learning rate of Adam" },
  decay = { default = 5e-4, type = "number", min = 0, help = "weight decay, in the gradient" },
  clip = { default = 1, type = "number", min = 0, help = "largest element of a gradient; 0: any" },
  direction = { default = "auto", values = { "auto", "sign", "tanh", "off" },
    help = "direction term of the loss; auto: sign (without gradient) in faithful mode, else tanh" },
  lambda = { default = 0.1, type = "number", min = 0, help = "weight of the direction term" },
  uncertainty = { default = false, help = "a log variance per gene, and its loss" },
  reg = { default = 1, type = "number", min = 0, help = "weight of the uncertainty's loss" },
  cells_per_perturbation = { default = 0, type = "integer", min = 0, help = "most training cells of each; 0: all" },
  top = { default = 20, type = "integer", min = 1, help = "neighbours of a gene in each graph, beside itself" },
  threshold = { default = 0.4, type = "number", min = 0, max = 1, help = "smallest |correlation| of co-expressed genes" },
  overlap = { default = 0.1, type = "number", min = 0, max = 1, help = "smallest Jaccard index of similar genes" },
  patience = { default = 0, type = "integer", min = 0, help = "epochs without gain on validation before it stops; 0: never" },
  controls = { default = 300, type = "integer", min = 1, help = "cells of a faithful prediction's batch" },
  fallback = { default = true, help = "predict genes outside the graph from neighbours; false: an error that names them" },
  embedding = predictor.embedding_rule,
}

local function fail(format, ...)
  err.raise { code = "EVALUE", message = "baseline.gears: " .. format:format(...) }
end

-- ---- what is trained on -----------------------------------------------------------------

-- The nodes of a list of genes, and the genes that are none.
local function nodes_of(place, targets)
  local nodes, missing = {}, {}
  for _, g in ipairs(targets) do
    if place[g] then nodes[#nodes + 1] = place[g] else missing[#missing + 1] = g end
  end
  return nodes, missing
end

-- Items of training: { cell, row or 0, context, nodes }, and the rows that cannot be encoded.
local function items_of(o, R, set, rows, place, seed)
  local items, out, contexts = {}, {}, {}
  for _, i in ipairs(rows) do
    local r = R.rows[i]
    local nodes, missing = nodes_of(place, r.targets)
    contexts[r.context] = true
    if #missing > 0 then
      out[#out + 1] = i
    else
      for _, cell in ipairs(set.of_row[i]) do items[#items + 1] = { cell, r.perturbation, r.context, nodes } end
    end
  end
  local limit = o.cells_per_perturbation
  for _, c in ipairs(label.sorted_keys(contexts)) do
    local list = set.control[c]
    local order = core.permutation(#list, seed, "gears controls")
    for k = 1, limit > 0 and math.min(limit, #list) or #list do items[#items + 1] = { list[order[k]], "", c, {} } end
  end
  return items, out
end

-- A control cell for every item, drawn at random in its context; controls are their own.
local function pairs_of(items, set, seed)
  local at, out = core.rand(seed, #items, "double"):totable(), {}
  for k, item in ipairs(items) do
    local list = set.control[item[3]]
    if item[2] == "" then
      out[k] = item[1]
    else
      if #list == 0 then fail("there are no control cells of context '%s'", label.safe(item[3])) end
      out[k] = list[math.min(math.floor(at[k] * #list) + 1, #list)]
    end
  end
  return out
end

-- Per perturbation the genes that are not 0 in all of its cells, 1 and 0.
local function masks_of(R, set, rows)
  local out = {}
  for _, i in ipairs(rows) do
    if #set.of_row[i] > 0 then
      local mean = cells.moments(set, set.of_row[i])
      out[R.rows[i].perturbation] = (1 - mean:eq(0)):to "float"
    end
  end
  return out
end

-- ---- which epoch is kept ------------------------------------------------------------------

-- The 20 genes whose t statistic against the controls is largest in size (Welch); without cells those that change most.
local function changed_most(R, set, row)
  local list, r = set.of_row[row], R.rows[row]
  local score = R.delta:select(1, row):abs()
  if list and #list > 1 and #set.control[r.context] > 1 then
    local m1, v1 = cells.moments(set, list)
    local m0, v0 = cells.moments(set, set.control[r.context])
    score = ((m1 - m0) / (v1 / #list + v0 / #set.control[r.context]):sqrt():maximum(1e-12)):abs()
  end
  local order, out = score:argsort(true), {}
  for k = 1, math.min(20, #order) do out[k] = order[k] end
  return out
end

-- score(epoch) on the validation rows that can be encoded; nil without any.
local function scorer(o, R, set, rows, net, place)
  local queries, list, top = {}, {}, {}
  for _, i in ipairs(rows) do
    local nodes, missing = nodes_of(place, R.rows[i].targets)
    if #missing == 0 and #nodes > 0 then queries[#queries + 1], list[#list + 1] = nodes, i end
  end
  if #list == 0 then return nil end
  for k, i in ipairs(list) do top[k] = o.mode == "faithful" and changed_most(R, set, i) end
  local truth = R.delta:index(1, list)
  return function()
    local d, sum = gears_net.predict(net, queries, o.controls):to "double", 0
    for k = 1, #list do
      local p, t = d:select(1, k), truth:select(1, k)
      if top[k] then
        sum = sum + (p:index(1, top[k]) - t:index(1, top[k])):square():mean():item()
      else
        local a, b = p - p:mean(), t - t:mean()
        local length = math.sqrt(a:square():sum():item() * b:square():sum():item())
        sum = sum - (length > 0 and (a * b):sum():item() / length or 0)
      end
    end
    return sum / #list
  end
end

-- ---- training ------------------------------------------------------------------------------

-- One step on the items of a list.
local function step(net, optimiser, job, list, scale)
  local own, before, names, genes, at = {}, {}, {}, {}, {}
  for k, i in ipairs(list) do
    local item = job.items[i]
    own[k], before[k], names[k], genes[k], at[k] = item[1], job.before[i], item[2], item[4], job.context[item[3]]
  end
  local y, weight = job.set.take(own), gears_loss.weights(names, job.masks, net.spec.genes)
  local tape = core.tape()
  local change, pass = gears_net.forward(net, tape, genes)
  job.loss.logvar = pass.logvar
  local loss = gears_loss.loss(change + job.set.take(before), y, weight, job.control:index(1, at), job.loss)
  loss:backward(pass.rules)
  net.params:collect()
  gears_net.learn_statistics(net, pass)
  local value = loss:item()
  tape:close()
  optimiser:step(scale)
  return value
end

local function train(o, net, job, score, seed, progress)
  local optimiser = core.adamw(net.params, { lr = o.lr, decay = 0, l2 = o.decay, bound = o.clip })
  local faithful, steps = o.mode == "faithful", 0
  net.curve = peer.train(net, o, function(epoch)
    if epoch == 1 or not faithful then job.before = pairs_of(job.items, job.set, peer.stream(seed, epoch)) end
    local lists, sum = peer.batches(#job.items, o.batch, peer.stream(seed, epoch), true), 0
    for _, list in ipairs(lists) do
      steps = steps + 1
      local scale = faithful and 0.5 ^ (epoch - 1) or core.schedule("cosine", steps, { total = o.epochs * #lists })
      sum = sum + step(net, optimiser, job, list, scale)
    end
    return peer.check_loss("baseline.gears", epoch, sum / #lists)
  end, score, progress)
end

-- What is trained and judged with: options of the loss by mode.
local function loss_of(o)
  local faithful = o.mode == "faithful"
  local direction = o.direction ~= "auto" and o.direction or faithful and "sign" or "tanh"
  return { exponent = faithful and 4 or 2, direction = direction, lambda = o.lambda, reg = o.reg }
end

-- One network on the training rows in `rows`.
local function fit_one(o, env, rows, graph, seed, progress)
  local R, validate = env.responses, {}
  for _, i in ipairs(rows) do validate[R.rows[i].context] = true end
  local kept = {}
  for _, i in ipairs(env.validate or {}) do
    if validate[R.rows[i].context] then kept[#kept + 1] = i end
  end
  local all = { (table.unpack or unpack)(rows) }
  for _, i in ipairs(kept) do all[#all + 1] = i end
  local set = cells.of(R, all, { limit = o.cells_per_perturbation, seed = seed })
  local items, out = items_of(o, R, set, rows, graph.place, seed)
  if #items < 2 then fail("%d training cells", #items) end
  local faithful = o.mode == "faithful"
  local net = gears_net.new({ genes = #R.genes, nodes = #graph.nodes, dim = o.dim, faithful = faithful,
    uncertainty = o.uncertainty }, { expression = graphs.expression(R, set, rows, o), perturbation = graph.conv }, seed)
  local job = { items = items, set = set, masks = faithful and masks_of(R, set, rows) or {}, loss = loss_of(o),
    control = R.control:to "float", context = responses.places(R.contexts) }
  train(o, net, job, scorer(o, R, set, kept, net, graph.place), seed, progress)
  return net, out
end

-- ---- prediction ----------------------------------------------------------------------------

-- Changes for genes that are no nodes: neighbours among training genes, then in the graph, then the mean.
local function outside(self, net, genes)
  local d, flags = peer.interpolate(self.near, genes, self.measured, self.base)
  for i, g in ipairs(genes) do
    local around = self.around[g]
    if flags[i] == "mean" and around and #around > 0 then
      local queries = {}
      for k, node in ipairs(around) do queries[k] = { node } end
      d:select(1, i):copy_(gears_net.predict(net, queries, self.options.controls):to "double":mean(1))
      flags[i] = "neighbours"
    end
  end
  return d, flags
end

local function refuse(self, missing)
  fail("gene '%s' is not in the perturbation graph%s", label.safe(missing), options.suggestion(missing, self.nodes))
end

local order_of = { mean = 1, neighbours = 2, embedding = 3, seen = 4 }

local function answer(self, context, rows)
  local net, G = self.models[context] or self.models["*"], #self.genes
  local queries, at, lost, lost_at, flags = {}, {}, {}, {}, {}
  for i, r in ipairs(rows) do
    local nodes, missing = nodes_of(self.place, r.targets)
    flags[i] = self.trained[r.perturbation] and "seen" or "embedding"
    if #nodes > 0 then queries[#queries + 1], at[#at + 1] = nodes, i end
    for _, g in ipairs(missing) do
      if self.options.fallback == false then refuse(self, g) end
      lost[#lost + 1], lost_at[#lost_at + 1] = g, i
    end
  end
  local d = core.zeros(#rows, G, "double")
  if #queries > 0 then
    d = core.sparse(#rows, #queries, at, responses.range(#queries)):matmul(
      gears_net.predict(net, queries, self.options.controls):to "double")
  end
  if #lost == 0 then return d, flags end
  local other, fl = outside(self, net, lost)
  for k, i in ipairs(lost_at) do
    if order_of[fl[k]] < order_of[flags[i]] then flags[i] = fl[k] end
  end
  return d + core.sparse(#rows, #lost, lost_at, responses.range(#lost)):matmul(other), flags
end

local function complete(self)
  self.answer, self.pack, self.place = answer, M.pack, responses.places(self.nodes)
  return peer.fitted(self)
end

-- The training rows of every context and, where they are not those of all contexts, of "*": for contexts without any.
local function rows_by_context(R, train)
  local lists, names = {}, {}
  for _, i in ipairs(train) do
    local c = R.rows[i].context
    if not lists[c] then lists[c], names[#names + 1] = {}, c end
    table.insert(lists[c], i)
  end
  table.sort(names)
  if #names > 1 and #names < #R.contexts then lists["*"], names[#names + 1] = train, "*" end
  return lists, names
end

-- Networks by context; "*" answers for all others. And the rows that could not be encoded.
local function networks(self, env, graph)
  local o, seed, models, left_out = self.options, env.seed or 1, {}, {}
  local lists, names = rows_by_context(env.responses, env.train)
  for k, c in ipairs(names) do
    local out
    models[c], out = fit_one(o, env, lists[c], graph, seed % 2 ^ 32 * 100 + k, env.progress and function(epoch, epochs, loss, score)
      env.progress((k - 1) * epochs + epoch, #names * epochs, { loss = loss, validate = score })
    end)
    for _, i in ipairs(c ~= "*" and out or {}) do left_out[#left_out + 1] = i end
  end
  models["*"] = models["*"] or models[names[1]]
  return models, left_out
end

local function fit(self, env)
  local R, o = env.responses, self.options
  if not responses.is(R) then fail("fit expects env.responses") end
  if #env.train == 0 then fail("there are no training rows") end
  local e = predictor.built(o.embedding or env.embedding, env)
  local graph = graphs.perturbation(o, e, env.graph)
  local models, out = networks(self, env, graph)
  local list, genes, trained = {}, {}, {}
  for _, i in ipairs(env.train) do
    local r = R.rows[i]
    trained[r.perturbation] = true
    if #r.targets == 1 then list[#list + 1], genes[#genes + 1] = i, r.targets[1] end
  end
  for _, i in ipairs(out) do trained[R.rows[i].perturbation] = nil end
  local measured = responses.pick(R.delta, list)
  return complete { name = "gears", recipe = self, options = o, genes = R.genes, contexts = R.contexts, responses = R,
    seed = env.seed or 1, models = models, nodes = graph.nodes, around = graph.around, trained = trained,
    left_out = out, near = peer.neighbours(e, genes), measured = measured,
    base = predictor.base_of(R, #list > 0 and measured or responses.pick(R.delta, env.train)) }
end

--- GEARS. Rows of a prediction are flagged "seen" (trained), "embedding" (its graph has the gene), "neighbours" or "mean".
---@param opts? table  see dynamo.gears.schema.gears
---@return table recipe
function M.gears(opts) return recipe.new("predictor", "baseline", "gears", opts, M.schema.gears, { fit = fit }) end

M.schema.gears_faithful = {}
for k, v in pairs(M.schema.gears) do M.schema.gears_faithful[k] = v end
M.schema.gears_faithful.mode = { default = "faithful", values = { "faithful" }, help = "as published, with its quirks" }

--- GEARS as published, with its quirks: gears with mode = "faithful" under a name of its own.
---@param opts? table  those of gears
---@return table recipe
function M.gears_faithful(opts)
  return recipe.new("predictor", "baseline", "gears_faithful", opts, M.schema.gears_faithful, { fit = fit })
end

--- How sure a fitted GEARS with uncertainty = true is: exp(-mean log variance) per row; nil for rows it cannot encode.
---@param fitted table
---@param rows table  perturbations or records
---@return table<integer, number>
function M.certainty(fitted, rows)
  local out = {}
  for i, r in ipairs(rows) do
    local targets = type(r) == "table" and (r.targets or label.targets(r.perturbation)) or label.targets(r)
    local nodes, missing = nodes_of(fitted.place, targets)
    local net = fitted.models[type(r) == "table" and r.context or "*"] or fitted.models["*"]
    if #missing == 0 and #nodes > 0 then
      local _, logvar = gears_net.predict(net, { nodes }, fitted.options.controls)
      if not logvar then fail("it was fitted without uncertainty") end
      out[i] = math.exp(-logvar:mean():item())
    end
  end
  return out
end

-- ---- files ---------------------------------------------------------------------------------

--- Put a fitted GEARS into the tables of a file.
function M.pack(self, t, c)
  local json = require "dynamo.json"
  local names = label.sorted_keys(self.models)
  c.models, c.spec = json.array(names), self.models[names[1]].spec
  c.around, c.controls = self.around, self.options.controls
  t.lists.nodes, t.lists.trained = self.nodes, label.sorted_keys(self.trained)
  t.tensors.measured, t.tensors.base = self.measured, self.base
  graphs.pack(t, "perturbation/", self.models[names[1]].graphs.perturbation)
  for k, name in ipairs(names) do
    peer.pack_net(t, ("net%d/"):format(k), self.models[name])
    graphs.pack(t, ("net%d/expression/"):format(k), self.models[name].graphs.expression)
  end
  peer.pack_neighbours(t, self.near)
end

--- A fitted GEARS from the tables of a file; EFORMAT if they do not fit.
function M.restore(t, c, path)
  local genes, nodes = peer.list(t, "genes/symbol", path), peer.list(t, "nodes", path)
  local s = c.spec or {}
  local spec = { genes = #genes, nodes = #nodes, dim = peer.integer(s, "dim", path, 1, 2 ^ 16),
    faithful = s.faithful == true, uncertainty = s.uncertainty == true }
  local conv, models, trained = graphs.unpack(t, "perturbation/", #nodes, path), {}, {}
  for k, name in ipairs(c.models or {}) do
    local at = ("net%d/"):format(k)
    local net = gears_net.new(spec, { expression = graphs.unpack(t, at .. "expression/", #genes, path),
      perturbation = conv }, 1)
    models[name] = peer.unpack_net(t, at, net, path)
  end
  if not models["*"] then err.raise { code = "EFORMAT", file = path, message = path .. ": there is no network" } end
  for _, p in ipairs(peer.list(t, "trained", path)) do trained[p] = true end
  local near = peer.unpack_neighbours(t, path)
  return complete { name = "gears", options = c.options, genes = genes, contexts = c.contexts, seed = c.seed,
    models = models, nodes = nodes, around = graphs.around(c.around, #nodes, path), trained = trained, near = near,
    measured = peer.tensor(t, "measured", path, #near.train, #genes), base = peer.tensor(t, "base", path, #genes) }
end

return M
