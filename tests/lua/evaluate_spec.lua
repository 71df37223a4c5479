local core = require "dynamo.core"
local evaluate = require "dynamo.evaluate"
local responses = require "dynamo.responses"

local function d(t) return core.tensor(t, "double") end

-- one context with the rows of a table as truth; targets are the genes of the names
local function data(delta, names, extra)
  local genes, rows = {}, {}
  for g = 1, #delta[1] do genes[g] = "g" .. g end
  for i, p in ipairs(names) do rows[i] = { perturbation = p, context = "K" } end
  local t = { genes = genes, contexts = { "K" }, rows = rows, delta = d(delta), file = "x.csv" }
  for k, v in pairs(extra or {}) do t[k] = v end
  return responses.new(t)
end

-- worked example of the metrics: change of the truth and of the prediction, centroid against control
local c, t, p, m = d { 1, 2, .5, 0, 3, 1.5 }, d { .2, 2.5, .9, .1, 2.6, 1.5 }, d { .4, 2.2, .5, .3, 2.7, 1.4 },
  d { .9, 2.3, .6, .1, 2.8, 1.4 }
local function example() return data({ (t - c):totable() }, { "g1" }), (p - c):reshape(1, 6), (m - c):reshape(1, 6) end

test("evaluate.score: both references, with and without the target", function()
  local R, pred, centroid = example()
  local v, info = evaluate.score(R, { 1 }, pred, { centroid = centroid })
  near(v["pearson@control/all"][1], 0.8745409106128096)
  near(v["pearson@centroid/all"][1], 0.7027335269253518)
  near(v["pearson@control/all-target"][1], 0.6993227833394914)
  near(v["pearson@centroid/all-target"][1], -0.2192993612779486)
  near(v["cosine@control/all"][1], 0.8604327632941703)
  near(v["cosine@centroid/all"][1], 0.6910947404650881)
  near(v["mse@none/all"][1], 0.05833333333333332)
  near(v["relerr@control/all"][1], 0.5356166968099849)
  near(v["direction@control/all"][1], 0.8)
  near(v["pearson@control/top20"][1], 0.8745409106128096)
  assert(v.pds_l2[1] ~= v.pds_l2[1] and info.genes == 6 and info.names[1] == "K/g1"
    and info.keys[1] == "cosine@centroid/all")
  v = evaluate.score(R, { 1 }, pred * 0.5)
  near(v["pearson@control/all"][1], 0.8745409106128096)
  near(v["relerr@control/all"][1], 0.7228699631376015)
  assert(v["pearson@centroid/all"] == nil)
end)

test("evaluate.score: the residue of a float mean is not a signal", function()
  local R = data({ { .1, .2, .3 }, { .3, .1, .7 }, { .6, .7, .1 } }, { "a", "b", "c" })
  local centroid, has = evaluate.centroid(R, { 1, 2, 3 })
  near(centroid:get(1, 3), 0.36666666666666664)
  assert(has[1])
  local mean = centroid:to "float":to "double"
  local v = evaluate.score(R, { 1 }, mean, { centroid = centroid })
  assert(v["pearson@centroid/all"][1] == 0 and v["pearson@control/all"][1] > 0)
end)

test("evaluate.score: Spearman's ties", function()
  near(core.spearman_rows(d { { 1, 2, 2, 3 } }, d { { 1, 3, 2, 2 } }):get(1), 0.5)
end)

test("evaluate.score: retrieval with ties, and of a constant prediction", function()
  local R = data({ { 1, 0, 0 }, { 0, 1, 0 }, { 1, 1, 0 }, { 0, 0, -1 } }, { "A", "B", "C", "D" })
  local v = evaluate.score(R, { 1, 2, 3, 4 }, d { { .8, .3, 0 }, { .5, .6, 0 }, { .9, .2, .1 }, { .2, 0, -.4 } })
  local want = { 1, .875, .75, 1 }
  for i = 1, 4 do near(v.pds_l2[i], want[i]) end
  near(evaluate.summarise(v.pds_l2).mean, 0.90625)
  near(evaluate.summarise(v.nir).mean, 0.875)
  v = evaluate.score(R, { 1, 2, 3, 4 }, d { { .5, .5, -.25 }, { .5, .5, -.25 }, { .5, .5, -.25 }, { .5, .5, -.25 } })
  near(evaluate.summarise(v.pds_l2).mean, 0.625)
  near(evaluate.summarise(v.nir).mean, 0.5)
end)

