--- A fitted model: predict, look at operators, save and load.
local core = require "dynamo.core"
local direct = require "dynamo.direct"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local json = require "dynamo.json"
local label = require "dynamo.label"
local options = require "dynamo.options"
local predictor = require "dynamo.predictor"
local responses = require "dynamo.responses"
local units = require "dynamo.units"

local M = {}

local class = {}
class.__index = class

local function raise(code, message, hint) err.raise { code = code, message = message, hint = hint } end

--- A fitted model from its parts (see dynamo.model).
function M.new(t) return setmetatable(t, class) end

-- ---- the pieces of a prediction ---------------------------------------------------

-- The models that speak for a context: its own, else those of all trained contexts.
local function models_for(self, context)
  if self.models[context] then return { self.models[context] } end
  local out = {}
  for _, name in ipairs(self.contexts) do out[#out + 1] = self.models[name] end
  return out
end

-- Control mean of a context (G): given with the query, known from training, or nil.
local function control_of(self, context, env)
  if env and env.control and env.control[context] then return env.control[context] end
  for i, name in ipairs(self.control_contexts) do
    if name == context then return self.control:select(1, i) end
  end
end

local function genes_of(rows)
  local seen = {}
  for _, r in ipairs(rows) do
    for _, g in ipairs(r.targets) do seen[g] = true end
  end
  return label.sorted_keys(seen)
end

local function queries(self, m, rows)
  local genes = genes_of(rows)
  local features, flags = require("dynamo.model").features(m.scaling, self.embedding, genes,
    self.options.fallback == "neighbours" and self.graph or nil)
  local place, own, lists = responses.places(genes), nil, {}
  if m.spec.own > 0 then
    own = {}
    for i, g in ipairs(genes) do own[i] = m.place[g] or 0 end
  end
  for i, r in ipairs(rows) do
    lists[i] = {}
    for k, g in ipairs(r.targets) do lists[i][k] = place[g] end
  end
  return { features = features, own = own, genes = lists }, genes, flags, place
end

-- How a row was predicted: by all that is weakest among its genes.
local function row_flags(m, rows, flags, place)
  local out = {}
  for i, r in ipairs(rows) do
    out[i] = "seen"
    for _, g in ipairs(r.targets) do
      out[i] = predictor.weaker(out[i], m.spec.own > 0 and m.place[g] and "seen" or flags[place[g]])
    end
  end
  return out
end

-- Rows in which some gene is known by nothing move by nothing: their states count 0.
local function known_rows(m, rows, flags, place)
  local keep = {}
  for i, r in ipairs(rows) do
    local known = false
    for _, g in ipairs(r.targets) do
      known = known or flags[place[g]] ~= "mean" or (m.spec.own > 0 and m.place[g] ~= nil)
    end
    keep[i] = { known and 1 or 0 }
  end
  return core.tensor(keep, "double")
end

-- Mean over the ensemble of the change of state, in units of expression: Tensor double (n, latent).
local function latent(m, q)
  local sum
  for _, p in ipairs(m.members) do
    local y = core.response_predict(p, m.spec, q):to "double"
    sum = sum and sum + y or y
  end
  return sum * (m.scale / #m.members)
end

-- The same over genes, (n, G); a trained decoder belongs to each member.
local function decoded(m, q)
  if m.spec.genes == 0 then return latent(m, q):matmul(m.D) end
  local sum
  for _, p in ipairs(m.members) do
    local y = core.response_predict(p, m.spec, q):matmul(p:view "decoder"):to "double"
    sum = sum and sum + y or y
  end
  return sum * (m.scale / #m.members)
end

local function anchored(self, m, rows)
  if not m.neighbours then return nil end
  local a = m.neighbours
  local out = predictor.from_genes(rows, function(genes)
    -- rounded as in a file, so that a model that was saved predicts the same bytes
    local w = self.embedding:similarity(genes, a.genes):to "float":to "double":maximum(0):square()
    local below = a.W and w:matmul(a.W) + a.lambda or w:sum(2):reshape(#genes, 1) + a.lambda
    return w:matmul(a.residual) / below, predictor.has_flags(self.embedding, genes)
  end)
  return out
end

-- Change of one model for rows of one context.
local function change(self, m, rows, control)
  local q, genes, flags, place = queries(self, m, rows)
  local count, i_list, j_list = {}, {}, {}
  for i, r in ipairs(rows) do
    count[i] = { self.kind == "label" and 1 or #r.targets }
    for _, g in ipairs(r.targets) do i_list[#i_list + 1], j_list[#j_list + 1] = i, place[g] end
  end
  local y = decoded(m, q) * known_rows(m, rows, flags, place) + m.base * core.tensor(count, "double")
  local near = anchored(self, m, rows)
  if near then y = y + near end
  if m.direct then
    local regulon = direct.regulon(self.graph, genes, self.genes)
    local effect = direct.effect(m.direct, genes, self.genes, control or m.control, regulon)
    y = y + core.sparse(#rows, #genes, i_list, j_list):matmul(effect)
  end
  return y, row_flags(m, rows, flags, place)
end

-- log1p expression is never negative: a gene can lose what the control has, not more.
local function floored(y, control, kind)
  if not control or kind == "label" or control:max():item() <= 0 then return y end
  return y:maximum(control * -1)
end

local function predict_context(self, context, rows, env)
  local models, sum, flags = models_for(self, context), nil, nil
  local control = control_of(self, context, env)
  for _, m in ipairs(models) do
    local y, f = change(self, m, rows, control)
    sum, flags = sum and sum + y or y, flags or f
  end
  return floored(sum / #models, control, self.kind), flags
end

local function check_coverage(self, rows, flags)
  if self.options.fallback == "neighbours" then return end
  for i, r in ipairs(rows) do
    if self.options.fallback == "error" and (flags[i] == "mean" or flags[i] == "neighbours") then
      for _, g in ipairs(r.targets) do
        if not self.embedding:has(g) then
          raise("EVALUE", ("gene '%s' has no vector in %s%s"):format(label.safe(g), self.embedding.source,
            options.suggestion(g, self.embedding.genes)), 'fallback = "neighbours" or "mean"')
        end
      end
    end
  end
end

--- Mean changes for perturbations: Tensor double (#rows, G) in the units of training, and how each was predicted: "seen"
--- (its genes were perturbed in training), "embedding", "neighbours" (of the graph), "mean" (nothing is known).
---
--- Rows are { perturbation = "A+B", context = }, or strings; the context defaults to the only trained one. For a context
--- that was not trained, its control mean (env2.control[context]) is all that is used of it.
---@param rows table
---@param env? table  { control = { [context] = Tensor (G) } }
---@return userdata delta, string[] flags
function class:predict(rows, env)
  local list, order, places = {}, {}, {}
  for i, r in ipairs(rows) do
    if type(r) == "string" then r = { perturbation = r } end
    local targets = r.targets or label.targets(r.perturbation)
    list[i] = { perturbation = r.perturbation, targets = targets, context = r.context or self.contexts[1] }
    local c = list[i].context
    if not places[c] then
      places[c], order[#order + 1] = {}, c
    end
    table.insert(places[c], i)
  end
  table.sort(order)
  local blocks, at, flags = {}, {}, {}
  for _, c in ipairs(order) do
    local own = {}
    for k, i in ipairs(places[c]) do own[k] = list[i] end
    local y, f = predict_context(self, c, own, env)
    blocks[#blocks + 1], at[#at + 1] = y, places[c]
    for k, i in ipairs(places[c]) do flags[i] = f[k] end
  end
  check_coverage(self, list, flags)
  return responses.assemble(blocks, at, #list, #self.genes), flags
end

-- ---- cells --------------------------------------------------------------------------

-- States z (n, latent) after the linear parts of a row's operators, in the order given or backwards.
local function through(self, m, p, row, z, backwards)
  local q, _, flags, place = queries(self, m, { row })
  local w, n = z, #row.targets
  for k = 1, n do
    local gene = row.targets[backwards and k or n + 1 - k]
    if flags[place[gene]] ~= "mean" or m.spec.own > 0 and m.place[gene] then
      local u, v, b = core.response_operator(p, m.spec, q, place[gene])
      w = core.operator(u, v, b * 0, { form = m.spec.form }):apply(w)
    end
  end
  return w
end

-- How the operators of a row move cells (n, G) beyond their mean: what differs from the cells' mean, seen in the latent
-- coordinates. Combinations are products (symmetric and generator: mean of both orders; additive: sum of the parts).
local function turned(self, m, row, x)
  -- a direct MLP has no operators, a trained decoder no states of cells
  if m.spec.head ~= "operator" or m.spec.genes ~= 0 then return x * 0 end
  local sum = nil
  local z = (x - x:mean(1)):matmul(m.D:t())
  local parts = { row }
  if m.spec.how == "additive" then
    for k, g in ipairs(row.targets) do parts[k] = { perturbation = g, targets = { g }, context = row.context } end
  end
  for _, p in ipairs(m.members) do
    for _, part in ipairs(parts) do
      local w = through(self, m, p, part, z, false) - z
      if #part.targets > 1 and m.spec.how ~= "product" then w = (w + through(self, m, p, part, z, true) - z) * 0.5 end
      sum = sum and sum + w or w
    end
  end
  return (sum * (1 / #m.members)):matmul(m.D)
end

--- Cells under perturbations: control cells of each row's context, moved by the row's mean change and by what its operators do
--- to how they differ from their mean. For each row a Tensor double (cells, G) in log1p units, not below 0; false without
--- control cells. Equal calls give equal cells. Nil for labels.
---@param rows table[]  { perturbation, targets, context }
---@param n integer  at most so many cells
---@param env table  { control = { [context] = Tensor double (cells, G) } }
---@return table?
function class:cells(rows, n, env)
  if self.kind == "label" then return nil end
  local delta, out = self:predict(rows), {}
  for i, row in ipairs(rows) do
    local x = env.control[row.context]
    if x then
      x = x:rows(1, math.min(n, x:size(1)))
      local models, y = models_for(self, row.context), x + delta:rows(i, i)
      for _, m in ipairs(models) do y = y + turned(self, m, row, x) * (1 / #models) end
      out[i] = y:maximum(0)
    else
      out[i] = false
    end
  end
  return out
end

-- ---- operators ----------------------------------------------------------------------

local function model_of(self, context)
  local m = self.models[context or self.contexts[1]]
  if not m then
    raise("EVALUE", ("no operators for context '%s'%s"):format(label.safe(tostring(context)),
      options.suggestion(tostring(context), self.contexts)))
  end
  return m
end

--- The operator of a gene in latent coordinates (double): that of the ensemble's first member, or of member `k`.
---@param gene string
---@param o? table  { context =, member = 1 }
---@return userdata  dynamo.Operator
function class:operator(gene, o)
  o = o or {}
  local m = model_of(self, o.context)
  local q, genes, flags, place = queries(self, m, { { perturbation = gene, targets = { gene } } })
  if flags[1] == "mean" and not m.place[gene] then
    raise("EVALUE", ("gene '%s' has no vector in %s%s"):format(label.safe(gene), self.embedding.source,
      options.suggestion(gene, self.embedding.genes)))
  end
  local u, v, b = core.response_operator(m.members[o.member or 1], m.spec, q, place[genes[1]])
  return core.operator(u, v, b * m.scale, { form = m.spec.form, name = gene })
end

--- The commutator of two genes' operators: a table { norm, relative, operator }.
function class:commutator(a, b, o) return self:operator(a, o):commutator(self:operator(b, o)) end

--- How far the orders of a combination are apart: root mean square distance from their mean, relative to its length.
---@return number spread, number relative
function class:order_spread(perturbation, o)
  local list = {}
  for i, g in ipairs(label.targets(perturbation)) do list[i] = self:operator(g, o) end
  local r = core.order_spread(list, core.zeros(model_of(self, o and o.context).D:size(1), "double"))
  local length = r.mean:square():sum():sqrt():item()
  return r.spread, length > 0 and r.spread / length or 0
end

--- The genes whose perturbation best brings back the control state after `perturbation`: list of { gene, distance }.
---
--- For every candidate h the distance of K_h K_g z0 from z0, z0 the mean control; 1 is what g alone does. O(candidates).
---@param perturbation string
---@param o? table  { top = 10, among = names, context = }
function class:rescue(perturbation, o)
  o = o or {}
  local m = model_of(self, o.context)
  local rows = { { perturbation = perturbation, targets = label.targets(perturbation), context = m.context } }
  local among, perturbed = {}, responses.places(rows[1].targets)
  for _, g in ipairs(o.among or m.genes) do
    if not perturbed[g] then
      local targets = label.targets(perturbation)
      targets[#targets + 1], among[#among + 1] = g, g
      rows[#rows + 1] = { perturbation = g, targets = targets, context = m.context }
    end
  end
  if #among == 0 then return {} end
  local length = self:predict(rows):square():sum(2):sqrt():maximum(1e-300)
  local order, out = (length / length:get(1)):rows(2, #rows):argsort(), {}
  for k = 1, math.min(o.top or 10, #order) do
    out[k] = { among[order[k]], length:get(order[k] + 1) / length:get(1) }
  end
  return out
end

-- ---- files ----------------------------------------------------------------------------

local function config(self)
  local c = { name = self.name, head = self.head, kind = self.kind, seed = self.seed, contexts = json.array {},
    control_contexts = json.array(self.control_contexts), options = {} }
  for k, v in pairs(self.options) do
    if type(v) ~= "table" then c.options[k] = v end
  end
  for i, name in ipairs(self.contexts) do
    local m = self.models[name]
    c.contexts[i] = { name = name, scale = m.scale, sd = m.scaling.sd, spec = m.spec, members = #m.members,
      direct = m.direct and json.array(m.direct) or nil, neighbours = m.neighbours and m.neighbours.lambda or nil }
  end
  return c
end

-- Edges of the part of the graph that predictions can use, as lists.
local function edges(graph)
  local names = graph:names()
  local A = graph:adjacency { direction = "out", weighted = true, signed = true }
  local from, to, weight = {}, {}, {}
  for i = 1, #names do
    local cols, vals = A:row(i)
    for k, j in ipairs(cols) do from[#from + 1], to[#to + 1], weight[#weight + 1] = i, j, vals[k] end
  end
  return names, core.tensor(from, "double"), core.tensor(to, "double"), core.tensor(weight, "double")
end

--- Write the model to a file: everything that predicting needs, no training data. See dynamo.load.
---@param path string
---@param more? table  { split =, scores =, provenance = } tables, kept as JSON
function class:save(path, more)
  local settings, kept = config(self), {}
  if self.units then settings.units, kept = units.plain(self.units) end
  local strings = { config = json.encode(settings) }
  for k, v in pairs(more or {}) do strings[k] = json.encode(v) end
  local lists = { ["genes/symbol"] = self.genes, ["embedding/genes"] = self.embedding.genes }
  local tensors = { ["embedding/values"] = self.embedding.values, ["contexts/control"] = self.control }
  for k, genes in pairs(kept) do lists[("units/kept%d"):format(k)] = genes end
  strings["embedding/source"] = self.embedding.source
  for _, flag in ipairs { "neighbours", "mean" } do
    local genes = self.embedding:coverage(self.embedding.genes)[flag]
    if #genes > 0 then lists["embedding/" .. flag] = genes end
  end
  for i, name in ipairs(self.contexts) do
    local m, at = self.models[name], ("model%d/"):format(i)
    lists[at .. "genes"] = m.genes
    tensors[at .. "base"], tensors[at .. "D"], tensors[at .. "centre"] = m.base, m.D, m.scaling.centre
    tensors[at .. "control"] = m.control
    for k, p in ipairs(m.members) do tensors[at .. ("member%d"):format(k)] = p:flat() end
    if m.neighbours then
      lists[at .. "neighbours/genes"] = m.neighbours.genes
      tensors[at .. "neighbours/residual"] = m.neighbours.residual
      tensors[at .. "neighbours/mask"] = m.neighbours.W
      tensors[at .. "neighbours/similarity"] = self.embedding:similarity(self.embedding.genes, m.neighbours.genes)
        :to "float"
    end
  end
  if self.graph then
    lists["graph/names"], tensors["graph/from"], tensors["graph/to"], tensors["graph/weight"] = edges(self.graph)
    strings["graph/source"] = self.graph:info().source or ""
  end
  core.model_write(path, { strings = strings, lists = lists, tensors = tensors })
end

-- ---- reading them: nothing in a file is believed ------------------------------------------

local function broken(path, format, ...)
  err.raise { code = "EFORMAT", file = path, message = ("%s: " .. format):format(path, ...) }
end

local function need(t, kind, name, path)
  local v = t[kind][name]
  if v == nil then broken(path, "%s is missing; the file is not a whole model", name) end
  return v
end

local function shape(sizes) return #sizes == 0 and "a number" or table.concat(sizes, "x") end

-- The tensor `name`, finite and of these sizes.
local function tensor(t, name, path, ...)
  local x = need(t, "tensors", name, path)
  local have, want = { x:size() }, { ... }
  for d = 1, #have do have[d] = ("%.0f"):format(have[d]) end
  for d = 1, #want do want[d] = ("%.0f"):format(want[d]) end
  if shape(have) ~= shape(want) then broken(path, "%s is %s, %s expected", name, shape(have), shape(want)) end
  local bad = x:count() > 0 and x:reshape(1, x:count()):nonfinite() or 0
  if bad > 0 then broken(path, "%s: %d values are not finite", name, bad) end
  return x
end

local CONFIG = { name = "string", head = "string", kind = "string", seed = "number", options = "table",
  contexts = "table", control_contexts = "table" }
local CONTEXT = { name = "string", scale = "number", sd = "number", spec = "table", members = "number" }

-- Fields of the configuration, each of its type.
local function check_fields(c, rules, where, path)
  if type(c) ~= "table" then broken(path, "%s is not a table", where) end
  for _, key in ipairs(label.sorted_keys(rules)) do
    if type(c[key]) ~= rules[key] then
      broken(path, "%s: %s is a %s, a %s is expected", where, key, type(c[key]), rules[key])
    end
  end
end

local function check_config(c, path)
  check_fields(c, CONFIG, "config", path)
  if c.kind ~= "effect" and c.kind ~= "label" then broken(path, "config: kind is '%s'", label.safe(c.kind)) end
  if #c.contexts == 0 then broken(path, "config: no context") end
  for i, entry in ipairs(c.contexts) do
    local where = ("config: context %d"):format(i)
    check_fields(entry, CONTEXT, where, path)
    if not (entry.scale > 0 and entry.sd > 0 and entry.members >= 1 and entry.members % 1 == 0) then
      broken(path, "%s: scale, sd and members must be positive", where)
    end
    for _, v in ipairs(entry.direct or {}) do
      if type(v) ~= "number" then broken(path, "%s: direct has a %s", where, type(v)) end
    end
  end
end

local function load_graph(t, path)
  local names = t.lists["graph/names"]
  if not names then return nil end
  local n = need(t, "tensors", "graph/from", path):count()
  local a = tensor(t, "graph/from", path, n):totable()
  local b, w = tensor(t, "graph/to", path, n):totable(), tensor(t, "graph/weight", path, n):totable()
  local from, to = {}, {}
  for k = 1, n do
    from[k], to[k] = names[a[k]], names[b[k]]
    if not (from[k] and to[k]) then
      broken(path, "graph/from, graph/to: edge %d joins %g and %g of %d genes", k, a[k], b[k], #names)
    end
  end
  return core.graph(names, from, to, w, { directed = true, signed = true, source = t.strings["graph/source"] })
end

-- Cosines of a membership that was left out of the file: those to the training genes are in it.
local function stored_similarity(e, genes, S)
  local column = responses.places(genes)
  e.similarity = function(self, a, b)
    local rows, cols = {}, {}
    for j, g in ipairs(b) do
      if not column[g] then
        return embedding.new { genes = self.genes, values = self.values, origin = self.origin }:similarity(a, b)
      end
      cols[j] = column[g]
    end
    local wide = S:index(2, cols)
    local blocks = {}
    for i, g in ipairs(a) do
      rows[i] = self:index(g)
      blocks[i] = rows[i] and wide:rows(rows[i], rows[i]) or core.zeros(1, #cols)
    end
    return core.cat(blocks, 1):to "double"
  end
end

-- Parameters of a network of the file; sizes are compared before anything is allocated.
local function load_member(t, name, spec, path)
  local flat, count = need(t, "tensors", name, path), 0
  local ok, layout = pcall(core.response_layout, spec)
  if not ok then broken(path, "config: %s", err.tostring(layout)) end
  for _, p in ipairs(layout) do
    local n = 1
    for d = 2, #p do n = n * p[d] end
    count = count + n
  end
  if flat:count() ~= count then
    broken(path, "%s: %d numbers, the configuration needs %.0f", name, flat:count(), count)
  end
  local p = core.params(layout, "float")
  p:flat():copy_(tensor(t, name, path, count))
  return p
end

-- What the sizes of a model must be, given those of its parts.
local function check_spec(spec, m, e, G, at, path)
  if spec.dim ~= e:dim() then broken(path, "config: dim is %s, vectors have %d", tostring(spec.dim), e:dim()) end
  if spec.own ~= 0 and spec.own ~= #m.genes then
    broken(path, "config: own is %s for the %d genes of %sgenes", tostring(spec.own), #m.genes, at)
  end
  if spec.genes ~= 0 and spec.genes ~= G then
    broken(path, "config: genes is %s, the model has %d", tostring(spec.genes), G)
  end
  if type(spec.latent) ~= "number" or type(spec.rank) ~= "number" then
    broken(path, "config: latent and rank must be numbers")
  end
end

local function load_neighbours(t, c, at, path, e, G)
  if type(c.neighbours) ~= "number" then broken(path, "config: neighbours is not a number") end
  local genes = need(t, "lists", at .. "neighbours/genes", path)
  local a = { genes = genes, lambda = c.neighbours,
    residual = tensor(t, at .. "neighbours/residual", path, #genes, G) }
  if t.tensors[at .. "neighbours/mask"] then a.W = tensor(t, at .. "neighbours/mask", path, #genes, G) end
  stored_similarity(e, genes, tensor(t, at .. "neighbours/similarity", path, #e.genes, #genes))
  return a
end

local function load_model(t, i, c, path, e, G)
  local at = ("model%d/"):format(i)
  local m = { context = c.name, scale = c.scale, spec = c.spec, direct = c.direct, members = {},
    genes = need(t, "lists", at .. "genes", path) }
  check_spec(m.spec, m, e, G, at, path)
  m.base, m.D = tensor(t, at .. "base", path, G), tensor(t, at .. "D", path, m.spec.latent, G)
  m.control = tensor(t, at .. "control", path, G)
  m.scaling = { centre = tensor(t, at .. "centre", path, e:dim()), sd = c.sd }
  m.place = responses.places(m.genes)
  for k = 1, c.members do m.members[k] = load_member(t, at .. ("member%d"):format(k), m.spec, path) end
  if c.neighbours then m.neighbours = load_neighbours(t, c, at, path, e, G) end
  return m
end

local function load_embedding(t, path)
  local genes, values = need(t, "lists", "embedding/genes", path), need(t, "tensors", "embedding/values", path)
  local origin = {}
  for _, flag in ipairs { "neighbours", "mean" } do
    for _, g in ipairs(t.lists["embedding/" .. flag] or {}) do origin[g] = flag end
  end
  local ok, e = pcall(embedding.new, { genes = genes, values = values, source = t.strings["embedding/source"],
    origin = origin })
  if not ok then broken(path, "embedding/values: %s", err.tostring(e)) end
  return e
end

-- What was done to the cells of training; files of older versions do not say.
local function load_units(t, c, path)
  if c.units == nil then return nil end
  local u, wrong = units.checked(c.units, function(k) return t.lists[("units/kept%d"):format(k)] end)
  if not u then broken(path, "config: %s", wrong) end
  return u
end

-- Peers have files of the same form and modules of their own.
local peers = { gears = "dynamo.gears", latent_additive = "dynamo.latent_additive", scgen = "dynamo.scgen" }

--- Read a model. Raises EFORMAT if it is damaged, not a model, or of a newer format.
---@param path string
---@return table fitted
function M.load(path)
  local t = core.model_read(path)
  local c = json.decode(need(t, "strings", "config", path), path)
  if type(c) == "table" and peers[c.head] then
    check_fields(c, { contexts = "table", options = "table", seed = "number" }, "config", path)
    return require(peers[c.head]).restore(t, c, path)
  end
  check_config(c, path)
  local e, genes = load_embedding(t, path), need(t, "lists", "genes/symbol", path)
  local self = { name = c.name, head = c.head, kind = c.kind, seed = c.seed, options = c.options, embedding = e,
    genes = genes, control = tensor(t, "contexts/control", path, #c.control_contexts, #genes),
    control_contexts = c.control_contexts, contexts = {}, models = {}, graph = load_graph(t, path), file = path,
    units = load_units(t, c, path) }
  for i, entry in ipairs(c.contexts) do
    self.contexts[i] = entry.name
    self.models[entry.name] = load_model(t, i, entry, path, e, #genes)
  end
  return M.new(self)
end

function class:__tostring()
  local m = self.models[self.contexts[1]]
  return ("Model %s: %d genes, latent %d, rank %d, %d members, trained on %d perturbed genes in %s; embedding %s")
    :format(self.name, #self.genes, m.spec.latent, m.spec.rank, #m.members, #m.genes,
      label.safe(table.concat(self.contexts, ", ")), self.embedding.source)
end

return M
