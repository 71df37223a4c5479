local core = require "dynamo.core"
local function d(t) return core.tensor(t, "double") end

-- worked example: control, truth, prediction, centroid; values by numpy in double precision
local c, t, p, m = d { { 1, 2, .5, 0, 3, 1.5 } }, d { { .2, 2.5, .9, .1, 2.6, 1.5 } }, d { { .4, 2.2, .5, .3, 2.7, 1.4 } },
  d { .9, 2.3, .6, .1, 2.8, 1.4 }
-- clones: on LuaJIT the memory of a small result counts from its first use on, which would look like a leak there
local dt, dp = (t - c):clone(), (p - c):clone()
local mc = (m - c:select(1, 1)):clone()

test("Pearson, cosine, MSE, Spearman as numpy has them", function()
  near(core.pearson_rows(dp, dt):get(1), 0.8745409106128096)
  near(core.pearson_rows(dp, dt, { reference = mc }):get(1), 0.7027335269253518)
  near(core.pearson_rows(dp, dt, { exclude = { { 1 } } }):get(1), 0.6993227833394914)
  near(core.pearson_rows(dp, dt, { exclude = { { 1 } }, reference = mc }):get(1), -0.2192993612779486)
  near(core.pearson_rows(dp, dt, { top = 3 }):get(1), 0.9850051669072121)
  near(core.cosine_rows(dp, dt):get(1), 0.8604327632941703)
  near(core.mse_rows(dp, dt):get(1), 0.05833333333333332)
  near(core.spearman_rows(d { { 1, 2, 2, 3 } }, d { { 1, 3, 2, 2 } }):get(1), 0.5)
end)

test("constants: a prediction that says nothing scores 0, a truth that says nothing is not scored", function()
  local mean = d { 1 / 3, 1 / 3, 0.36666666666666664 }
  local truth = d { { .1, .2, .3 } }
  local rounded = mean:reshape(1, 3):to "float":to "double" -- keeps only float's digits of the mean
  assert(core.pearson_rows(rounded, truth, { reference = mean }):get(1) == 0)
  local nan = core.pearson_rows(truth, d { { 1, 1, 1 } }):get(1)
  assert(nan ~= nan)
  assert(core.cosine_rows(truth * 0, truth):get(1) == 0)
  local few = core.pearson_rows(d { { 1, 2 } }, d { { 1, 2 } }):get(1)
  assert(few ~= few)
end)

