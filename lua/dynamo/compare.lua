--- Which embedding helps? The same model and splits on several embeddings and their controls.
--
--     return dynamo.compare {
--       data = "k562.h5ad", model = dynamo.model.koopman {}, seeds = { 1, 2, 3 },
--       embeddings = { dynamo.embed.node2vec { graph = grn }, dynamo.embed.text { texts = "summaries.tsv.gz" } },
--     }
--
-- Controls come without being asked: random vectors, every embedding with its genes permuted, and every embedding of a
-- graph on that graph rewired (same degrees). Scores are on all tested perturbations and on those whose genes have a
-- vector in every embedding; differences are paired by perturbation. In files for `dynamo compare FILE.lua`.
local biology = require "dynamo.biology"
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local options = require "dynamo.options"
local tables = require "dynamo.compare_tables"

local M = { schema = {} }

M.schema.compare = {
  name = { default = "compare", type = "string", help = "names the folder of the results" },
  question = { type = "string", help = "what is asked: the first line of the report" },
  data = { type = "table|string", required = true, help = "a Dataset, Responses, or a file to read" },
  symbols = { type = "string", help = "a table of symbols for data that are named by file, see data.read" },
  prepare = { type = "table", help = "steps for cells, in order, as in an experiment: dynamo.prepare.log1p {}, ..." },
  embeddings = { type = "table", required = true,
    help = "a list of embeddings, recipes and files, or a table of them by name" },
  split = { type = "table", help = "a recipe; default: split.unseen_genes {}" },
  model = { type = "table", help = "a recipe; default: model.koopman {}" },
  train = { default = {}, type = "table", help = "options of the model: epochs, lr, ..." },
  seeds = { default = { 1 }, type = "table", item = "integer", min = 0, help = "of split and model" },
  controls = { default = { "permuted", "rewired" }, type = "table", item = "string", values = { "permuted", "rewired" },
    help = "beside random vectors, which are always there" },
  sets = { type = "table|string", help = "gene sets (or GMT files): do cosines tell which genes share a set?" },
  min_cells = { default = 1, type = "integer", min = 1, help = "perturbations with fewer cells are left out" },
  draws = { default = 10000, type = "integer", min = 100, help = "resamples of the bootstrap" },
  out = { type = "string", help = "folder of the results; default: runs/NAME" },
  report = { default = true, help = "write report.html with figures" },
}

local class = {}
class.__index = class
class.__name = "dynamo.Comparison"

local function complain(text, ...) err.raise { code = "EOPTION", message = "compare: " .. text:format(...) } end

-- ---- embeddings ------------------------------------------------------------------