test("evaluate.score: unobserved entries are left out, several contexts keep their references", function()
  local rows = { { perturbation = "a", context = "K" }, { perturbation = "a", context = "R" } }
  local R = responses.new { genes = { "x", "y", "z", "w" }, contexts = { "K", "R" }, rows = rows,
    delta = d { { 1, 2, 4, 99 }, { 3, 1, 2, 5 } }, mask = d { { 1, 1, 1, 0 }, { 1, 1, 1, 1 } } }
  local pred = d { { 3, 1, 2, 4 }, { 1, 2, 4, -7 } }
  local v = evaluate.score(R, { 2, 1 }, pred, { centroid = d { { 0, 0, 0, 0 }, { 1, 0, 0, 1 } } })
  near(v["pearson@control/all"][2], core.pearson_rows(d { { 1, 2, 4 } }, d { { 1, 2, 4 } }):get(1))
  near(v["pearson@centroid/all"][1], core.pearson_rows(d { { 2, 1, 2, 3 } }, d { { 2, 1, 2, 4 } }):get(1))
  near(v["mse@none/all"][2], 0)
  assert(v.pds_l2 == nil)
  near(evaluate.centroid(R, { 1 }):get(1, 4), 0)
end)

test("evaluate.score: a prediction that is not finite, or has another shape", function()
  local R = example()
  raises("x.csv: evaluate: prediction for 'g1' is not finite at gene 'g2' (1 such values)", evaluate.score, R, { 1 },
    d { { 1, 0 / 0, 1, 1, 1, 1 } })
  raises("prediction is 1x2, expected 1 rows x 6 genes", evaluate.score, R, { 1 }, d { { 1, 2 } })
  raises("no row 7", evaluate.score, R, { 7 }, d { { 1, 2, 3, 4, 5, 6 } })
end)

test("evaluate.score: AUROC per gene of labels, genes with one class are not scored", function()
  local label = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 1, 0 } }
  local score = { { .3, .6, .7 }, { .1, .5, .8 }, { .2, .9, 0 } }
  local R = data(label, { "p1", "p2", "p3" }, { kind = "label", mask = d { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 0 } } })
  local v, info = evaluate.score(R, { 1, 2, 3 }, d(score))
  near(v.auroc[1], 1) near(v.auroc[2], .5)
  assert(v.auroc[3] ~= v.auroc[3] and info.names[2] == "g2")
  local s = evaluate.summarise(v.auroc)
  near(s.mean, .75)
  assert(s.n == 3 and s.n_defined == 2 and s.lo == nil)
  -- ties count a half; anything that depends on the gene alone changes nothing
  R = data({ { 1 }, { 0 }, { 1 }, { 0 }, { 0 } }, { "a", "b", "c", "d", "e" }, { kind = "label" })
  near(evaluate.score(R, { 1, 2, 3, 4, 5 }, d { { .9 }, { .9 }, { .4 }, { .3 }, { .4 } }).auroc[1], 0.6666666666666666)
end)

test("evaluate.score: AUROC per perturbation of labels is a table of its own", function()
  local R = data({ { 1, 0, 0 }, { 0, 1, 0 }, { 0, 1, 0 } }, { "p1", "p2", "p3" },
    { kind = "label", mask = d { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 0 } } })
  local v, info = evaluate.score(R, { 1, 2, 3 }, d { { .3, .6, .7 }, { .1, .5, .8 }, { .2, .9, 0 } }, { metrics = { "auroc_pert", "ap_pert" } })
  near(v.auroc_pert[1], 0) near(v.auroc_pert[2], .5) near(v.auroc_pert[3], 1) near(v.ap_pert[2], .5)
  assert(info.names[3] == "K/p3")
  raises("'auroc' has a value per gene, 'ap_pert' per perturbation: two tables", evaluate.score, R, { 1, 2 }, d { { 1, 2, 3 }, { 3, 2, 1 } },
    { metrics = { "auroc", "ap_pert" } })
  raises("auroc_pert has a value per perturbation", function()
    return require "dynamo.experiment" { data = R, metrics = { "auroc_pert" },
      embedding = require("dynamo.embedding").new { genes = R.genes, values = core.randn(1, 3, 2), source = "made" } }
  end)
