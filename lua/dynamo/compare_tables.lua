--- What a comparison of embeddings says: tables, sentences and files. See dynamo.compare.
local biology = require "dynamo.biology"
local core = require "dynamo.core"
local label = require "dynamo.label"
local plot = require "dynamo.plot"
local results = require "dynamo.results"
local tabular = require "dynamo.table"

local M = {}

local SCOPES = { "all", "matched" }

--- The columns of compare.csv.
M.columns = { "comparison", "context", "metric", "scope", "embedding", "versus", "value", "lo", "hi", "p", "holm", "n",
  "rank" }

-- ---- costs and coverage ------------------------------------------------------------

local function built_as(self, name)
  for _, b in ipairs(self.built) do
    if b.name == name then return b end
  end
end

local function tested_genes(self)
  local seen, tested = {}, {}
  for _, S in ipairs(self.results.splits) do
    for _, g in ipairs(self.R:targets(S.test)) do
      if not seen[g] then seen[g], tested[#tested + 1] = true, g end
    end
  end
  return tested
end

local function percent(part, all) return ("%.0f%%"):format(100 * part / math.max(1, all)) end

-- What each embedding covers and cost.
local function cost_table(self)
  local t = { title = "coverage of the tested genes, and cost", rows = {},
    columns = { "embedding", "dim", "own vector", "neighbours", "mean", "build s", "peak MB", "fit s" },
    notes = { "build: from files to vectors; peak: of the whole process meanwhile; fit: all seeds" } }
  local tested = tested_genes(self)
  for _, name in ipairs(self.names) do
    local b, fit = built_as(self, name), tabular.number(self:row(name).seconds, 1)
    if b then
      local c = b.e:coverage(tested)
      t.rows[#t.rows + 1] = { name, b.e:dim(), percent(#c.covered, #tested), percent(#c.neighbours, #tested),
        percent(#c.mean, #tested), b.control == "permuted" and "–" or tabular.number(b.seconds, 2),
        b.control == "permuted" and "–" or tabular.number(b.peak_mb, 0), fit }
    else
      t.rows[#t.rows + 1] = { name, self.built[1].e:dim(), "100%", "0%", "0%", "–", "–", fit }
    end
  end
  return t
end

-- ---- scores --------------------------------------------------------------------------

local function cell(s) return tabular.interval(s.mean, s.lo, s.hi) end

-- How many tested perturbations of a context there are, and how many are matched.
local function counts(self, context)
  local seen, all, matched = {}, 0, 0
  for _, S in ipairs(self.results.splits) do
    for _, i in ipairs(S.test) do
      local r = self.R.rows[i]
      local at = r.context .. "/" .. r.perturbation
      if r.context == context and not seen[at] then
        seen[at], all = true, all + 1
        matched = matched + (self.matched[at] and 1 or 0)
      end
    end
  end
  return all, matched
end

-- AUROC of shared sets; a star where the embedding was made of sets.
local function biology_cell(self, name)
  local b = built_as(self, name)
  local star = b and (b.annotation or b.of and b.of.annotation) and not b.control
  return tabular.number(self.biology.auroc[name], 3) .. (star and "*" or "")
end

-- The embeddings that were not asked for the matched perturbations, or nil.
local function small_ones(self)
  local names = {}
  for _, b in ipairs(self.built) do
    if b.small then names[#names + 1] = b.name end
  end
  if #names == 0 then return nil end
  return "not asked for them, with a vector for less than 10% of the perturbed genes: " .. table.concat(names, ", ")
end

-- The names, best mean on the matched perturbations first (on all if none is matched).
local function ordered(self, key, context)
  local _, matched = counts(self, context)
  local order = {}
  for i, name in ipairs(self.names) do
    local mean = self:summary(name, key, context, matched > 0 and "matched" or "all").mean
    order[i] = { name = name, mean = mean == mean and mean or -math.huge, place = i }
  end
  table.sort(order, function(a, b) return a.mean > b.mean or a.mean == b.mean and a.place < b.place end)
  return order
end

local function score_table(self, context, head)
  local key, all, matched = head[1], counts(self, context)
  local t = { columns = { "embedding", "all [95%]", "matched [95%]", "rank" }, rows = {}, notes = {} }
  t.title = ("%s, %s: %s (%s), %s on each embedding"):format(self.options.name, label.safe(context), head[2], key,
    self.results:main().model)
  if #self.biology.genes >= 10 then t.columns[5] = "shared sets" end
  local ranks = self:ranks(key, context, "all")
  for i, x in ipairs(ordered(self, key, context)) do
    t.rows[i] = { x.name, cell(self:summary(x.name, key, context, "all")),
      cell(self:summary(x.name, key, context, "matched")), tabular.number(ranks[x.name], 2) }
    if t.columns[5] then t.rows[i][5] = biology_cell(self, x.name) end
  end
  t.notes[1] = ("matched: the %d of %d tested perturbations whose genes have a vector in every embedding"):format(matched,
    all)
  t.notes[2] = small_ones(self)
  if t.columns[5] then
    t.notes[#t.notes + 1] = ("shared sets: AUROC of the cosine for pairs of %d genes in a common set"):format(
      #self.biology.genes)
    t.notes[#t.notes + 1] = "*: made of gene sets itself, so it has seen the answer"
  end
  return t
end

local function verdict(c)
  local d = c.difference
  if not d.lo then return "too few perturbations to say" end
  if d.lo > 0 and c.holm < 0.05 then return c.kind == "rewired" and "the graph helps" or "it helps" end
  if d.hi < 0 and c.holm < 0.05 then return "it hurts" end
  return "no evidence that " .. (c.kind == "rewired" and "the graph helps" or "it helps")
end

-- The claims at a reference as sentences.
local function sentences(self, context, head)
  local out = {}
  for _, c in ipairs(self:claims(head[1], context)) do
    out[#out + 1] = ("%s - %s: %s, Holm %.2g: %s"):format(c.a, c.b, results.difference_text(c.difference), c.holm,
      verdict(c))
  end
  return out
end

-- f(context, head) for every table of scores.
local function each(self, f)
  for _, context in ipairs(self.results.contexts) do
    for _, h in ipairs(self.results.head) do f(context, h) end
  end
end

-- ---- text, Markdown, CSV ----------------------------------------------------------------

--- The tables and claims for a terminal.
---@param self table Comparison
---@return string
function M.text(self)
  local out = {}
  local function add(t)
    out[#out + 1], out[#out + 2] = t.title .. "\n", tabular.format(t.columns, t.rows)
    for _, n in ipairs(t.notes) do out[#out + 1] = n end
    out[#out + 1] = ""
  end
  each(self, function(context, h)
    add(score_table(self, context, h))
    for _, line in ipairs(sentences(self, context, h)) do out[#out + 1] = line end
    out[#out + 1] = ""
  end)
  add(cost_table(self))
  if self.results.folder then
    out[#out + 1] = ("wrote %s/compare.csv, compare_cost.csv, compare.md%s"):format(self.results.folder,
      self.results.report and ", compare.html" or "")
  end
  return table.concat(out, "\n")
end

--- The tables and claims in Markdown.
---@param self table Comparison
---@return string
function M.markdown(self)
  local out = { "# " .. self.options.name, "" }
  if self.options.question then out[#out + 1] = self.options.question .. "\n" end
  local function add(t)
    out[#out + 1], out[#out + 2] = "## " .. t.title .. "\n", tabular.markdown(t.columns, t.rows) .. "\n"
    for _, n in ipairs(t.notes) do out[#out + 1] = n:gsub("%*", "\\*") .. "\n" end
  end
  each(self, function(context, h)
    add(score_table(self, context, h))
    for _, line in ipairs(sentences(self, context, h)) do out[#out + 1] = "- " .. line end
    out[#out + 1] = ""
  end)
  add(cost_table(self))
  return table.concat(out, "\n")
end

--- The text of compare.csv: numbers that depend on the seed alone.
---@param self table Comparison
---@return string
function M.csv(self)
  local lines, name = {}, self.options.name
  each(self, function(context, h)
    for _, scope in ipairs(SCOPES) do
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
  end)
  for _, e in ipairs(self.names) do
    local auroc = self.biology.auroc[e]
    if auroc then
      lines[#lines + 1] = { name, "", "auroc of shared sets", "matched", e, "", auroc, nil, nil, nil, nil,
        #self.biology.genes }
    end
  end
  return tabular.csv(M.columns, lines)
end

-- ---- the report --------------------------------------------------------------------------

-- Scores with their intervals, best first.
local function score_figure(self, context, head)
  local names, values, lo, hi = {}, {}, {}, {}
  for i, x in ipairs(ordered(self, head[1], context)) do
    local s = self:summary(x.name, head[1], context, "matched")
    names[i], values[i], lo[i], hi[i] = x.name, s.mean, s.lo, s.hi
  end
  local title = ("%s, %s"):format(head[2], label.safe(context))
  local svg, why = plot.bars { names = names, values = values, lo = lo, hi = hi, single = true, title = title,
    ylabel = head[1], references = self.results.kind == "label" and { { 0.5, "chance" } } or nil }
  return { title = title, svg = svg, why = why,
    caption = "Means and 95% intervals over the matched perturbations, best first; permuted, rewired and random are controls." }
end

-- A small picture of every embedding, on the same genes and with the same sets in colour.
local function pictures(self, out)
  local genes = self.biology.genes
  if #genes < 50 then return end
  local sets = biology.telling(genes, biology.sets(self.sets), 4)
  for _, b in ipairs(self.built) do
    if not (b.control or b.small) then
      local p = b.e:align(genes):picture { sets = #sets > 0 and sets or nil, steps = 500, title = b.name }
      local svg, why = p:draw { width = 380, height = 420 }
      out[#out + 1] = { title = "Picture of " .. b.name, svg = svg, why = why,
        caption = ("t-SNE of %d genes that all cover, trustworthiness %.3f; in colour the largest gene sets with little "
          .. "overlap."):format(#genes, p.trustworthiness) }
    end
  end
end

local function report_of(self)
  local r = { title = "Comparison of embeddings: " .. self.options.name, intro = { self.options.question }, facts = {
    { "Data", tostring(self.R) }, { "Split", tostring(self.results.splits[1]) },
    { "Model", tostring(self.results:main().recipe) }, { "Seeds", table.concat(self.results.seeds, " ") },
    { "Bootstrap", ("%d resamples of perturbations (labels: of genes), percentile 95%%"):format(self.options.draws) } },
    tables = {}, figures = {}, notes = {} }
  for _, b in ipairs(self.built) do
    if not b.control then r.facts[#r.facts + 1] = { b.name, b.from } end
  end
  each(self, function(context, h)
    r.tables[#r.tables + 1] = score_table(self, context, h)
    r.figures[#r.figures + 1] = score_figure(self, context, h)
    for _, line in ipairs(sentences(self, context, h)) do
      r.intro[#r.intro + 1] = ("%s, %s: %s"):format(label.safe(context), h[2], line)
    end
  end)
  r.tables[#r.tables + 1] = cost_table(self)
  pictures(self, r.figures)
  r.notes = { "Differences are on the same perturbations, matched ones only; p: sign-flip test, Holm over each list. A "
    .. "permuted embedding has the same vectors under other names; a rewired graph the same degrees and other edges." }
  return r
end

-- Seconds and memory differ from run to run: a file of their own.
local function costs_csv(self)
  local t = cost_table(self)
  for _, r in ipairs(t.rows) do
    for j, v in ipairs(r) do r[j] = v ~= "–" and v or nil end
  end
  return tabular.csv(t.columns, t.rows)
end

--- Write compare.csv, compare_cost.csv, compare.md and, where the comparison has a report, compare.html.
---@param self table Comparison
---@param folder string
function M.write(self, folder)
  core.write_file(folder .. "/compare.csv", M.csv(self))
  core.write_file(folder .. "/compare_cost.csv", costs_csv(self))
  core.write_file(folder .. "/compare.md", M.markdown(self))
  if self.results.experiment.options.report then
    require("dynamo.report").write(folder .. "/compare.html", report_of(self))
  end
end

return M
