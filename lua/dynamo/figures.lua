--- The report of a run: which figures and tables, and the sentences around them.
local calibration = require "dynamo.calibration"
local core = require "dynamo.core"
local evaluate = require "dynamo.evaluate"
local label = require "dynamo.label"
local leakage = require "dynamo.leakage"
local metrics = require "dynamo.metrics"
local plot = require "dynamo.plot"
local responses = require "dynamo.responses"
local tabular = require "dynamo.table"

local M = {}

local POINTS = 200000 -- more of them are thinned for a figure

local function figure(title, caption, svg, why) return { title = title, caption = caption, svg = svg, why = why } end

-- ---- predicted against observed --------------------------------------------------------

-- Every k-th entry of two matrices as lists, at most POINTS of them.
local function thinned(a, b)
  local n = a:count()
  local x, y = a:reshape(n), b:reshape(n)
  local step = math.ceil(n / POINTS)
  if step > 1 then
    local list = {}
    for i = 1, n, step do list[#list + 1] = i end
    x, y = x:index(1, list), y:index(1, list)
  end
  return x:totable(), y:totable()
end

-- Correlation and slope (observed on predicted) of all entries, unobserved ones are 0 in both.
local function relation(p, t)
  local n = p:count()
  local a, b = p - p:mean(), t - t:mean()
  local xx, yy, xy = (a * a):sum():item(), (b * b):sum():item(), (a * b):sum():item()
  return xx > 0 and yy > 0 and xy / math.sqrt(xx * yy) or 0 / 0, xx > 0 and xy / xx or 0 / 0, n
end

local function pair(results, places)
  local S, main = results.splits[1], results:main()
  local rows = {}
  for k, i in ipairs(places) do rows[k] = S.test[i] end
  local t = responses.pick(results.R.delta, rows)
  return responses.pick(main.first, places), t
end

local function everything(results)
  local all = {}
  for i = 1, #results.splits[1].test do all[i] = i end
  local p, t = pair(results, all)
  local r, slope, n = relation(p, t)
  local x, y = thinned(p, t)
  local svg, why = plot.scatter { x = x, y = y, diagonal = true, title = "all tested perturbations",
    xlabel = "predicted change (log1p)", ylabel = "observed change (log1p)" }
  return figure("Predicted against observed change", ("Seed %d, %d perturbations x %d genes: r = %.3f, slope of observed on "
    .. "predicted = %.2f, n = %s."):format(results.seeds[1], #all, #results.R.genes, r, slope, responses.commas(n)), svg, why)
end

-- Names for the points of the ten largest observed changes.
local function marks(R, p, t)
  local order, out = t:abs():argsort(true), {}
  for k = 1, math.min(10, #order) do
    local g = order[k]
    out[k] = { p:get(g), t:get(g), R.genes[g] }
  end
  return out
end

local function one(results, place, word, score)
  local p, t = pair(results, { place })
  p, t = p:select(1, 1), t:select(1, 1)
  local r = results.R.rows[results.splits[1].test[place]]
  local x, y = thinned(p, t)
  local svg, why = plot.scatter { x = x, y = y, diagonal = true, marks = marks(results.R, p, t),
    title = ("%s (%s)"):format(r.perturbation, r.context), xlabel = "predicted change", ylabel = "observed change" }
  return figure(("%s: %s"):format(word, label.safe(r.perturbation)), ("Pearson Delta without the target %.3f; the ten "
    .. "largest observed changes are named; %s cells."):format(score, responses.commas(r.n_cells)), svg, why)
end

local function extremes(results, out)
  local scores, order = results:main().values[1][results.head[1][1]], {}
  for i, v in ipairs(scores) do
    if v == v then order[#order + 1] = i end
  end
  table.sort(order, function(a, b) return scores[a] > scores[b] or scores[a] == scores[b] and a < b end)
  if #order < 4 then return end
  for k, word in ipairs { "Best", "Second best", "Second worst", "Worst" } do
    local at = k <= 2 and order[k] or order[#order - 4 + k]
    out[#out + 1] = one(results, at, word, scores[at])
  end
end

-- ---- scores ------------------------------------------------------------------------------

-- Values of a row over seeds, one per perturbation.
local function pooled(results, r, key, context)
  local sum, count, order = {}, {}, {}
  for k in ipairs(results.seeds) do
    local at, list = results.places[k], r.values[k][key] or {}
    for i, v in ipairs(list) do
      local name = at.names[i]
      if v == v and at.context[i] == context then
        if not count[name] then sum[name], count[name], order[#order + 1] = 0, 0, name end
        sum[name], count[name] = sum[name] + v, count[name] + 1
      end
    end
  end
  local out = {}
  for i, name in ipairs(order) do out[i] = sum[name] / count[name] end
  return out
end

local function distributions(results, out)
  for _, context in ipairs(results.contexts) do
    for _, h in ipairs(results.head) do
      local groups = {}
      for _, r in ipairs(results.rows) do
        local on = r.embedding == "random" and " (random)" or r.changed == "embedding" and " " .. r.embedding or ""
        groups[#groups + 1] = { name = r.model .. on, values = pooled(results, r, h[1], context) }
      end
      local svg, why = plot.distribution { groups = groups, title = ("%s, %s"):format(h[2], context), ylabel = "score" }
      out[#out + 1] = figure(("Scores per %s at %s, %s"):format(results.kind == "label" and "gene" or "perturbation", h[2],
        label.safe(context)), "Boxes: quartiles; whiskers: 5% and 95%; dots: single values, mean over seeds.", svg, why)
    end
  end
end

-- ---- the model ------------------------------------------------------------------------------

-- Mean, least and largest of the members' curves.
local function band(curves, part)
  local y, lo, hi = {}, {}, {}
  for epoch = 1, curves[1] and #curves[1][part] or 0 do
    local sum, n = 0, 0
    for _, c in ipairs(curves) do
      local v = c[part][epoch]
      if v then
        sum, n = sum + v, n + 1
        lo[epoch], hi[epoch] = math.min(lo[epoch] or v, v), math.max(hi[epoch] or v, v)
      end
    end
    y[epoch] = sum / math.max(n, 1)
  end
  return { y = y, lo = lo, hi = hi }
end

local function learning(results, out)
  local fitted = results:main().fitted
  local series = {}
  for _, context in ipairs(fitted and fitted.models and fitted.contexts or {}) do
    for _, part in ipairs { "train", "validate" } do
      local s = band(fitted.models[context].curves or {}, part)
      s.name = context .. " " .. part
      if #s.y > 0 then series[#series + 1] = s end
    end
  end
  if #series == 0 then return end
  local svg, why = plot.lines { series = series, logy = true, title = "learning curves", xlabel = "epoch",
    ylabel = "mean squared error" }
  out[#out + 1] = figure("Learning curves", "Mean over the ensemble, the band from least to largest; seed "
    .. results.seeds[1] .. ".", svg, why)
end

local function spectrum(results, out)
  local fitted = results:main().fitted
  if not fitted or fitted.head ~= "operator" then return end
  local groups = {}
  for _, i in ipairs(results.splits[1].test) do
    local g = results.R.rows[i].targets[1]
    if #groups < 6 and results.embedding:has(g) and #results.R.rows[i].targets == 1 then
      local ok, values = pcall(function() return fitted:operator(g):eigenvalues() end)
      local re, im = {}, {}
      for k, v in ipairs(ok and values or {}) do re[k], im[k] = v.re, v.im end
      if #re > 0 then groups[#groups + 1] = { name = g, re = re, im = im } end
    end
  end
  if #groups == 0 then return end
  local svg, why = plot.eigenvalues { groups = groups, title = "operators of unseen genes" }
  out[#out + 1] = figure("Eigenvalues of operators", "Operators generated for tested genes from their embeddings (first "
    .. "member, seed " .. results.seeds[1] .. "). 1 leaves a direction as it is.", svg, why)
end

local function retentions(results, out)
  local names, values, lo, hi = {}, {}, {}, {}
  for _, r in ipairs(results.rows) do
    for _, h in ipairs(r.of and r.of.model ~= "mean" and results.head or {}) do
      local t = results:retention(r.of.model, h[1], results.contexts[1])
      if t.retention then
        local k = #names + 1
        names[k], values[k], lo[k], hi[k] = r.of.model .. " " .. h[2], t.retention, t.lo, t.hi
      end
    end
  end
  if #names == 0 then return end
  local svg, why = plot.bars { names = names, values = values, lo = lo, hi = hi, ylabel = "transfer / native",
    title = "retention in " .. results.contexts[1], references = { { 1, "as good as native" } } }
  out[#out + 1] = figure("Transfer retention", "Score of the model trained elsewhere over that of the model trained in "
    .. "this context, the same perturbations and genes.", svg, why)
end

--- The figures of a run: { title, caption, svg or why } each.
---@param results table
---@return table[]
function M.list(results)
  local out = {}
  if results.kind ~= "label" then
    out[1] = everything(results)
    distributions(results, out)
    extremes(results, out)
  else
    distributions(results, out)
  end
  retentions(results, out)
  learning(results, out)
  spectrum(results, out)
  return out
end

-- ---- the report -----------------------------------------------------------------------------

local SCORES = { "pearson@control/all", "pearson@centroid/all", "pearson@control/top20-target",
  "pearson@centroid/top20-target", "cosine@control/all", "mse@none/all", "relerr@control/all", "direction@control/all",
  "pds_l2" }

-- Columns of the other scores: those that were asked for, else SCORES; what the data do not have is left out.
local function other_columns(results)
  local out = {}
  for _, key in ipairs(results.experiment.options.metrics or SCORES) do
    if results:main().values[1][key] then out[#out + 1] = key end
  end
  return out
end

-- Every other score of the rows: a table of means, and the dynamic range of each column where there are cells.
local function more_scores(results, context)
  if results.kind == "label" then return nil end
  local keys, better = other_columns(results), {}
  local t = { columns = { "model", "embedding" }, rows = {}, title = "other scores, " .. label.safe(context) }
  local ranges = { "dynamic range", "" }
  for _, key in ipairs(keys) do
    t.columns[#t.columns + 1] = key
    if metrics.better(key) < 0 then better[#better + 1] = key end
    ranges[#ranges + 1] = tabular.number(results:range(key, context), 2)
  end
  t.notes = { "pds: share of the tested perturbations whose truth is not nearer than the own one; (n + 1) / 2n says nothing." }
  if #better > 0 then t.notes[2] = "Less is better: " .. table.concat(better, ", ") .. "." end
  for _, r in ipairs(results.rows) do
    local line = { r.model, r.embedding }
    for _, key in ipairs(keys) do line[#line + 1] = tabular.number(results:summary(r, key, context).mean, 3) end
    t.rows[#t.rows + 1] = line
  end
  if results.dynamic_range then t.rows[#t.rows + 1] = ranges end
  return t
end

-- The main model against each zero-shot row, with Holm's correction.
local function comparisons(results, context)
  local t = { columns = { "main model less", "embedding" }, rows = {}, title = "paired differences, " .. label.safe(context),
    notes = { "On the same perturbations; p: sign-flip test, Holm: corrected over the rows of the table." } }
  local lists = {}
  for _, h in ipairs(results.head) do
    t.columns[#t.columns + 1], t.columns[#t.columns + 2] = h[2], h[2] .. ", Holm"
    lists[#lists + 1] = {}
  end
  for _, r in ipairs(results.rows) do
    if r ~= results:main() and r.kind ~= "reference" then
      local line = { r.model, r.embedding }
      for j, h in ipairs(results.head) do
        local d = results:compare(results:main(), r, h[1], context)
        line[#line + 1], line[#line + 2] = require("dynamo.results").difference_text(d), ""
        table.insert(lists[j], d.p or 1)
      end
      t.rows[#t.rows + 1] = line
    end
  end
  for j, list in ipairs(lists) do
    for i, p in ipairs(evaluate.holm(list)) do t.rows[i][2 + 2 * j] = ("%.4f"):format(p) end
  end
  return t
end

local function facts(results)
  local o = results.experiment.options
  local out = { { "Data", tostring(results.R) }, { "Split", tostring(results.splits[1]) },
    { "Embedding", tostring(results.embedding) }, { "Model", tostring(results:main().recipe) },
    { "Seeds", table.concat(results.seeds, " ") }, { "Coverage", results:coverage_text() } }
  if results.graph then out[#out + 1] = { "Network", tostring(results.graph) } end
  out[#out + 1] = { "Leakage", ("no %s is both in training (or validation) and test, checked for every seed before "
    .. "anything was fitted; centroid and means are from training rows alone"):format(results.splits[1].unit or "row") }
  for _, note in ipairs(leakage.notes(results.leakage)) do out[#out + 1] = { "Allowed", note } end
  out[#out + 1] = { "Bootstrap", ("%d resamples of perturbations, percentile 95%%, seed 1"):format(o.draws) }
  return out
end

local LIMITS = {
  "Limits: the unit is the perturbation; intervals do not cover another data set, another cell line or other splits than "
    .. "these. An embedding made from annotation or literature may know tested genes: that is allowed and declared here.",
  "Scores at the control reference reward the response that all perturbations share; those at the centroid reference, "
    .. "from which the training mean is taken off, do not. The train mean scores 0 there by construction.",
}

local function notes(results)
  local out = {}
  for _, n in ipairs(results.R.notes or {}) do out[#out + 1] = "Data: " .. n .. "." end
  for k, S in ipairs(results.splits) do
    for _, n in ipairs(S.notes or {}) do out[#out + 1] = ("Split, seed %d: %s."):format(results.seeds[k], n) end
  end
  for _, n in ipairs(LIMITS) do out[#out + 1] = n end
  local exp = results.experiment
  out[#out + 1] = exp.file and ("Repeat: dynamo run %s seeds=%s; manifest.json has every option and the SHA-256 of "
    .. "every input."):format(exp.file, table.concat(results.seeds, ","))
    or "Repeat: manifest.json has every option and the SHA-256 of every input."
  return out
end

--- What report.html is made of, see dynamo.report.
---@param results table
---@return table
function M.report(results)
  local o = results.experiment.options
  local tables = results:tables()
  for _, context in ipairs(results.contexts) do
    tables[#tables + 1] = comparisons(results, context)
    tables[#tables + 1] = more_scores(results, context)
    tables[#tables + 1] = require("dynamo.strata").table(results, context)
  end
  local calibrated = results:calibration()
  if calibrated then tables[#tables + 1] = calibration.table(calibrated) end
  for _, t in ipairs(tables) do t.marks = nil end
  local intro = { o.question }
  for _, line in ipairs(results:claims()) do intro[#intro + 1] = line end
  return { title = o.name, intro = intro, facts = facts(results), tables = tables, figures = M.list(results),
    notes = notes(results), footer = "dynamo " .. tostring(core.version) }
end

return M
