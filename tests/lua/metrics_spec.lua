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
