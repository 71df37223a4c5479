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
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local options = require "dynamo.options"
local results = require "dynamo.results"
local tabular = require "dynamo.table"

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

-- Build one, and say how long it took.
local function build(v, name, R)
  local started = core.time()
  local e = v
  if type(v) == "string" then e = embed.read(v) end
  if embed.is_recipe(v) then e = v:build { genes = R:targets(), responses = R, seed = 1 } end
  return { name = name, e = renamed(e, name), seconds = core.time() - started }
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

-- ---- scores ----------------------------------------------------------------------

-- Perturbations ("context/name") whose genes have a vector in every embedding that is no control.
local function matched(self)
  local keep = {}
  for _, r in ipairs(self.R.rows) do
    local all = true
    for _, b in ipairs(self.built) do
      for _, g in ipairs(b.control and {} or r.targets) do all = all and b.e:has(g) end
    end
    keep[r.context .. "/" .. r.perturbation] = all
  end
  return keep
end

-- Values of a row of the results per seed, and their names, in a context and scope ("all", "matched").
local function collect(self, row, key, context, scope)
  local values, names = {}, {}
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
  local v, names = collect(self, self:row(name), key, context or self.results.contexts[1], scope or "all")
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
  local x, names = collect(self, self:row(a), key, context, scope)
  local y, names_b = collect(self, self:row(b), key, context, scope)
  return evaluate.paired(x, y, { names = names, names_b = names_b, draws = self.options.draws })
end

-- Means over seeds by name.
local function by_name(self, name, key, context, scope)
  local values, names = collect(self, self:row(name), key, context, scope)
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