test("AUROC per column: ties share ranks, one class is not scored", function()
  local s = d { { .9, 1, .5 }, { .8, 1, .1 }, { .3, 1, .2 }, { .1, 1, .9 } }
  local l = d { { 1, 1, 1 }, { 0, 0, 1 }, { 1, 0, 1 }, { 0, 1, 1 } }
  local a = core.auroc_cols(s, l)
  near(a:get(1), 0.75) near(a:get(2), 0.5)
  assert(a:get(3) ~= a:get(3))
  local mask = d { { 1, 1, 1 }, { 0, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }
  near(core.auroc_cols(s, l, mask):get(1), 1)
end)

test("bootstrap: the interval of normal numbers has the width theory gives", function()
  local v = core.randn(3, 400, "double")
  local mean, lo, hi, n = core.bootstrap_mean(v, { seed = 1 })
  near(mean, v:mean():item(), 1e-12) assert(n == 400)
  local se = math.sqrt(v:var():item() / 400)
  near((hi - lo) / (2 * 1.96 * se), 1, 0.08)
  local _, lo2 = core.bootstrap_mean(v, { seed = 1 })
  assert(lo == lo2)
  raises("no value to resample", core.bootstrap_mean, d { 0 / 0 })
end)

test("paired comparison", function()
  local x = core.randn(5, 100, "double")
  local r = core.paired(x + 0.5, x + core.randn(6, 100, "double") * 0.1)
  near(r.mean, 0.5, 0.05) assert(r.lo > 0.45 and r.hi < 0.55 and r.p < 0.002 and r.wins == 100 and r.n == 100)
  local same = core.paired(x, x + core.randn(6, 100, "double") * 0.1)
  assert(same.lo < 0 and same.hi > 0 and same.p > 0.05)
end)

test("permutations: a stream per purpose", function()
  local a, b, c2 = core.permutation(50, 1, "split"), core.permutation(50, 1, "split"), core.permutation(50, 1, "init")
  local seen, same = {}, true
  for i = 1, 50 do
    assert(a[i] == b[i]) seen[a[i]] = true
    same = same and a[i] == c2[i]
  end
  for i = 1, 50 do assert(seen[i]) end
  assert(not same)
end)

local metrics = require "dynamo.metrics"
local evaluate = require "dynamo.evaluate"
local responses = require "dynamo.responses"

test("metrics: errors, R2, weights, directions of the worked example", function()
  local function one(name, o) return metrics.rows(name, dp, dt, o)[1] end
  near(one "rmse", 0.24152294576982394) near(one "mae", 0.21666666666666667) near(one "l2", 0.5916079783099616)
  near(one "relerr", 0.5356166968099849) near(one "r2", 0.7115384615384616)
  near(one("r2", { reference = mc }), 0.46564885496183206)
  near(metrics.rows("r2", p, t)[1], 0.9414715719063546)
  near(metrics.rows("r2", dp * 0.5, dt)[1], 0.47458791208791207)
  near(one "spearman", 0.8285714285714287) near(one "direction", 0.8) near(one "opposite", 0)
  near(one("pearson", { top = 3 }), 0.9850051669072121)
  near(one("pearson", { top = 3, exclude = { { 1 } } }), 0.953213364035372)
  local w = metrics.weights(d { -6, 4, 3, .5, -2, 0 }):reshape(1, 6)
  near(w:get(1, 2), 0.4444444444444444) near(w:get(1, 4), 0.006944444444444444)
  near(one("wmse", { weight = w }), 0.06697318007662834)
  near(one("wr2", { weight = w }), 0.8157687729063459)
  local v, status = metrics.rows("wmse", dp, dt, { weight = metrics.weights(d { { 2, 2, 2, 2, 2, 2 } }) })
  assert(v[1] ~= v[1] and status[1] == "no_weights")
  near(metrics.systematic_variation(d { { 1, 0, 0 }, { 0, 2, 0 } }, d { 1, 1, 0 }), math.sqrt(.5))
end)

test("metrics: mid-ranks", function()
  local r, ties = metrics.midranks { 3, 1, 2, 2 }
  assert(table.concat(r, " "):gsub("%.0", "") == "4 1 2.5 2.5" and ties == 6)
end)

test("metrics: sets of called genes", function()
  local R, Q = { "g1", "g2", "g3", "g4" }, { "g2", "g5", "g1", "g6", "g3", "g4" }
  local s = metrics.de_sets(R, Q, 2)
  near(s.overlap_n, .5) near(s.overlap_k, .5) near(s.precision_n, 0.6666666666666666) near(s.precision_k, .5)
  near(s.ppv_k, .5) near(s.recall, 1) near(s.jaccard, 0.6666666666666666)
  near(metrics.de_sets(R, { "g2", "g5" }).overlap_n, .25)
  assert(metrics.de_sets({}, Q).status == "no_de")
end)

test("metrics: classes by gene and by perturbation", function()
  local c2 = metrics.classes(d { { .9 }, { .9 }, { .4 }, { .3 }, { .4 } }, d { { 1 }, { 0 }, { 1 }, { 0 }, { 0 } })
  near(c2.auroc[1], 0.6666666666666666) near(c2.ap[1], .5)
  local flat = metrics.classes(d { { 1 }, { 1 }, { 1 }, { 1 } }, d { { 1 }, { 0 }, { 0 }, { 0 } })
  near(flat.auroc[1], .5) near(flat.ap[1], .25)
  local s, l = d { { .3, .6, .7 }, { .1, .5, .8 }, { .2, .9, 0 } }, d { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 1, 0 } }
  local mask = d { { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 0 } }
  local r = metrics.classes(s, l, { mask = mask, by = "perturbation" })
  near(r.auroc[1], 0) near(r.auroc[2], .5) near(r.auroc[3], 1)
  assert(metrics.classes(s, l, { mask = mask }).status[3] == "one_class")
end)

