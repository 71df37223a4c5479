--- What happens when an experiment runs: for every seed the split, and for every row of the table fit, predict, score.
local baseline = require "dynamo.baseline"
local core = require "dynamo.core"
local cost = require "dynamo.cost"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local leakage = require "dynamo.leakage"
local metrics = require "dynamo.metrics"
local predictor = require "dynamo.predictor"
local progress = require "dynamo.progress"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"
local results = require "dynamo.results"
local split = require "dynamo.split"

local M = {}

-- ---- inputs -----------------------------------------------------------------------------

-- A file named in an experiment: beside the experiment's file if it is there, else as it is.
local function find(path, folder)
  if folder and not path:match "^/" and core.stat(folder .. "/" .. path) then return folder .. "/" .. path end
  return path
end

local function find_all(v, folder)
  if type(v) == "string" then return find(v, folder) end
  local out = {}
  for i, p in ipairs(v) do out[i] = find(p, folder) end
  return out
end

-- Responses; for an experiment with steps of preparation nil and the Dataset.
local function data_of(o, folder, inputs)
  local d = o.data
  if type(d) == "string" or type(d) == "table" and type(d[1]) == "string" then
    local symbols = o.symbols and find(o.symbols, folder)
    inputs[#inputs + 1] = symbols
    d = require("dynamo.data").read(find_all(d, folder), { counts = o.prepare ~= nil, symbols = symbols })
  end
  if responses.is(d) then
    for path in tostring(d.file or ""):gmatch "[^,%s]+" do inputs[#inputs + 1] = path end
    return d
  end
  for _, part in ipairs(d.files or { d }) do inputs[#inputs + 1] = part.file end
  if o.prepare then return nil, d end
  return d:responses { min_cells = o.min_cells, control = o.control }
end

local function graph_of(o, folder, inputs)
  local g = o.graph or type(o.embedding) == "table" and o.embedding.options and o.embedding.options.graph
  if type(g) ~= "string" then return g end
  local path = find(g, folder)
  inputs[#inputs + 1] = path
  return require("dynamo.graph").read(path)
end

local function embedding_of(o, folder, inputs)
  local e = o.embedding
  if type(e) == "string" then
    local path = find(e, folder)
    inputs[#inputs + 1] = path
    return embed.read(path)
  end
  if type(e) == "table" and e.options and type(e.options.graph) == "string" then
    return recipe.with(e, { graph = find(e.options.graph, folder) })
  end
  return e
end

-- ---- the rows of the table ----------------------------------------------------------------

-- A recipe with the train options that it has; only for models.
local function trained(r, train)
  if recipe.module(r) ~= "model" then return r end
  local schema, changes = recipe.schema(r), {}
  for k, v in pairs(train) do
    if schema[k] then changes[k] = v end
  end
  return next(changes) and recipe.with(r, changes) or r
end

local function embedding_name(e)
  if not e then return "none" end
  if e.build then return e.name end
  return tostring(e.source or "given"):match "^%S+" or "given"
end

local function uses_embedding(r)
  local schema = recipe.schema(r)
  return schema.embedding ~= nil and r.name ~= "linear" and r.name ~= "additive"
end

local function row(list, r, e, kind, more)
  local own = r.options.embedding or e
  local t = { model = r.name, recipe = r, e = own, kind = kind,
    embedding = uses_embedding(r) and embedding_name(own) or "none" }
  for k, v in pairs(more or {}) do t[k] = v end
  list[#list + 1] = t
  return t
end

-- The direct MLP with the options of the main model that it has.
local function direct(main, train)
  local model = require "dynamo.model"
  local schema, given = model.schema.mlp, {}
  if recipe.module(main) == "model" then
    for k, v in pairs(main.options) do
      if schema[k] then given[k] = v end
    end
  end
  return trained(model.mlp(given), train)
end

local function dim_of(e) return e.build and e.options.dim or e.values and e:dim() or 128 end

local function ablations(list, o, main, e)
  if main.name ~= "mlp" then row(list, direct(main, o.train), e, "ablation", { changed = "model" }) end
  for _, v in ipairs(o.ablate.embedding or {}) do row(list, main, v, "ablation", { changed = "embedding", varied = v }) end
  for _, r in ipairs(o.ablate.model or {}) do
    if not (recipe.module(r) == "model" and r.name == "mlp" and tostring(trained(r, o.train)) == tostring(list[2].recipe)) then
      row(list, trained(r, o.train), e, "ablation", { changed = "model", varied = r })
    end
  end
  for _, key in ipairs(label.sorted_keys_any(o.ablate)) do
    if key ~= "embedding" and key ~= "model" then
      for _, v in ipairs(o.ablate[key]) do
        row(list, recipe.with(main, { [key] = v }), e, "ablation", { changed = key,
          model = ("%s %s=%s"):format(main.name, key, tostring(v)) })
      end
    end
  end
end

-- Baselines that nobody has to ask for, and those of the experiment.
local function baselines(list, o, R, e, main, info)
  local wanted = baseline.standard { combinations = info.combinations, embedding = true, labels = R.kind == "label" }
  for _, b in ipairs(o.baselines) do wanted[#wanted + 1] = b end
  local seen = {}
  for _, b in ipairs(wanted) do
    if not seen[tostring(b)] then row(list, b, e, "baseline", { varied = b }) end
    seen[tostring(b)] = true
  end
  local random = embed.random { dim = dim_of(e) }
  local r = main.options.embedding and recipe.with(main, { embedding = random }) or main
  row(list, r, random, "control", { embedding = "random" })
end

-- Rows of a held-out context that use its own data: what zero-shot rows are held against. Where every row of the context is
-- tested there are no training rows to make them from.
local function references(list, o, native)
  local function of(name, kind)
    for _, r in ipairs(list) do
      if r.model == name and (not kind or r.kind == kind) then return r end
    end
  end
  local models = { list[1], of("mlp", "ablation") }
  if o.transfer.template and native then
    for _, m in ipairs { models[1], models[2] or false, of("knn", "baseline") or false } do
      if m then
        row(list, m.recipe, m.e, "reference", { model = m.model .. " (template)", from = m, embedding = m.embedding })
      end
    end
  end
  if o.transfer.native and native then
    for _, m in ipairs { models[1], models[2] or false, of("knn", "baseline") or false, of("mean", "baseline") } do
      if m then
        row(list, m.recipe, m.e, "reference", { model = m.model .. " (native)", native = true, of = m,
          embedding = m.embedding })
      end
    end
  end
  row(list, baseline.copy {}, nil, "reference", { model = "copy" })
end

-- "node2vec dim=64": a recipe by its name and the plain options that are not the defaults and in which `others` differ.
local function brief(r, others)
  local schema, parts = recipe.schema(r), { r.name }
  if not schema then return embedding_name(r) end
  for _, k in ipairs(label.sorted_keys(r.options)) do
    local v, same = r.options[k], true
    for _, other in ipairs(others) do same = same and (other.options or {})[k] == v end
    local plain = type(v) ~= "table" and type(v) ~= "userdata" and type(v) ~= "function"
    if plain and not same and schema[k] and schema[k].default ~= v then parts[#parts + 1] = ("%s=%s"):format(k, tostring(v)) end
  end
  return table.concat(parts, " ")
end

-- Rows of one name get what tells them apart.
local function distinct(list)
  local group, used = {}, {}
  local function key(r) return r.model .. "\0" .. r.embedding end
  for _, r in ipairs(list) do
    group[key(r)] = group[key(r)] or {}
    table.insert(group[key(r)], r)
  end
  for _, g in pairs(group) do
    local embeddings, recipes, names = {}, {}, {}
    for i, r in ipairs(g) do embeddings[i], recipes[i] = r.e or {}, r.recipe or {} end
    for i, r in ipairs(#g > 1 and g or {}) do
      names[i] = r.varied and brief(r.varied, r.changed == "embedding" and embeddings or recipes)
    end
    for i, r in ipairs(g) do
      if names[i] then r[r.changed == "embedding" and "embedding" or "model"] = names[i] end
    end
  end
  for _, r in ipairs(list) do
    local base, k = r.model, 1
    while used[key(r)] do
      k = k + 1
      r.model = base .. " #" .. k
    end
    used[key(r)] = true
  end
end

local function rows_of(o, R, e, info)
  local list, main = {}, trained(o.model, o.train)
  row(list, main, e, "model", { main = true })
  ablations(list, o, main, e)
  baselines(list, o, R, e, main, info)
  if info.transfer then references(list, o, info.native) end
  distinct(list)
  return list
end

-- ---- splits --------------------------------------------------------------------------------

local function splits_of(o, R)
  local list = {}
  for k, seed in ipairs(o.seeds) do
    list[k] = split.check(R, o.split:make(R, seed))
    if #list[k].test == 0 then err.raise { code = "EVALUE", message = "the split leaves nothing to test" } end
  end
  return list
end

local function info_of(R, splits)
  local info, contexts = { transfer = false, combinations = false, native = true }, {}
  for _, S in ipairs(splits) do
    info.transfer = info.transfer or S.native ~= nil
    info.native = info.native and S.native ~= nil and #S.native.train > 0
    for _, i in ipairs(S.test) do
      info.combinations = info.combinations or #R.rows[i].targets > 1
      contexts[R.rows[i].context] = true
    end
  end
  info.contexts = label.sorted_keys(contexts)
  return info
end

-- ---- one seed ------------------------------------------------------------------------------

-- Embeddings are built once per recipe, with seed 1 unless the recipe has its own.
local function builder(R, report)
  local known, genes = {}, R:targets()
  return function(e)
    if not e or not e.build then return e end
    for _, k in ipairs(known) do
      if k.recipe == e or tostring(k.recipe) == tostring(e) and k.recipe.options.graph == e.options.graph
        and k.recipe.options.sets == e.options.sets then
        return k.value
      end
    end
    local value = e:build { genes = genes, responses = R, seed = 1, progress = report }
    known[#known + 1] = { recipe = e, value = value }
    return value
  end
end

local function joined(a, b)
  local out = {}
  for _, list in ipairs { a, b } do
    for _, i in ipairs(list) do out[#out + 1] = i end
  end
  return out
end

local function in_context(R, list, context)
  local out = {}
  for _, i in ipairs(list) do
    if R.rows[i].context == context then out[#out + 1] = i end
  end
  return out
end

-- Mean training response of a context less that of the training contexts, per test row: (n, G).
local function template_shift(R, S)
  local shift, blocks = {}, {}
  for k, i in ipairs(S.test) do
    local c = R.rows[i].context
    if not shift[c] then
      local own = predictor.set_of({ responses = R, train = in_context(R, S.native.train, c) }, c).base
      shift[c] = (own - predictor.set_of({ responses = R, train = S.train }, c).base):reshape(1, #R.genes)
    end
    blocks[k] = shift[c]
  end
  return core.cat(blocks, 1)
end

local function fit_and_predict(job, row_, S, k, report)
  if row_.from then
    return row_.from.predicted + template_shift(job.R, S), row_.from.flags[k]
  end
  local env = { responses = job.R, train = S.train, validate = S.validate, embedding = job.build(row_.e),
    graph = job.graph, seed = job.seeds[k], native = S.native and S.native.train, progress = report }
  if row_.native then env.train, env.validate, env.native = S.native.train, S.native.validate, nil end
  local fitted = row_.recipe:fit(env)
  local records = predictor.records(job.R, S.test)
  local predicted, flags = fitted:predict(records)
  return predicted, flags, fitted
end

-- How long a fit takes, in units of the progress bar.
local function weight(r, contexts)
  local o = r.recipe.options
  if r.from then return 1 end
  if recipe.module(r.recipe) ~= "model" then return 10 end
  return 20 + (o.members or 1) * (o.epochs or 1) * contexts / 2
end

-- Cells that a method predicts for test rows, f(place), where a column asks for cells and the method has them: an optional
-- method fitted:cells(rows, n, { control = cells per context }) -> list of Tensors (cells, G); see fitted.lua.
local function predicted_cells(job, S, fitted)
  if not (job.cells and fitted and type(fitted.cells) == "function") then return nil end
  local populations = require "dynamo.populations"
  job.control_cells = job.control_cells or populations.controls(job.R)
  local records = predictor.records(job.R, S.test)
  return function(k)
    local list = fitted:cells({ records[k] }, populations.most, { control = job.control_cells })
    return list and list[1] or nil
  end
end

local function score(job, S, predicted, flags, centroid, fitted)
  return evaluate.score(job.R, S.test, predicted, { centroid = centroid, flags = flags, metrics = job.metrics,
    train = S.train, cells = predicted_cells(job, S, fitted) })
end

-- Places of the values of a seed: what each belongs to.
local function describe(job, S, info)
  local d = { names = info.names, group = {}, context = {} }
  if job.R.kind == "label" then
    for i, name in ipairs(info.names) do
      d.group[i], d.context[i] = "all", job.info.contexts[1]
      for _, c in ipairs(job.info.contexts) do
        if #job.info.contexts > 1 and name:sub(1, #c + 1) == c .. "/" then d.context[i] = c end
      end
    end
    return d
  end
  for i, r in ipairs(S.test) do d.group[i], d.context[i] = S.group[r] or "all", job.R.rows[r].context end
  return d
end

local function run_seed(job, k, bar)
  local S = job.splits[k]
  local centroid = evaluate.centroid(job.R, joined(S.train, S.native and S.native.train or {}))
  for _, r in ipairs(job.rows) do
    local name = ("seed %d %s"):format(job.seeds[k], r.model)
    local report = bar(name, r.weight)
    local spent = cost.start()
    local predicted, flags, fitted = fit_and_predict(job, r, S, k, report)
    local seconds, peak = spent()
    r.seconds, r.peak = (r.seconds or 0) + seconds, peak and math.max(r.peak or 0, peak)
    local values, info = score(job, S, predicted, flags, centroid, fitted)
    r.values[k], r.flags[k], r.status[k], r.predicted = values, flags, info.status, predicted
    if job.keep then r.kept[k] = predicted end
    if k == 1 then r.first, r.fitted = predicted, r.main and fitted or nil end
    if r.main then job.places[k] = describe(job, S, info) end
    report(1, 1)
  end
  for _, r in ipairs(job.rows) do r.predicted = nil end
  if job.ceilings then require("dynamo.ceiling").add(job, k, centroid) end
end

-- A function that gives each step its part of one progress bar.
local function progress_of(job, opts)
  local bar = progress.new { quiet = opts.quiet, label = job.name }
  local total, done = 0, 0
  for _, r in ipairs(job.rows) do total = total + r.weight * #job.seeds end
  return bar, function(name, part)
    local from = done
    done = done + part
    return function(a, b, values)
      local text = name
      if type(values) == "table" and values.loss then text = ("%s loss %.4f"):format(name, values.loss) end
      bar:update(from + part * (b > 0 and math.min(1, a / b) or 0), total, text)
    end
  end
end

local function training_contexts(R, S)
  local seen, n = {}, 0
  for _, i in ipairs(S.train) do
    local c = R.rows[i].context
    if not seen[c] then seen[c], n = true, n + 1 end
  end
  return n
end

--- What a run will do, without doing it: data and network read, cells prepared, splits made, the rows of its table.
---
--- Raises what the data, the steps of preparation, the splits and the audit raise.
---@param exp table
---@param collect? boolean findings of the audit do not raise (see leakage.audit)
---@return table job { R, graph, splits, rows, info, seeds, embedding, leakage, build = f(embedding) }
function M.plan(exp, collect)
  local o, job = exp.options, { inputs = {} }
  job.name, job.seeds, job.places = o.name, o.seeds, {}
  local R, D = data_of(o, exp.folder, job.inputs)
  job.graph = graph_of(o, exp.folder, job.inputs)
  local function splits(rows) return splits_of(o, rows) end
  if D then
    job.R, job.splits = require("dynamo.preparation").experiment(D, o, splits)
  else
    job.R, job.splits = R, splits(R)
  end
  job.info = info_of(job.R, job.splits)
  job.embedding = embedding_of(o, exp.folder, job.inputs)
  job.rows = rows_of(o, job.R, job.embedding, job.info)
  local contexts = training_contexts(job.R, job.splits[1])
  for _, r in ipairs(job.rows) do
    r.weight, r.values, r.flags, r.status, r.kept = weight(r, contexts), {}, {}, {}, {}
  end
  job.leakage = leakage.audit(job, o.allow, collect)
  job.metrics = results.columns_of(o.metrics, job.R.kind)
  job.cells = job.R.cells and metrics.of_cells(job.metrics or {})
  if o.ceiling and job.R.cells and job.R.kind ~= "label" then job.ceilings = {} end
  job.build = builder(job.R, nil)
  return job
end

--- Fit one row of a plan for seed k and predict its test rows, as a run does.
---@param job table
---@param row_ table
---@param k integer
---@return userdata predicted
function M.try(job, row_, k) return (fit_and_predict(job, row_, job.splits[k], k, nil)) end

--- Run an experiment without printing or writing anything but progress.
---@param exp table
---@param opts table  { quiet =, keep = all predictions stay in the rows' `kept`, by seed }
---@return table Results
function M.run(exp, opts)
  local job = M.plan(exp)
  job.keep = opts.keep
  local bar, part = progress_of(job, opts)
  local ok, e = pcall(function()
    for k = 1, #job.seeds do run_seed(job, k, part) end
  end)
  bar:finish()
  if not ok then error(e, 0) end
  job.embedding = job.build(job.embedding)
  for _, r in ipairs(job.ceilings or {}) do job.rows[#job.rows + 1] = r end
  return results.new(exp, job)
end

return M