-- AUROC of telling from the cosine which two genes share a set; genes in all embeddings and in a set, 800 at most.
local function biology(self)
  local sets = self.options.sets
  if not sets then return {} end
  if type(sets) == "string" or type(sets[1]) == "string" then sets = require("dynamo.annotation").read(sets) end
  local inside, genes = {}, {}
  for _, s in ipairs(sets.sets or sets) do
    for _, g in ipairs(#s.genes <= 500 and s.genes or {}) do inside[g] = true end
  end
  for _, g in ipairs(label.sorted_keys(inside)) do
    local all = true
    for _, b in ipairs(self.built) do all = all and (b.control or b.e:has(g)) end
    if all then genes[#genes + 1] = g end
  end
  if #genes < 10 then return {} end
  local order, some = core.permutation(#genes, 1, "compare.biology"), {}
  for i = 1, math.min(800, #genes) do some[i] = genes[order[i]] end
  local m = core.membership(some, sets.sets or sets, { least = 1, most = 500 })
  local n = #some
  local shares = m:matmul(m:t():dense "double"):gt(0):to("double"):reshape(n * n, 1)
  local off = (core.full(1, n, n, "double") - core.eye(n, "double")):reshape(n * n, 1)
  local out = { genes = n }
  for _, b in ipairs(self.built) do
    local at = b.e:align(some)
    if #at.genes == n then
      local rows = {}
      for i = 1, n do rows[i] = at:index(some[i]) end
      out[b.name] = core.auroc_cols(core.cosine(at.values, rows, rows):reshape(n * n, 1), shares, off):get(1)
    end
  end
  return out
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
  local inner = { quiet = opts.quiet, silent = true, write = opts.write }
  local data
  self.R, data = data_of(self)
  self.built = build_all(self, self.R)
  local rest = {}
  for i = 2, #self.built do rest[#rest + 1] = self.built[i].e end
  local exp = experiment_of(self.options, data, self.built[1].e, rest, self.words)
  self.results = require("dynamo.experiment").run(exp, inner)
  self.options.draws = exp.options.draws
  self.matched = matched(self)
  find_rows(self)
  self.biology = biology(self)
  if opts.write ~= false then core.write_file(self.results.folder .. "/compare.csv", self:csv()) end
  if not opts.silent then io.write(self:text(), "\n") end
  return self
end

-- ---- tables ----------------------------------------------------------------------

local function scopes(self) return self.results.kind == "label" and { "all" } or { "all", "matched" } end

-- What an embedding cost and covers: { dim, share of the tested genes, seconds to build, to fit }.
local function cost(self, name)
  local row, seen, tested = self:row(name), {}, {}
  for _, S in ipairs(self.results.splits) do
    for _, g in ipairs(self.R:targets(S.test)) do
      if not seen[g] then seen[g], tested[#tested + 1] = true, g end
    end
  end
  for _, b in ipairs(self.built) do
    if b.name == name then
      return { dim = b.e:dim(), share = b.e:coverage(tested).share, build = b.seconds, fit = row.seconds }
    end
  end
  return { dim = self.built[1].e:dim(), share = 1, build = 0, fit = row.seconds }
end

local function cell(s) return tabular.interval(s.mean, s.lo, s.hi) end

-- The table of a context at one reference, best mean first.
local function score_table(self, context, head)
  local key, t = head[1], { columns = { "embedding", "dim", "cover", "all [95%]" }, rows = {} }
  local list, ranks = scopes(self), self:ranks(head[1], context, "all")
  if list[2] then t.columns[#t.columns + 1] = "matched [95%]" end
  for _, c in ipairs { "rank", "build s", "fit s" } do t.columns[#t.columns + 1] = c end
  if self.biology.genes then t.columns[#t.columns + 1] = "shared sets" end
  local order = {}
  for i, name in ipairs(self.names) do
    local s = self:summary(name, key, context, list[2] or "all")
    order[i] = { name = name, mean = s.mean == s.mean and s.mean or -math.huge, place = i }
  end
  table.sort(order, function(a, b) return a.mean > b.mean or a.mean == b.mean and a.place < b.place end)
  for _, x in ipairs(order) do
    local c = cost(self, x.name)
    local line = { x.name, c.dim, ("%.0f%%"):format(100 * c.share) }
    for _, scope in ipairs(list) do line[#line + 1] = cell(self:summary(x.name, key, context, scope)) end
    line[#line + 1] = tabular.number(ranks[x.name], 2)
    line[#line + 1], line[#line + 2] = tabular.number(c.build, 1), tabular.number(c.fit, 1)
    if self.biology.genes then line[#line + 1] = tabular.number(self.biology[x.name], 3) end
    t.rows[#t.rows + 1] = line
  end
  return t
end

--- Every difference that is claimed, at one reference: { a, b, scope, difference, holm } for each embedding against its
--- controls and random vectors. Holm's correction is over the list.
---@param key string
---@param context? string
---@return table[]
function class:claims(key, context)
  local out, p = {}, {}
  local scope = scopes(self)[2] or "all"
  for _, b in ipairs(self.built) do
    local pairs_ = {}
    if b.control then pairs_[1] = { b.of.name, b.name } elseif self.rows.random then pairs_[1] = { b.name, "random" } end
    for _, x in ipairs(pairs_) do
      local d = self:difference(x[1], x[2], key, context, scope)
      if d.n > 0 then
        out[#out + 1] = { a = x[1], b = x[2], scope = scope, difference = d, kind = b.control or "random" }
        p[#p + 1] = d.p
      end
    end
  end
  for i, v in ipairs(evaluate.holm(p)) do out[i].holm = v end
  return out
end

local function verdict(c)
  local d = c.difference
  if not d.lo then return "too few perturbations to say" end
  if d.lo > 0 and c.holm < 0.05 then return c.kind == "rewired" and "the graph helps" or "it helps" end
  if d.hi < 0 and c.holm < 0.05 then return "it hurts" end
  return "no evidence that " .. (c.kind == "rewired" and "the graph helps" or "it helps")
end

--- The tables and claims as text.
---@return string
function class:text()
  local out = {}
  for _, context in ipairs(self.results.contexts) do
    for _, h in ipairs(self.results.head) do
      local t = score_table(self, context, h)
      local first = self.names[1]
      local n, all = self:summary(first, h[1], context, "matched").n, self:summary(first, h[1], context, "all").n
      out[#out + 1] = ("%s, %s: %s (%s), %s on each embedding\n"):format(self.options.name, label.safe(context), h[2], h[1],
        self.results:main().model)
      out[#out + 1] = tabular.format(t.columns, t.rows)
      if self.results.kind ~= "label" then
        out[#out + 1] = ("matched: the %d of %d tested perturbations whose genes have a vector in every embedding"):format(n,
          all)
      end
      out[#out + 1] = ""
      for _, c in ipairs(self:claims(h[1], context)) do
        out[#out + 1] = ("%s - %s: %s, Holm %.2g: %s"):format(c.a, c.b, results.difference_text(c.difference), c.holm,
          verdict(c))
      end
      out[#out + 1] = ""
    end
  end
  if self.biology.genes then
    out[#out + 1] = ("shared sets: AUROC of the cosine for pairs of %d genes in a common set (an embedding made of these "
      .. "sets has seen the answer)"):format(self.biology.genes)
  end
  if self.results.folder then out[#out + 1] = ("wrote %s/compare.csv"):format(self.results.folder) end
  return table.concat(out, "\n")
end

--- The columns of compare.csv.
M.columns = { "comparison", "context", "metric", "scope", "embedding", "versus", "value", "lo", "hi", "p", "holm", "n",
  "rank" }

--- The text of compare.csv: a line per embedding and scope, and one per difference.
---@return string
function class:csv()
  local lines, name = {}, self.options.name
  for _, context in ipairs(self.results.contexts) do
    for _, h in ipairs(self.results.head) do
      for _, scope in ipairs(scopes(self)) do
        local ranks = self:ranks(h[1], context, scope)
        for _, e in ipairs(self.names) do
          local s = self:summary(e, h[1], context, scope)
          lines[#lines + 1] = { name, context, h[1], scope, e, "", s.mean, s.lo, s.hi, nil, nil, s.n_defined, ranks[e] }
        end
      end
      for _, c in ipairs(self:claims(h[1], context)) do
        local d = c.difference
        lines[#lines + 1] = { name, context, h[1], c.scope, c.a, c.b, d.mean, d.lo, d.hi, d.p, c.holm, d.n }
      end
    end
  end
  return tabular.csv(M.columns, lines)
end

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