test("metrics: keys are taken apart, and refused with the nearest name", function()
  local s = metrics.parse "wr2@centroid/de20-target"
  assert(s.metric.key == "wr2" and s.reference == "centroid" and s.genes.base == "de" and s.genes.k == 20
    and not s.genes.target)
  assert(metrics.parse "pds_l2".genes.key == "all-target" and metrics.parse "nir".genes.key == "all")
  assert(metrics.parse "overlap_50".k == 50 and metrics.parse "mse@none/top20".genes.base == "delta")
  raises("unknown metric 'pearsn'; did you mean 'pearson'?", metrics.parse, "pearsn@control/all")
  raises("reference 'control'; it has none", metrics.parse, "mse@control/all")
  raises("gene set 'de'", metrics.parse, "pearson@control/de")
  raises("differs between perturbations", metrics.parse, "pds_l2@none/de20")
  assert(metrics.better "mse@none/all" == -1 and metrics.better "nir" == 1)
  for _, def in ipairs(metrics.list) do assert(type(def.compute) ~= "nil" and #def.doc > 5, def.key) end
  near(metrics.vcc({ mae = .5, pds_l1 = .8, overlap_n = .1 }, { mae = 1, pds_l1 = .5, overlap_n = .2 }), (.5 + .6) / 3)
end)

-- Responses of n perturbations of g genes; the first perturbed gene is measured.
local function screen(n, g, seed)
  local rows, genes, names = {}, {}, {}
  for i = 1, n do rows[i] = { perturbation = ("g%02d"):format(i), context = "K" } names[i] = i end
  for j = 1, g do genes[j] = ("g%02d"):format(j) end
  return responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = core.randn(seed, n, g, "double"),
    control = core.rand(seed + 1, 1, g, "double") + 1 }, names
end

-- What the training mean must score in each metric that subtracts the centroid or ranks perturbations: generated from
-- metrics.list, so that a new metric without a rule here fails.
local function zero() return 0 end
local function half() return .5 end
local function pds(n) return (n + 1) / (2 * n) end
local function below(n) return (n - 1) / (2 * n) end
local NOTHING = {
  centroid = { pearson = zero, cosine = zero, spearman = zero, r2 = zero, wr2 = zero, direction = zero, opposite = zero,
    relerr = function() return 1 end }, -- all of the effect is missed
  retrieval = { pds_l1 = pds, pds_l2 = pds, pds_cos = pds, nir = half, nir_strict = half, rank = below, rank_cos = below,
    retrieval = below }, -- no two truths are tied here, so nir_strict loses nothing
}

