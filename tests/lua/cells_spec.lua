-- Scores that need cells: differential expression, populations, ceilings, doubles, calibration.
local calibration = require "dynamo.calibration"
local ceiling = require "dynamo.ceiling"
local core = require "dynamo.core"
local evaluate = require "dynamo.evaluate"
local interaction = require "dynamo.interaction"
local metrics = require "dynamo.metrics"
local populations = require "dynamo.populations"
local responses = require "dynamo.responses"
local truth = require "dynamo.truth"

local function d(t) return core.tensor(t, "double") end

local G, CELLS = 30, 60

-- A screen of cells: control and the perturbations given, each moving `width` genes by `size`; doubles add up.
local function screen(names, size, width)
  local genes, rows, row_of, blocks = {}, {}, {}, {}
  for j = 1, G do genes[j] = ("g%02d"):format(j) end
  local place = responses.places(genes)
  local function cells(row, targets, seed)
    local mean = core.full(2, 1, G, "double")
    for _, t in ipairs(targets) do
      for k = 0, (width or 4) - 1 do
        local j = (place[t] * 5 + k) % G + 1
        local sign = width and math.sin(1 + k * place[t]) or k % 2 == 0 and 1 or -1
        mean:set(mean:get(1, j) + size * sign, 1, j)
      end
    end
    blocks[#blocks + 1] = (core.randn(seed, CELLS, G, "double") * .3 + mean):to "float"
    for _ = 1, CELLS do row_of[#row_of + 1] = row end
    return blocks[#blocks]:to "double":mean(1)
  end
  local control, delta, context_of = cells(0, {}, 1), {}, {}
  for i, name in ipairs(names) do
    local targets = require("dynamo.label").targets(name)
    rows[i] = { perturbation = name, context = "K", n_cells = CELLS, targets = targets }
    delta[i] = (cells(i, targets, 1 + i) - control):reshape(1, G)
  end
  for c = 1, #row_of do context_of[c] = 1 end
  return responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = core.cat(delta, 1),
    control = control:reshape(1, G), cells = { x = core.cat(blocks, 1), row_of = row_of, context_of = context_of } }
end

local SINGLES = { "g01", "g02", "g03", "g04", "g05", "g06", "g07", "g08" }
local function all(n) local t = {} for i = 1, n do t[i] = i end return t end

test("truth: the genes that moved are found, weights point at them", function()
  local R = screen(SINGLES, 1)
  local T = truth.of(R)
  assert(truth.of(R) == T and #T:significant(1) >= 4)
  local first = {}
  for k = 1, 4 do first[T:significant(1)[k]] = true end
  for k = 0, 3 do assert(first[(5 + k) % G + 1], "gene " .. (5 + k) % G + 1) end
  local w = T:weights { 1 }
  assert(w:max():item() == 1 and w:min():item() == 0)
  local _, n1, n2 = T:codes(2, "others")
  assert(n1 == CELLS and n2 == 7 * CELLS)
end)

test("evaluate: columns that need cells", function()
  local R = screen(SINGLES, 1)
  local keys = { "pearson@control/de4", "wmse@none/all", "wr2@centroid/all", "overlap_n", "overlap_2", "lfc_spearman",
    "direction@control/sig", "edistance", "edistance_v", "mmd", "wasserstein", "sliced_wasserstein" }
  local centroid = evaluate.centroid(R, all(8))
  local good = evaluate.score(R, all(8), R.delta, { metrics = keys, centroid = centroid, train = all(8) })
  local none, info = evaluate.score(R, all(8), R.delta * 0, { metrics = keys, centroid = centroid, train = all(8) })
  for i = 1, 8 do
    near(good["pearson@control/de4"][i], 1) near(good["wmse@none/all"][i], 0) near(good["wr2@centroid/all"][i], 1)
    near(good["overlap_2"][i], 1) near(good["lfc_spearman"][i], 1) near(good["direction@control/sig"][i], 1)
    assert(good.overlap_n[i] > .6 and good.edistance[i] < .05 and good.mmd[i] < .01)
    for _, key in ipairs { "edistance", "edistance_v", "mmd", "wasserstein", "sliced_wasserstein" } do
      assert(none[key][i] > good[key][i], key)
    end
    assert(none["pearson@control/de4"][i] == 0 and info.status["pearson@control/de4"][i] == "const_pred")
  end
  -- predicted cells may be given
  local own = evaluate.score(R, { 2 }, R.delta:rows(2, 2), { metrics = { "edistance" }, train = all(8),
    cells = function() return R.cells.x:rows(2 * CELLS + 1, 3 * CELLS) end })
  assert(own.edistance[1] <= 0)
end)

test("evaluate: called genes, with predicted cells and without", function()
  local R, rows = screen({ "g01", "g02", "g03", "g04", "g05", "g06", "g01+g02", "g03+g05" }, 1), all(8)
  local keys = { "overlap_n", "precision_n", "precision_3", "ppv_3", "recall_sig", "jaccard_sig", "nsig_spearman", "auroc_de", "ap_de",
    "edistance_pearson", "lfc_spearman" }
  local function score(p, cells)
    return evaluate.score(R, rows, p, { metrics = keys, train = rows, cells = cells })
  end
  local own = {}
  for k = 1, 8 do
    local list = {}
    for cell, r in ipairs(R.cells.row_of) do if r == k then list[#list + 1] = cell end end
    own[k] = R.cells.x:index(1, list)
  end
  local v, info = score(R.delta, function(k) return own[k] end)
  for i = 1, 8 do
    for _, key in ipairs { "overlap_n", "precision_n", "precision_3", "ppv_3", "recall_sig", "jaccard_sig", "ap_de", "auroc_de" } do
      near(v[key][i], 1)
    end
  end
  near(evaluate.summarise(v.nsig_spearman).mean, 1) near(evaluate.summarise(v.edistance_pearson).mean, 1)
  -- cells of another perturbation: the sets by hand
  local T = truth.of(R)
  v = score(R.delta, function(k) return own[k % 8 + 1] end)
  for i = 1, 8 do
    local want = metrics.de_sets(T:significant(i), T:significant(i % 8 + 1), 3)
    near(v.precision_n[i], want.precision_n) near(v.recall_sig[i], want.recall) near(v.jaccard_sig[i], want.jaccard)
    near(v.overlap_n[i], want.overlap_n) near(v.precision_3[i], want.precision_k) near(v.ppv_3[i], want.ppv_k)
  end
  -- a predicted mean calls nothing by itself, but ranks genes
  v, info = score(R.delta)
  for i = 1, 8 do
    assert(v.precision_n[i] ~= v.precision_n[i] and info.status.precision_n[i] == "no_calls" and info.status.nsig_spearman[i] == "no_calls")
    assert(v.auroc_de[i] > .9 and v.ppv_3[i] == 1)
  end
  v, info = score(R.delta * 0)
  for i = 1, 8 do
    near(v.auroc_de[i], .5)
    assert(v.ppv_3[i] == 0 and info.status.ppv_3[i] == "const_pred" and v.edistance_pearson[i] == 0)
    assert(info.status.edistance_pearson[i] == "const_pred")
  end
  raises("ppv: with a number", metrics.parse, "ppv")
  local c, status = metrics.contributions({ 3, 1, 4, 1, 5 }, { 2, 7, 0 / 0, 1, 8 })
  near((c[1] + c[2] + c[4] + c[5]) / 4, core.pearson_rows(d { { 3, 1, 1, 5 } }, d { { 2, 7, 1, 8 } }):get(1))
  assert(c[3] ~= c[3] and next(status) == nil)
  c, status = metrics.contributions({ 1, 1, 1 }, { 1, 2, 3 })
  assert(c[2] == 0 and status[2] == "const_pred" and select(2, metrics.contributions({ 1, 2 }, { 1, 2 }))[1] == "few_perts"
    and select(2, metrics.contributions({ 1, 2, 3 }, { 1, 1, 1 }))[1] == "const_true")
end)

test("populations: a test that finds a shift, and none where there is none", function()
  local x, y = core.randn(1, 40, 4, "double"), core.randn(2, 40, 4, "double")
  assert(populations.test(x, y + 1, { draws = 99 }).p == .01 and populations.test(x, y, { draws = 99 }).p > .05)
  assert(populations.sliced_wasserstein(x, x) == 0)
  near(populations.sliced_wasserstein(x, x + 1, { directions = 2000 }), 1, .05)
  local r = populations.edistance_pearson({ y, y + 1, y + 2 }, { y, y + 1.1, y + 2.2 }, x)
  assert(r > .99)
  raises("1 and 40 cells, at least 2", populations.edistance, x:rows(1, 1), y)
end)

test("populations: which perturbations move cells at all", function()
  local R = screen({ "g01", "g02", "g03", "g04" }, 1)
  local quiet = screen({ "g01", "g02", "g03", "g04" }, 0)
  for k, r in ipairs(populations.responders(R, { draws = 199 })) do
    assert(r.row == k and r.n == CELLS and r.edistance > .3 and r.p == .005 and r.q <= .0051)
  end
  local none = populations.responders(quiet, { draws = 99, rows = { 2, 4 }, cells = 20, train = { 1 } })
  assert(#none == 2 and none[2].perturbation == "g04" and none[1].n == 20 and none[1].q > .05 and none[2].edistance < .1)
  quiet.cells = nil
  raises("the data have no cells", populations.responders, quiet)
end)

test("interaction: an additive pair is additive, a stronger one is synergy", function()
  local names = { "g01", "g02", "g03", "g04", "g05", "g06", "g01+g02", "g03+g04", "g05+g06", "g01+g03", "g02+g04" }
  local R = screen(names, 1, G)
  R.delta:rows(R:find("K", "g01+g02"), R:find("K", "g01+g02")):mul_(2) -- beyond what the cells say: the point estimate alone
  local list = interaction.table(R, { draws = 20, null = 50 })
  assert(#list == 5)
  for _, r in ipairs(list) do
    assert(r.interval.magnitude[1] <= r.interval.magnitude[2] and r.support and r.p > 0 and r.q >= r.p)
    if r.perturbation == "g01+g02" then
      assert(r.type == "synergy" and r.p < .05)
    else
      near(r.c1, 1, .15) assert(r.call == "additive", r.call) assert(r.p > .02)
    end
  end
  local one = interaction.predicted({ R.rows[R:find("K", "g03+g04")] }, function(rows)
    local idx = {}
    for i, row in ipairs(rows) do idx[i] = R:find("K", row.perturbation) end
    return { R.delta:index(1, idx) }
  end)
  near(one[1].magnitude, list[3].magnitude, 1) assert(one[1].type == nil)
end)

test("interaction: what additive models cannot see", function()
  local a, b, y = d { 1, 0, -.5, .2, .8 }, d { 0, 1, .5, -.4, .6 }, d { 1.1, .7, .1, 0, 1.5 }
  near(interaction.correlation(d { 1.05, .8, 0, -.1, 1.45 }, y, a, b), 0.984326938334566)
  near(interaction.scores(a, b, y).interaction, 0.20100756305184245)
  local s = interaction.scores(a, b, y, { tol = 1e-12 })
  near(s.c1, 1.124813005451, 1e-9) near(s.c2, 0.738240997296, 1e-9)
  -- as a column: zero for the additive prediction
  local R = screen({ "g01", "g02", "g01+g02" }, 1)
  local k = R:find("K", "g01+g02")
  local sum = R.delta:rows(1, 1) + R.delta:rows(3, 3)
  local rows = { k }
  local v, info = evaluate.score(R, rows, sum, { metrics = { "interaction" } })
  assert(v.interaction[1] == 0 and info.status.interaction[1] == "const_pred")
  near(evaluate.score(R, rows, R.delta:rows(k, k), { metrics = { "interaction" } }).interaction[1], 1)
  v, info = evaluate.score(R, { 1 }, sum, { metrics = { "interaction" } })
  assert(v.interaction[1] ~= v.interaction[1] and info.status.interaction[1] == "no_singles")
  assert(metrics.definition "interaction".kind == "double")
end)

test("calibration: the worked example, and factors that make intervals hold", function()
  local r = calibration.intervals(d { 1, 2, 3, 4 }, d { .5, 2.1, 2, 3 }, d { 1.5, 3, 3.5, 3.8 }, .8)
  near(r.coverage, .5) near(r.width, 1.05) near(r.score, 1.8)
  near(calibration.width(.95), 1.959963984540054, 1e-12)
  -- members that disagree too little, the less so the farther away
  local n, g = 60, 50
  local y, members, distance = core.zeros(n, g, "double"), {}, {}
  local scale = {}
  for i = 1, n do
    distance[i] = i % 2 + 1
    scale[i] = { distance[i] == 1 and 1 or 3 }
  end
  for k = 1, 6 do members[k] = core.randn(10 + k, n, g, "double") end
  local mean, sd = calibration.spread(members)
  local observed = y + mean + core.randn(99, n, g, "double") * d(scale)
  local c = calibration.fit(mean, sd, observed, { distance = distance })
  near(math.sqrt(c.factor[1]), 1, .1) near(math.sqrt(c.factor[2]), 3, .1)
  local report = calibration.report(mean, c:sd(sd, distance), observed)
  assert(report.error < .06 and calibration.report(mean, sd, observed).error > .15)
  assert(tostring(c):find("by distance", 1, true))
  raises("at least two held-out rows", calibration.fit, mean:rows(1, 1), sd:rows(1, 1), y:rows(1, 1))
  raises("at least two members", calibration.members, { contexts = { "K" }, models = { K = { members = { 1 } } } }, {})
end)

test("ceiling: halves predict each other as well as noise lets them", function()
  local R = screen(SINGLES, .3)
  local centroid = evaluate.centroid(R, all(8))
  local keys = { "pearson@control/all", "pearson@control/de4", "mse@none/all", "nir", "edistance" }
  local v = ceiling.split_half(R, all(8), { splits = 4, metrics = keys, centroid = centroid })
  local again = ceiling.split_half(R, all(8), { splits = 4, metrics = keys, centroid = centroid })
  assert(not v.edistance)
  for i = 1, 8 do
    assert(v["pearson@control/all"][i] > .4 and v["pearson@control/all"][i] < .98)
    assert(v["mse@none/all"][i] > 0 and v["pearson@control/all"][i] == again["pearson@control/all"][i])
  end
  local few = ceiling.split_half(R, { 1 }, { splits = 1, least = 31 })
  assert(next(few) == nil)
  -- halves differ by the noise of 30 cells on each side: variance 4 * .09 / 30
  local mse = evaluate.summarise(v["mse@none/all"]).mean
  near(mse, 4 * .09 / 30, .003)
  local full, bound = ceiling.spearman_brown(.5)
  near(full, 0.6666666666666666) near(bound, 0.816496580927726)
  raises("the data have no cells", ceiling.split_half, responses.new { genes = { "a" }, contexts = { "K" }, rows = {
    { perturbation = "x", context = "K" } }, delta = d { { 1 } } }, { 1 })
end)

test("ceiling: the interpolated duplicate, and the dynamic range of metrics", function()
  local p = ceiling.interpolate(d { 1, 2, 3 }, d { 0, 1, 5 }, d { .01, .5, 0 / 0 })
  near(p:get(1), .99) near(p:get(2), 1.5) near(p:get(3), 5)
  near(ceiling.fraction(.6, .3), .42857142857142855)
  near(ceiling.fraction(.1, .4, -1), .75) assert(ceiling.fraction(.9, .1, -1) == -1)
  local R = screen(SINGLES, 1)
  local keys = { "pearson@control/all", "pearson@centroid/all", "mse@none/all" }
  local dup = ceiling.duplicate(R, all(8), { metrics = keys, centroid = evaluate.centroid(R, all(8)), train = all(8) })
  local range = ceiling.dynamic_range(dup)
  for _, key in ipairs(keys) do
    for i = 1, 8 do assert(range[key][i] > .5 and range[key][i] <= 1, key) end
  end
  assert(dup.mean["pearson@centroid/all"][1] == 0)
end)

test("ceiling: template, conserved effect and interaction of lines", function()
  local r = ceiling.decompose(d { { 1, 2, 6 }, { 3, 3, 6 } })
  near(r.mu:item(), 3.5) near(r.T:get(1, 1), -.5) near(r.C:get(3, 1), 2.5) near(r.I:get(1, 3, 1), .5)
  near(r.squares.T, 1.5) near(r.squares.C, 19) near(r.squares.I, 1)
  near(r.squares.total - r.squares.mu, 21.5)
  local rows, blocks, names = {}, {}, { "a", "b", "c", "e" }
  local conserved = core.randn(1, 4, 12, "double")
  for k, c in ipairs { "K", "R" } do
    for _, name in ipairs(names) do rows[#rows + 1] = { perturbation = name, context = c } end
    blocks[k] = conserved + core.randn(1 + k, 1, 12, "double") + core.randn(7 + k, 4, 12, "double") * .2
  end
  local genes = {}
  for j = 1, 12 do genes[j] = "x" .. j end
  local R = responses.new { genes = genes, contexts = { "K", "R" }, rows = rows, delta = core.cat(blocks, 1) }
  local own = ceiling.lines(R, "K", blocks[1])
  near(own.conserved, 1) near(own.interaction, 1)
  local moved = ceiling.lines(R, "K", blocks[2] - blocks[2]:mean(1):reshape(1, 12) + blocks[1]:mean(1):reshape(1, 12))
  assert(moved.conserved > .8 and math.abs(moved.interaction) < 1e-9 and own.template < .9)
end)

test("experiment: ceilings and dynamic range are there when cells are", function()
  local embedding, experiment, model, split = require "dynamo.embedding", require "dynamo.experiment", require "dynamo.model",
    require "dynamo.split"
  local R = screen(SINGLES, 1)
  local e = embedding.new { genes = R.genes, values = core.randn(2, G, 3), source = "made dim=3" }
  local t = { name = "cells", data = R, embedding = e, draws = 100, split = split.unseen_genes { test = .5, validate = 0 },
    model = model.koopman { members = 2, epochs = 1, latent = 3, rank = 1, hidden = 3 },
    metrics = { "edistance", "pearson@centroid/all", "wmse@none/de4" } }
  local r = experiment.run(experiment(t), { quiet = true, silent = true, write = false })
  local half, dup = r:row "split-half", r:row "duplicate"
  assert(half.kind == "reference" and r:summary(half, "pearson@centroid/all").mean > .5)
  assert(r:summary(dup, "pearson@centroid/all").mean > .5 and r:range "pearson@centroid/all" > .5)
  assert(r:summary(half, "edistance").n_defined == 0 and r:summary("mean", "edistance").n_defined == 4)
  assert(r:summary("mean", "pearson@centroid/all").mean == 0)
  local text = r:text(false)
  assert(text:find("ceiling (halves of the cells, full replicates, bound): control 0.", 1, true))
  assert(text:find("dynamic range (duplicate against the mean): control 0.", 1, true))
  assert(r:csv():find "\ncells,duplicate %- mean,none,K,all,all,centroid,all,pearson_range,0%.")
  local report = require("dynamo.figures").report(r)
  local last = report.tables[#report.tables]
  assert(last.rows[#last.rows][1] == "dynamic range" and last.columns[3] == "edistance")
  t.ceiling, t.metrics = false, { "edistance", "precision_n", "edistance_pearson" }
  local own = experiment.run(experiment(t), { quiet = true, silent = true, write = false })
  assert(own:summary(own:main(), "precision_n").n_defined == 4 and own:summary("mean", "precision_n").n_defined == 0)
  assert(own:summary("mean", "edistance_pearson").mean == 0)
  r = experiment.run(experiment(t), { quiet = true, silent = true, write = false })
  raises("no row 'split-half'", r.row, r, "split-half")
  local members = calibration.members(r:main().fitted, { "g01" })
  assert(#members == 2 and (members[1] - members[2]):abs():max():item() > 0)
  near(((members[1] + members[2]) / 2 - r:main().fitted:predict { "g01" }):abs():max():item(), 0, 1e-6)
end)

test("experiment: intervals of an ensemble are calibrated on validation rows, by distance in the network", function()
  local embedding, experiment, model, split = require "dynamo.embedding", require "dynamo.experiment", require "dynamo.model",
    require "dynamo.split"
  local names, from, to, w = {}, {}, {}, {}
  for i = 1, 24 do names[i] = ("g%02d"):format(i) end
  for i = 1, G - 1 do from[i], to[i], w[i] = ("g%02d"):format(i), ("g%02d"):format(i + 1), 1 end
  local R = screen(names, .5)
  local e = embedding.new { genes = R.genes, values = core.randn(2, G, 3), source = "made dim=3" }
  local folder = os.tmpname()
  core.remove(folder)
  local r = experiment.run(experiment { name = "sure", data = R, embedding = e, draws = 100, ceiling = false, out = folder,
    graph = core.graph(R.genes, from, to, w, { directed = true }), split = split.unseen_genes { test = .25, validate = .4 },
    model = model.koopman { members = 4, epochs = 2, latent = 3, rank = 1, hidden = 3 } }, { quiet = true, silent = true })
  local c = r:calibration()
  assert(c.all.error < c.plain.error and c.all.error < .1, c.all.error)
  assert(c == r:calibration() and c.groups[1].name == "coverage embedding" and c.groups[2].name == "distance 1")
  local t = require("dynamo.calibration").table(c)
  assert(t.columns[3] == "50%" and t.rows[1][1] == "all" and #t.rows == 2 + #c.groups)
  local f = core.h5_open(folder .. "/predictions.h5ad")
  assert(table.concat(f:layers(), " ") == "control delta observed sd")
  f:close()
  for _, name in ipairs(core.listdir(folder)) do core.remove(folder .. "/" .. name) end
  core.remove(folder)
end)