-- { name =, made from = } of every embedding; names are distinct and have no blanks.
local function entries(list)
  local out, used = {}, {}
  for _, key in ipairs(label.sorted_keys_any(list)) do
    local v = list[key]
    if not (type(v) == "string" or embedding.is(v) or embed.is_recipe(v)) then
      complain("embeddings: an Embedding, a recipe or a file expected (got %s)", options.quote(v))
    end
    local name = type(key) == "string" and key or type(v) == "string" and v:match "[^/]*$"
      or embedding.is(v) and v.source:match "^%S+" or v.name
    name = name:gsub("%s+", "-")
    local base, k = name, 1
    while used[name] or name == "random" do
      k = k + 1
      name = base .. "-" .. k
    end
    used[name] = true
    out[#out + 1] = { name = name, from = v }
  end
  if #out == 0 then complain "embeddings: at least one expected" end
  return out
end

-- The experiment of the options on some embeddings, words of a command line applied; wrong ones are a matter of usage.
local function experiment_of(o, data, first, rest, words)
  local experiment = require "dynamo.experiment"
  local cells = not require("dynamo.responses").is(data)
  local exp = experiment.experiment { name = o.name, question = o.question, data = data, split = o.split,
    prepare = (cells or data == o.data) and o.prepare or nil, symbols = data == o.data and o.symbols or nil, min_cells = o.min_cells,
    embedding = first, model = o.model, train = o.train, seeds = o.seeds, draws = o.draws, out = o.out,
    report = o.report, ablate = { embedding = rest } }
  if not words or #words == 0 then return exp end
  local ok, e = pcall(experiment.with, exp, words)
  if ok then return e end
  if err.is(e, "EOPTION") then e = err.new { code = "EUSAGE", message = e.message, hint = e.hint } end
  error(e, 0)
end

--- A comparison, checked but not run. Raises EOPTION.
---@param opts table  see dynamo.compare.schema.compare
---@return table Comparison
function M.compare(opts)
  local o = options.check("compare", opts, M.schema.compare)
  local list = entries(o.embeddings)
  experiment_of(o, o.data, embed.random {}, {})
  return setmetatable({ options = o, entries = list }, class)
end

--- Whether a value is a comparison.
function M.is(v) return type(v) == "table" and getmetatable(v) == class end

function class:__tostring()
  local names = {}
  for i, e in ipairs(self.entries) do names[i] = e.name end
  return ("Comparison %s: %s, %d seed%s"):format(self.options.name, table.concat(names, ", "), #self.options.seeds,
    #self.options.seeds == 1 and "" or "s")
end

local function renamed(e, name)
  local fields = {}
  for k, v in pairs(e) do fields[k] = v end
  fields.source = name
  return embedding.new(fields)
end

-- A number of kB in what Linux says of this process; nil elsewhere.
local function status_kb(key)
  local f = io.open "/proc/self/status"
  if not f then return nil end
  local kb = f:read("*a"):match(key .. ":%s*(%d+)")
  f:close()
  return tonumber(kb)
end

-- A function that gives the largest MB that the process held since now; nil where the system cannot say.
local function peak_meter()
  collectgarbage()
  local reset = io.open("/proc/self/clear_refs", "w")
  if not reset then return function() end end
  reset:write "5"
  reset:close()
  return function()
    local peak = status_kb "VmHWM"
    return peak and peak / 1024
  end
end

-- Build one, and say what it took.
local function build(v, name, R)
  local peak, started = peak_meter(), core.time()
  local e = v
  if type(v) == "string" then e = embed.read(v) end
  if embed.is_recipe(v) then e = v:build { genes = R:targets(), responses = R, seed = 1 } end
  return { name = name, from = tostring(v), e = renamed(e, name), seconds = core.time() - started, peak_mb = peak() }
end

-- The recipe on its graph rewired, or nil.
local function on_rewired(v)
  if not (embed.is_recipe(v) and v.options.graph) then return nil end
  local graph = require "dynamo.graph"
  local g = v.options.graph
  if type(g) == "string" then g = graph.read(g) end
  return require("dynamo.recipe").with(v, { graph = graph.rewired(g) })
end

local function build_all(self, R)
  local out, wanted = {}, {}
  for _, c in ipairs(self.options.controls) do wanted[c] = true end
  for _, x in ipairs(self.entries) do
    local made = build(x.from, x.name, R)
    made.annotation = embed.is_recipe(x.from) and x.from.name == "annotation"
    out[#out + 1] = made
    if wanted.permuted then
      out[#out + 1] = { name = "permuted:" .. x.name, e = renamed(made.e:permuted(1), "permuted:" .. x.name),
        control = "permuted", of = made, seconds = 0 }
    end
    local rewired = wanted.rewired and on_rewired(x.from)
    if rewired then
      local c = build(rewired, "rewired:" .. x.name, R)
      c.control, c.of = "rewired", made
      out[#out + 1] = c
    end
  end
  return out
end

-- Who covers less of the perturbed genes than this says nothing about the others: it is not asked for the matched ones.
local FEW = 0.1

local function mark_small(self)
  for _, b in ipairs(self.built) do
    b.small = not b.control and b.e:coverage(self.R:targets()).share < FEW
  end
end

-- ---- scores ----------------------------------------------------------------------

-- Perturbations ("context/name") whose genes have a vector of their own in every embedding that is no control and covers
-- enough.
local function matched(self)
  local keep = {}
  for _, r in ipairs(self.R.rows) do
    local all = true
    for _, b in ipairs(self.built) do
      for _, g in ipairs((b.control or b.small) and {} or r.targets) do all = all and b.e:flag(g) == "embedding" end
    end
    keep[r.context .. "/" .. r.perturbation] = all
  end
  return keep
end

-- Values of a row of the results per seed, and their names, in a context and scope ("all", "matched").
local function collect(self, name, key, context, scope)
  local row, values, names = self:row(name), {}, {}
  if scope == "matched" and self.results.kind == "label" then
    local t = self.label_matched[context][name]
    return t[1], t[2]
  end
  for k in ipairs(self.results.seeds) do
    local list, at = row.values[k][key], self.results.places[k]
    values[k], names[k] = {}, {}
    for i = 1, list and #at.names or 0 do
      if at.context[i] == context and (scope == "all" or self.matched[at.names[i]]) then
        values[k][#values[k] + 1], names[k][#names[k] + 1] = list[i], at.names[i]
      end
    end
  end
  return values, names
end

--- Mean of an embedding with its interval: { mean, lo, hi, n, ... }; scope "all" or "matched" (perturbations
--- whose genes have a vector in every embedding).
---@param name string  of an embedding or control: "text", "permuted:text", "random"
---@param key string  "pearson@centroid/all-target", "auroc"
---@param context? string  default: the first
---@param scope? string  default "all"
---@return table
function class:summary(name, key, context, scope)
  local v, names = collect(self, name, key, context or self.results.contexts[1], scope or "all")
  return evaluate.summarise(v, { names = names, draws = self.options.draws })
end

--- The row of the results that belongs to an embedding or control; EVALUE with the nearest name.
---@param name string
---@return table
function class:row(name)
  local row = self.rows[name]
  if row then return row end
  err.raise { code = "EVALUE", message = ("compare: no embedding '%s'%s"):format(tostring(name),
    options.suggestion(tostring(name), label.sorted_keys(self.rows))) }
end

--- Difference of two embeddings on the same perturbations: { mean, lo, hi, p, n, wins }.
---@param a string
---@param b string
---@param key string
---@param context? string
---@param scope? string
---@return table
function class:difference(a, b, key, context, scope)
  context, scope = context or self.results.contexts[1], scope or "all"
  local x, names = collect(self, a, key, context, scope)
  local y, names_b = collect(self, b, key, context, scope)
  return evaluate.paired(x, y, { names = names, names_b = names_b, draws = self.options.draws })
end

-- Means over seeds by name.
local function by_name(self, name, key, context, scope)
  local values, names = collect(self, name, key, context, scope)
  local sum, n = {}, {}
  for k, list in ipairs(values) do
    for i, v in ipairs(list) do
      local at = names[k][i]
      if v == v then sum[at], n[at] = (sum[at] or 0) + v, (n[at] or 0) + 1 end
    end
  end
  for at, v in pairs(sum) do sum[at] = v / n[at] end
  return sum
end

--- Mean rank of every embedding and control over perturbations (1 is best; ties share their mean rank).
---@param key string
---@param context? string
---@param scope? string
---@return table<string, number> by name
function class:ranks(key, context, scope)
  context, scope = context or self.results.contexts[1], scope or "all"
  local by, total, n = {}, {}, 0
  for _, name in ipairs(self.names) do by[name], total[name] = by_name(self, name, key, context, scope), 0 end
  for _, at in ipairs(label.sorted_keys(by[self.names[1]])) do
    local complete = true
    for _, name in ipairs(self.names) do complete = complete and by[name][at] ~= nil end
    for _, a in ipairs(complete and self.names or {}) do
      local rank = 1
      for _, b in ipairs(self.names) do
        if a ~= b then rank = rank + (by[b][at] > by[a][at] and 1 or by[b][at] == by[a][at] and 0.5 or 0) end
      end
      total[a] = total[a] + rank
    end
    n = n + (complete and 1 or 0)
  end
  for name, t in pairs(total) do total[name] = n > 0 and t / n or 0 / 0 end
  return total
end

-- The gene sets of the comparison: those that were given, or those that an annotation among the embeddings is made of.
local function sets_of(self)
  local sets = self.options.sets
  for _, x in ipairs(self.entries) do
    sets = sets or embed.is_recipe(x.from) and x.from.name == "annotation" and x.from.options.sets
  end
  return sets or nil
end

-- What is compared, and random vectors for the same genes.
local function with_random(built)
  local out = {}
  for i, b in ipairs(built) do
    out[i] = b
    if not (b.control or b.small) and not out.random then
      out.random = { name = "random", control = "random", e = embed.random(b.e.genes, { dim = b.e:dim() }) }
    end
  end
  out[#out + 1], out.random = out.random, nil
  return out
end

-- ---- labels on fewer perturbations ---------------------------------------------------

-- Values per gene from the matched perturbations of a context alone: { values per seed, names per seed } by embedding.
local function label_scores(self, context)
  local out = {}
  for _, name in ipairs(self.names) do
    local values, names = {}, {}
    for k, S in ipairs(self.results.splits) do
      local rows, at = {}, {}
      for i, r in ipairs(S.test) do
        local row = self.R.rows[r]
        if row.context == context and self.matched[row.context .. "/" .. row.perturbation] then
          rows[#rows + 1], at[#at + 1] = r, i
        end
      end
      values[k], names[k] = {}, {}
      if #rows > 0 then
        local scores, info = evaluate.score(self.R, rows, self:row(name).kept[k]:index(1, at), {})
        values[k], names[k] = scores.auroc, info.names
      end
    end
    out[name] = { values, names }
  end
  return out
end

-- For labels, a perturbation is not a value but a part of every value: the matched scores are computed anew.
local function score_matched_labels(self)
  self.label_matched = {}
  if self.results.kind ~= "label" then return end
  for _, context in ipairs(self.results.contexts) do self.label_matched[context] = label_scores(self, context) end
  for _, r in ipairs(self.results.rows) do r.kept = nil end
end

-- ---- running ---------------------------------------------------------------------

local function beside(self, path)
  local there = self.folder and self.folder .. "/" .. path
  return there and core.stat(there) and there or path
end

-- The responses that embeddings are built on, and the data of the experiment: with steps of preparation the cells, which
-- it prepares from the training cells of its splits, and the responses are those that come of it.
local function data_of(self)
  local d, o = self.options.data, self.options
  if type(d) == "string" then
    d = require("dynamo.data").read(beside(self, d), { counts = o.prepare ~= nil,
      symbols = o.symbols and beside(self, o.symbols) })
  end
  if require("dynamo.responses").is(d) then return d, d end
  if not o.prepare then
    local R = d:responses { min_cells = o.min_cells }
    return R, R
  end
  return require("dynamo.runner").plan(experiment_of(o, d, embed.random {}, {}, self.words)).R, d
end

-- Rows of the results by embedding: those of the main model.
local function find_rows(self)
  self.rows, self.names = {}, {}
  local main = self.results:main()
  for _, r in ipairs(self.results.rows) do
    local ours = r == main or r.changed == "embedding" or r.kind == "control"
    if ours and not self.rows[r.embedding] then
      self.rows[r.embedding] = r
      self.names[#self.names + 1] = r.embedding
    end
  end
end

--- Run it: embeddings, fits, tables; writes the files of an experiment and compare.csv. Raises what building, data, split
--- and model raise.
---@param opts? table  { quiet = no progress, silent = no table, write = true }
---@return table self  with `results` (of the experiment), `built` (embeddings and what they cost)
function class:run(opts)
  opts = opts or {}
  local data
  self.R, data = data_of(self)
  local inner = { quiet = opts.quiet, silent = true, write = opts.write, keep = self.R.kind == "label" }
  self.built = build_all(self, self.R)
  mark_small(self)
  local rest = {}
  for i = 2, #self.built do rest[#rest + 1] = self.built[i].e end
  local exp = experiment_of(self.options, data, self.built[1].e, rest, self.words)
  self.results = require("dynamo.experiment").run(exp, inner)
  self.options.draws = exp.options.draws
  self.matched = matched(self)
  find_rows(self)
  score_matched_labels(self)
  self.sets = sets_of(self)
  self.biology = self.sets and biology.shared(with_random(self.built), self.sets) or { genes = {}, auroc = {} }
  if opts.write ~= false then tables.write(self, self.results.folder) end
  if not opts.silent then io.write(self:text(), "\n") end
  return self
end

-- ---- tables ----------------------------------------------------------------------

--- Every difference that is claimed, at one reference, on the matched perturbations: { a, b, scope, difference, holm } for
--- each embedding against its controls and random vectors. Holm's correction is over the list.
---@param key string
---@param context? string
---@return table[]
function class:claims(key, context)
  local out, p = {}, {}
  local function add(a, b, kind)
    local d = self:difference(a, b, key, context, "matched")
    if d.n == 0 then return end
    out[#out + 1] = { a = a, b = b, scope = "matched", difference = d, kind = kind }
    p[#p + 1] = d.p
  end
  for _, b in ipairs(self.built) do
    if b.control then add(b.of.name, b.name, b.control) elseif self.rows.random then add(b.name, "random", "random") end
  end
  for i, v in ipairs(evaluate.holm(p)) do out[i].holm = v end
  return out
end

--- The tables and claims as text.
---@return string
function class:text() return tables.text(self) end

--- The same in Markdown.
---@return string
function class:markdown() return tables.markdown(self) end

--- The text of compare.csv: a line per embedding and scope, and one per difference, and one per AUROC of shared gene sets.
---@return string
function class:csv() return tables.csv(self) end

--- The columns of compare.csv.
M.columns = tables.columns

-- ---- the command -----------------------------------------------------------------

-- The comparison that a Lua file returns.
local function of_file(path)
  local folder = path:match "^(.*)/[^/]*$"
  err.expect_file(path, true)
  local chunk, message = loadfile(path)
  if not chunk then error(message, 0) end
  local c = chunk()
  if not M.is(c) then
    err.raise { code = "EFORMAT", file = path, message = "returns " .. (c == nil and "nothing" or options.quote(c))
      .. ", expected dynamo.compare { ... }" }
  end
  c.folder = folder
  return c
end

-- The comparison of the files named on a command line.
local function of_files(o)
  local list, graph = {}, require "dynamo.graph"
  for _, path in ipairs(o.graphs or {}) do
    local g = graph.read(path)
    for _, make in ipairs { embed.node2vec, embed.spectral, embed.netmf } do
      local dim = make == embed.spectral and math.max(1, math.min(128, g:component():nodes() - 2)) or 128
      list[#list + 1] = make { graph = g, dim = dim }
    end
  end
  local sets = #(o.sets or {}) > 0 and require("dynamo.annotation").read(o.sets) or nil
  if sets then list[#list + 1] = embed.annotation { sets = sets } end
  for _, path in ipairs(o.texts or {}) do list[#list + 1] = embed.text { texts = path } end
  for _, path in ipairs(o.vectors or {}) do list[#list + 1] = path end
  if o.coexpression then list[#list + 1] = embed.coexpression {} end
  if #list == 0 then
    err.raise { code = "EUSAGE", message = "compare: nothing to compare; give --graph, --sets, --text, --vectors or "
      .. "--coexpression" }
  end
  return M.compare { data = o.what, embeddings = list, sets = sets }
end

--- What `dynamo compare` does. Raises EUSAGE and what the run raises.
---@param o table  { what = FILE.lua or data file, graphs =, sets =, texts =, vectors =, coexpression =, settings =,
---  out =, quiet = }
---@return table Comparison
function M.main(o)
  require("dynamo.setting").give(o.settings or {})
  local c = o.what:match "%.lua$" and of_file(o.what) or of_files(o)
  c.words = {}
  local known = require("dynamo.setting").known
  for _, w in ipairs(o.settings or {}) do
    if not known[w:match "^[^=]*"] then c.words[#c.words + 1] = w end
  end
  experiment_of(c.options, c.options.data, embed.random {}, {}, c.words) -- a wrong word, before the work
  if o.out then c.words[#c.words + 1] = "out=" .. o.out end
  return c:run { quiet = o.quiet }
end

return M