end)

test("evaluate.summarise: seeds are averaged per perturbation first", function()
  local s = evaluate.summarise({ { .2, .4 }, { .4, .6 } }, { names = { { "a", "b" }, { "a", "c" } } })
  near(s.mean, (.3 + .4 + .6) / 3)
  assert(s.n == 3 and s.n_defined == 3)
  near(s.median, .4)
  s = evaluate.summarise { 0 / 0, 0 / 0 }
  assert(s.n == 2 and s.n_defined == 0 and s.mean ~= s.mean)
end)

test("evaluate.summarise: the bootstrap agrees with all resamples", function()
  local x, all = { .1, .4, .7 }, {}
  for i = 1, 27 do
    all[i] = (x[(i - 1) % 3 + 1] + x[math.floor((i - 1) / 3) % 3 + 1] + x[math.floor((i - 1) / 9) + 1]) / 3
  end
  table.sort(all)
  near(evaluate.quantile(all, .025), .165) near(evaluate.quantile(all, .975), .635)
  -- 1/27 of the resamples are .1 and 3/27 are .2: with many draws the 10 % quantile is exactly .2
  local _, lo, hi = core.bootstrap_mean(d(x), { draws = 10000, level = .8 })
  near(lo, .2) near(hi, .6)
  local v = {}
  for i = 1, 60 do v[i] = math.sin(i) end
  local s = evaluate.summarise(v)
  assert(s.lo < s.mean and s.mean < s.hi and s.lo == evaluate.summarise(v).lo)
end)

test("evaluate.paired: exact sign flips, names aligned", function()
  local zero = { 0, 0, 0, 0, 0 }
  local r = evaluate.paired({ .02, .05, -.01, .03, .04 }, zero)
  near(r.mean, 0.026) near(r.p, 0.125)
  near(r.wilcoxon, 0.125)
  assert(r.wins == 4 and r.n == 5 and r.lo < r.mean)
  r = evaluate.paired({ 1, 2, 3 }, { 1, 2 }, { names = { "a", "b", "c" }, names_b = { "c", "a" } })
  assert(r.n == 2)
  near(r.mean, (1 - 2 + 3 - 1) / 2)
  raises("paired values have the same number (got 2 and 1)", evaluate.paired, { 1, 2 }, { 1 })
  local h = evaluate.holm { .01, .04, .03 }
  near(h[1], .03) near(h[2], .06) near(h[3], .06)
end)

test("evaluate.retention: a ratio of means, withheld when the native score is not there", function()
  local r = evaluate.retention({ .2, .3, .1 }, { .4, .5, .3 })
  near(r.retention, .5)
  r = evaluate.retention({ .2, .3, .1 }, { .4, -.5, .2 })
  assert(r.retention == nil and r.reason:find "includes 0")
  r = evaluate.retention({ .2, .3, .1, .2, .3 }, { .4, .5, .3, .4, .5 }, { template = { .1, .1, .1, .1, .1 } })
  near(r.net, (.22 - .1) / (.42 - .1))
  assert(r.lo < r.retention and r.retention < r.hi)
end)

test("evaluate: the largest true changes, ties by the lower gene", function()
  local G = 300
  local truth, pred = core.randn(1, 4, G, "double"), core.randn(2, 4, G, "double")
  truth:narrow(2, 100, 160):fill_(2.5) -- a tie across the border of the choice
  for _, top in ipairs { 3, 20, 64, 65, 299 } do
    local got = core.pearson_rows(pred, truth, { top = top })
    for i = 1, 4 do
      local order = (truth:select(1, i):abs() * -1):argsort()
      local list = {}
      for k = 1, top do list[k] = order[k] end
      near(got:get(i), core.pearson_rows(pred:index(2, list):rows(i, i), truth:index(2, list):rows(i, i)):get(1), 1e-13)
    end
  end
end)
