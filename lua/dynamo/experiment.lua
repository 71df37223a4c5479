--- Experiments: data, split, embedding, model, ablations; what `dynamo run` runs.
--
--     return dynamo.experiment {
--       name = "k562", data = dynamo.data.read "k562.h5ad", split = dynamo.split.unseen_genes { test = 0.25 },
--       embedding = dynamo.embed.node2vec { graph = grn, dim = 128 }, model = dynamo.model.koopman { rank = 8 },
--       train = { epochs = 60 }, seeds = { 1, 2, 3 },
--       ablate = { embedding = { dynamo.embed.spectral { graph = grn } }, rank = { 0, 4 } },
--     }
--
-- Baselines, both references, intervals, coverage and the audit of the split are in the results without being asked.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = { schema = {} }

M.schema.transfer = {
  native = { default = true, help = "also fit on the held-out context's own training rows: retention" },
  template = { default = true, help = "also shift by that context's mean training response" },
}

M.schema.experiment = {
  name = { default = "experiment", type = "string", help = "names the folder of the results" },
  question = { type = "string", help = "what is asked: the first line of the report" },
  data = { type = "table|string", required = true,
    help = "a Dataset, Responses, or a file (or list of files) to read" },
  symbols = { type = "string", help = "a table of symbols for data that are named by file, see data.read" },
  prepare = { type = "table", help = "steps for cells, in order: dynamo.prepare.normalise {}, .log1p {}, .hvg { n = 2000 }" },
  split = { type = "table", help = "a recipe; default: split.unseen_genes {}" },
  embedding = { type = "table|string", help = "an Embedding, a recipe, or a file; default: node2vec of the graph" },
  graph = { type = "userdata|string", help = "a Graph or a file; default: that of the embedding's recipe" },
  model = { type = "table", help = "a recipe; default: model.koopman {}" },
  baselines = { default = {}, type = "table", help = "more of them: recipes" },
  train = { default = {}, type = "table", help = "options for every model: epochs, lr, noise, ..." },
  seeds = { default = { 1 }, type = "table", item = "integer", min = 0, help = "of split and model: 1..5" },
  ablate = { default = {}, type = "table",
    help = "{ embedding = {...}, model = {...}, OPTION = {...} }: each changes one thing" },
  transfer = { default = {}, type = "table", help = "rows of a held-out context: native, template" },
  control = { type = "string", values = { "context", "batch" },
    help = "reference of cells: the controls of the context (default), or of the context and batch of each cell" },
  min_cells = { default = 1, type = "integer", min = 1, help = "perturbations with fewer cells are left out" },
  metrics = { type = "table", item = "string",
    help = "columns such as \"wmse@none/de20\" beside those of the tables; default: evaluate.columns" },
  ceiling = { default = true, help = "where there are cells: split halves, interpolated duplicates, dynamic range" },
  allow = { default = {}, type = "table", item = "string", help = "kinds of leaks that do not stop the run: \"edges: WHY\"" },
  draws = { default = 10000, type = "integer", min = 100, help = "resamples of the bootstrap" },
  out = { type = "string", help = "folder of the results; default: runs/NAME" },
  report = { default = true, help = "write report.html with figures" },
  check = { type = "function", help = "called with the Results at the end; an error fails the run" },
}

local class = {}
class.__index = class
class.__name = "dynamo.Experiment"

local function complain(text, ...)
  err.raise { code = "EOPTION", message = "experiment: " .. (select("#", ...) > 0 and text:format(...) or text) }
end

local function is_recipe(v, kind) return type(v) == "table" and v.kind == kind and recipe.schema(v) ~= nil end

local function expect(v, kind, where, example)
  if not is_recipe(v, kind) then
    complain("%s: %s expected, as in %s (got %s)", where, kind == "embedding" and "a recipe of an embedding"
      or "a recipe of a " .. kind, example, options.quote(v))
  end
end

local function is_embedding(v) return require("dynamo.embedding").is(v) or is_recipe(v, "embedding") end