test("metrics: the train mean says exactly nothing at the centroid and among the others, in every metric", function()
  local n = 12
  local R, rows = screen(n, 30, 3)
  local centroid = evaluate.centroid(R, rows)
  -- weights come from cells: any that are not all equal
  local T = { weights = function(_, list) return core.rand(8, #list, 30, "double") end, batch_shift = function() end }
  local keys, want, checked = {}, {}, 0
  for _, def in ipairs(metrics.list) do
    for _, reference in ipairs(def.references) do
      local retrieval = def.kind == "retrieval"
      if retrieval or reference == "centroid" then
        local rule = NOTHING[retrieval and "retrieval" or "centroid"][def.key]
        assert(rule, "no rule for the mean baseline in the metric " .. def.key)
        checked = checked + 1
        local sets = retrieval and { "all" } or { "all", "all-target", "de20~delta", "top20-target", "top10", "hvg10" }
        for _, set in ipairs(sets) do
          local key = ("%s@%s/%s"):format(def.key, reference, set)
          if reference ~= "control=batch" then keys[#keys + 1], want[key] = key, rule(n) end
        end
      end
    end
  end
  assert(checked >= 19)
  for _, mean in ipairs { centroid:expand(n, 30), centroid:expand(n, 30):to "float":to "double" } do -- also as floats
    local v, info = evaluate.score(R, rows, mean, { centroid = centroid, train = rows, metrics = keys, truth = T })
    assert(#info.keys == #keys and next(info.skipped) == nil)
    for key, list in pairs(v) do
      local sum = 0
      for i, x in ipairs(list) do
        sum = sum + x
        if not NOTHING.retrieval[key:match "^[^@]+"] and not key:match "^relerr" then
          assert(x == 0 and info.status[key][i] == "const_pred", key)
        end
      end
      near(sum / n, want[key], key:match "^relerr" and 1e-6 or 1e-12)
    end
  end
end)

test("metrics: gene sets leave targets out first, masks count for all, what is unobserved is not scored", function()
  local R, rows = screen(6, 30, 5)
  local p = core.randn(9, 6, 30, "double")
  local v = evaluate.score(R, rows, p, { metrics = { "pearson@control/de5-target", "mae@none/top10", "mae@none/top10-target",
    "mse@none/sig", "edistance", "pearson@control/all" } })
  assert(v["pearson@control/de5~delta-target"] and not v["mse@none/sig"] and not v["edistance"])
  local order, control = {}, R.control:select(1, 1)
  for k, j in ipairs((control * -1):argsort()) do if k <= 10 then order[k] = j end end
  table.sort(order)
  for i = 1, 6 do
    local want, mean = p:rows(i, i):index(2, order), R.delta:rows(i, i):index(2, order)
    near(v["mae@none/top10"][i], (want - mean):abs():mean():item())
  end
  local _, info = evaluate.score(R, rows, p, { metrics = { "edistance", "pearson@centroid/all", "pearson@control/hvg5" } })
  assert(info.skipped.edistance == "needs cells" and info.skipped["pearson@centroid/all"] == "there is no centroid"
    and info.skipped["pearson@control/hvg5"]:find "training")
  local bad = p:clone()
  bad:set(0 / 0, 2, 3)
  raises("is not finite at gene 'g03'", evaluate.score, R, rows, bad)
  local w = evaluate.score(R, rows, bad, { nonfinite = "mask", metrics = { "mae@none/all", "pds_l2" } })
  local keep = {}
  for j = 1, 30 do if j ~= 3 then keep[#keep + 1] = j end end
  near(w["mae@none/all"][2], (p:rows(2, 2):index(2, keep) - R.delta:rows(2, 2):index(2, keep)):abs():mean():item())
  assert(w.pds_l2[2] == w.pds_l2[2])
end)

test("metrics: the functions below them, one by one", function()
  local a, b = d { { 1, 2, 4 } }, d { { 1, 3, 3 } }
  for name, want in pairs { rmse = math.sqrt(2 / 3), mae = 2 / 3, l2 = math.sqrt(2), relerr = math.sqrt(2 / 19), r2 =
    1 - 2 / (8 / 3), direction = 1, opposite = 0 } do
    near(core[name .. "_rows"](a, b):get(1), want, 1e-12)
  end
  -- the names: rmse_rows mae_rows l2_rows relerr_rows r2_rows direction_rows opposite_rows
  local w = d { { 1, 0, 1 } }
  near(core.wmse_rows(a, b, { weight = w }):get(1), .5)
  near(core.wr2_rows(a, b, { weight = w }):get(1), .5)
  near(core.precision_cols(d { { 3 }, { 2 }, { 1 } }, d { { 1 }, { 0 }, { 1 } }):get(1), (1 + 2 / 3) / 2)
  local between, x, y = core.pair_sums(d { { 0 }, { 1 } }, d { { 3 } }, { kind = "squared" })
  assert(between == 13 and x == 1 and y == 0)
  near(core.wasserstein_cols(d { { 0 }, { 1 } }, d { { 3 } }, 2):get(1), 6.5)
  local far = core.distance_rows(d { { 0 }, { 0 }, { 9 }, { 9 } }, d { { 0 }, { 0 }, { 9 }, { 9 } })
  near(core.energy_test(far, 2, { draws = 999 }), 1 / 3, .05)
  local c1, c2 = core.theil_sen(d { 1, 0, 1 }, d { 0, 1, 1 }, d { 2, 3, 5 })
  near(c1, 2) near(c2, 3)
  raises("at least two genes", core.theil_sen, d { 1 }, d { 1 }, d { 1 })
  raises("vectors of one length", core.theil_sen, d { 1, 2 }, d { 1 }, d { 1 })
  raises("same columns", core.pair_sums, d { { 1 } }, d { { 1, 2 } })
  raises("p = 1 or 2", core.wasserstein_cols, d { { 1 } }, d { { 1 } }, 3)
  raises("a standard deviation below 0", core.crps, d { 1 }, d { -1 }, d { 1 })
end)