local function check_ablate(o)
  local schema = recipe.schema(o.model)
  local names = label.sorted_keys(schema)
  names[#names + 1], names[#names + 2] = "embedding", "model"
  for _, key in ipairs(label.sorted_keys_any(o.ablate)) do
    local list = o.ablate[key]
    if key ~= "model" and key ~= "embedding" and not schema[key] then
      complain("ablate: unknown option '%s'%s", tostring(key), options.suggestion(tostring(key), names))
    end
    if type(list) ~= "table" or list.kind then complain("ablate.%s: a list expected", key) end
    for _, v in ipairs(list) do
      if key == "model" then
        expect(v, "predictor", "ablate.model", "{ dynamo.model.mlp {} }")
      elseif key == "embedding" then
        if not is_embedding(v) then complain("ablate.embedding: embeddings or recipes expected") end
      else
        options.check_value("ablate", key, v, schema[key])
      end
    end
  end
end

-- Train options go to each model that has them, and must be options of the experiment's own.
local function check_train(o)
  local schema, name = recipe.schema(o.model)
  for _, key in ipairs(label.sorted_keys_any(o.train)) do
    if not schema[key] then
      complain("train: %s has no option '%s'%s", name, tostring(key), options.suggestion(tostring(key),
        label.sorted_keys(schema)))
    end
    options.check_value("train", key, o.train[key], schema[key])
  end
end

local function check_data(o)
  local d = o.data
  if o.control and responses.is(d) then complain "control: needs cells; the data are Responses (data:responses { control = ... })" end
  if type(d) == "string" or responses.is(d) or type(d.responses) == "function" then return end
  for _, p in ipairs(d) do
    if type(p) ~= "string" then d = {} end
  end
  if #d == 0 then complain "data: a Dataset, Responses, a file name or a list of them expected" end
end

local function check_prepare(o)
  if o.symbols and type(o.data) == "table" and type(o.data[1]) ~= "string" then
    complain 'symbols: for data that are named by file; else data.read(file, { symbols = ... })'
  end
  if not o.prepare then return end
  if responses.is(o.data) then complain "prepare: needs cells; the data are Responses" end
  for i, step in ipairs(o.prepare) do
    if not require("dynamo.preparation").is(step) then
      complain("prepare: %d is no step, as in dynamo.prepare.log1p {} (got %s)", i, options.quote(step))
    end
  end
end

local function with_defaults(o)
  if not o.split then o.split = require("dynamo.split").unseen_genes {} end
  if not o.model then o.model = require("dynamo.model").koopman {} end
  if not o.embedding and o.graph then o.embedding = require("dynamo.embed").node2vec { graph = o.graph } end
  if not o.embedding then
    complain("option 'embedding' is required: an Embedding, a recipe such as dynamo.embed.node2vec "
      .. "{ graph = grn }, or a file")
  end
end

local function check_all(o)
  with_defaults(o)
  if not o.name:match "^[%w_.+-]+$" or o.name:match "^%.+$" then
    complain("name: letters, digits and _ . + - (got %s)", options.quote(o.name))
  end
  check_data(o)
  check_prepare(o)
  expect(o.split, "split", "split", "dynamo.split.unseen_genes { test = 0.25 }")
  expect(o.model, "predictor", "model", "dynamo.model.koopman { rank = 8 }")
  if type(o.embedding) == "table" and not is_embedding(o.embedding) then
    complain "embedding: an Embedding, a recipe such as dynamo.embed.node2vec { graph = grn }, or a file expected"
  end
  if type(o.graph) == "userdata" and not core.is_graph(o.graph) then complain "graph: a Graph or a file expected" end
  for _, b in ipairs(o.baselines) do expect(b, "predictor", "baselines", "{ dynamo.baseline.kernel_ridge {} }") end
  if #o.seeds == 0 then complain "seeds: at least one expected" end
  for _, key in ipairs(o.metrics or {}) do
    if require("dynamo.metrics").parse(key).metric.by then
      complain("metrics: %s has a value per perturbation; tables of labels have one per gene (evaluate.score has both)", key)
    end
  end
  require("dynamo.leakage").allowed(o.allow)
  o.transfer = options.check("experiment.transfer", o.transfer, M.schema.transfer)
  check_train(o)
  check_ablate(o)
end

--- An experiment, checked but not run. Raises EOPTION: an unknown option (with the nearest one), a wrong value.
---@param opts table  see dynamo.experiment.schema
---@return table Experiment
function M.experiment(opts)
  local o = options.check("experiment", opts, M.schema.experiment)
  check_all(o)
  return setmetatable({ options = o }, class)
end

--- Whether a value is an experiment.
function M.is(v) return type(v) == "table" and getmetatable(v) == class end

function class:__tostring()
  local o = self.options
  return ("Experiment %s: %s on %s, %s, %d seed%s"):format(o.name, tostring(o.model), tostring(o.embedding),
    tostring(o.split), #o.seeds, #o.seeds == 1 and "" or "s")
end

--- Called with an experiment before it runs, where set: dynamo.doctor examines what a script would run.
M.before_run = nil

--- Run an experiment: split, embed, fit, predict and score for every seed; print the table; write the files.
---
--- Raises what the data, the split (ELEAK) and the models raise; the folder is written whole or not at all.
---@param exp table
---@param opts? table  { quiet = no progress, write = true, silent = no table either, folder = of relative files }
---@return table Results
function M.run(exp, opts)
  if not M.is(exp) then err.raise { code = "EOPTION", message = "experiment.run: an Experiment expected" } end
  opts = opts or {}
  if M.before_run then M.before_run(exp) end
  local started = core.time()
  local R = require("dynamo.runner").run(exp, opts)
  R.seconds = core.time() - started
  if opts.write ~= false then R:write(exp.options.out or "runs/" .. exp.options.name, opts) end
  if not opts.silent then io.write(R:text(core.isatty(1)), "\n") end
  if exp.options.check then exp.options.check(R) end
  return R
end

--- Run it: as experiment.run(self, opts).
function class:run(opts) return M.run(self, opts) end

-- ---- files and command lines ---------------------------------------------------------

local function copy(t)
  local out = {}
  for k, v in pairs(t) do out[k] = v end
  return out
end

-- What can be set from a command line: plain options, and those of the recipes.
local parts = { "model", "split", "embedding" }
local plain = { "name", "question", "seeds", "out", "report", "min_cells", "draws", "ceiling", "allow", "control" }

local function settable(o)
  local t, allowed = { train = copy(o.train), transfer = copy(o.transfer) }, { train = recipe.schema(o.model),
    transfer = M.schema.transfer }
  for _, key in ipairs(plain) do t[key], allowed[key] = o[key], M.schema.experiment[key] end
  for _, key in ipairs(parts) do
    local schema = recipe.schema(o[key])
    if schema then t[key], allowed[key] = copy(o[key].options), schema end
  end
  for _, key in ipairs { "data", "graph" } do
    if type(o[key]) == "string" then t[key] = o[key] end
  end
  return t, allowed
end

local function is_seeds(word) return word.key == "seed" end

--- An experiment with words of a command line applied: train.epochs=100 seeds=1..5 model.rank=4 split.test=0.3.
---@param exp table
---@param words table  list of "key=value" or what override.parse gave
---@return table Experiment
function M.with(exp, words)
  local override = require "dynamo.override"
  local list = type(words[1]) == "table" and words or override.parse(words)
  local o = copy(exp.options)
  for _, w in ipairs(list) do
    if is_seeds(w) then w.key, w.path = "seeds", { "seeds" } end
  end
  local t, allowed = settable(o)
  override.apply(t, list, allowed)
  for _, key in ipairs(parts) do
    if t[key] then o[key] = recipe.with(o[key], t[key]) end
  end
  for _, list in ipairs { plain, { "train", "transfer", "data", "graph" } } do
    for _, key in ipairs(list) do
      if t[key] ~= nil then o[key] = t[key] end
    end
  end
  local new = M.experiment(o)
  new.file, new.folder = exp.file, exp.folder
  return new
end

-- The words that are not settings which the script asked for.
local function overrides(words)
  local known, out = require("dynamo.setting").known, {}
  for _, w in ipairs(words) do
    if not known[w:match "^[^=]*"] then out[#out + 1] = w end
  end
  return out
end

-- A wrong word of the command line is a matter of usage, not of the script.
local function apply(exp, words)
  if #words == 0 then return exp end
  local ok, e = pcall(M.with, exp, words)
  if ok then return e end
  if err.is(e, "EOPTION") then e = err.new { code = "EUSAGE", message = e.message, hint = e.hint } end
  error(e, 0)
end

local function load_file(path)
  err.expect_file(path, true)
  local folder = path:match "^(.*)/[^/]*$"
  if folder then package.path = folder .. "/?.lua;" .. folder .. "/?/init.lua;" .. package.path end
  local chunk, message = loadfile(path)
  if not chunk then error(message, 0) end
  return chunk(), folder
end

-- One or several experiments that a file returned.
local function returned(path, v)
  if M.is(v) then return { v } end
  local list = type(v) == "table" and v or {}
  for _, e in ipairs(list) do
    if not M.is(e) then list = {} end
  end
  if #list == 0 then
    err.raise { code = "EFORMAT", file = path, message = ("returns %s, expected dynamo.experiment { ... }, or a list "
      .. "of them"):format(v == nil and "nothing" or options.quote(v)),
      hint = v == nil and ("dynamo %s, if it does its own work"):format(path) or nil }
  end
  return list
end

--- The experiments that a Lua file returns, not run. Raises EIO, EFORMAT and what the file raises.
---@param path string
---@param words? string[]  settings of the command line
---@return table[] list of Experiments
function M.load_file(path, words)
  require("dynamo.setting").give(words or {})
  local v, folder = load_file(path)
  local list = returned(path, v)
  for i, exp in ipairs(list) do
    list[i] = apply(exp, overrides(words or {}))
    list[i].file, list[i].folder = path, folder
  end
  return list
end

--- Run the experiment (or each of the list of experiments) that a Lua file returns, with words of the command line
--- applied; names that the file asked for with dynamo.setting are not overrides. Files named in `data`, `graph` and
--- `embedding` are looked for beside the file first. Raises EIO, EFORMAT, EUSAGE and what the run raises.
---@param path string
---@param words string[]  "train.epochs=100"
---@param opts? table  see run
---@return table[] list of Results
function M.run_file(path, words, opts)
  require("dynamo.setting").give(words)
  local v, folder = load_file(path)
  local list, out = returned(path, v), {}
  words = overrides(words or {})
  for i, exp in ipairs(list) do
    exp = apply(exp, words)
    if #list > 1 and exp.options.out then
      exp = M.with(exp, { "out=" .. exp.options.out .. "/" .. exp.options.name })
    end
    exp.file, exp.folder = path, folder
    local inner = copy(opts or {})
    out[i] = M.run(exp, inner)
  end
  return out
end

return setmetatable(M, { __call = function(_, opts) return M.experiment(opts) end })
