-- Every metric against NumPy, SciPy and scikit-learn: tests/golden/metrics.py computes what is expected.
local calibration = require "dynamo.calibration"
local core = require "dynamo.core"
local enrichment = require "dynamo.enrichment"
local evaluate = require "dynamo.evaluate"
local interaction = require "dynamo.interaction"
local metrics = require "dynamo.metrics"
local populations = require "dynamo.populations"
local responses = require "dynamo.responses"

local here = arg[0]:match "^(.*)/lua/" or "tests"
local program = os.getenv "PYTHON3" or "/usr/bin/python3"
local pipe = io.popen(("'%s' '%s/golden/metrics.py' 2>/dev/null"):format(program, here))
local text = pipe:read "*a"
pipe:close()
local expected = text ~= "" and assert((loadstring or load)(text))()
if not expected then
  print "# skip metrics against scikit-learn: python3-sklearn is not installed"
  return
end

local function d(t) return core.tensor(t, "double") end

-- Equal to 1e-10, relative; NaN where NaN is expected.
local function same(got, want, where)
  if want ~= want then
    assert(got ~= got, where .. ": NaN expected")
  else
    local ok = math.abs(got - want) <= 1e-10 * math.max(math.abs(want), 1e-3)
    if not ok then error(("%s: %.17g, expected %.17g"):format(where, got, want), 2) end
  end
end

local function all_same(got, want, where)
  for i = 1, #want do same(got[i], want[i], ("%s, %d"):format(where, i)) end
end

test("metrics of profiles: random, tied, constant, masked, tiny", function()
  for _, c in ipairs(expected.rows) do
    for key, want in pairs(c.expected) do
      local got = metrics.rows(key, d(c.p), d(c.t), { mask = d(c.mask), weight = d(c.w), eps = 1e-16 })
      all_same(got, want, c.name .. " " .. key)
    end
  end
end)

test("AUROC and average precision", function()
  local c = expected.classes
  local got = metrics.classes(d(c.s), d(c.y))
  all_same(got.auroc, c.auroc, "auroc")
  all_same(got.ap, c.ap, "ap")
  local turned = metrics.classes(d(c.s):t(), d(c.y):t(), { by = "perturbation" })
  all_same(turned.ap, c.ap, "ap by row")
end)

test("distances and retrieval, with ties", function()
  for _, c in ipairs(expected.retrieval) do
    for space, want in pairs(c.distances) do
      for i, row in ipairs(core.distance_rows(d(c.p), d(c.t), { space = space }):totable()) do
        for j = 1, #row do
          assert(math.abs(row[j] - want[i][j]) < 1e-12 * (1 + want[i][j]), c.name .. " " .. space)
        end
      end
    end
    local rows, genes = {}, {}
    for i = 1, #c.t do rows[i] = { perturbation = ("p%02d"):format(i), context = "K" } end
    for j = 1, #c.t[1] do genes[j] = "g" .. j end
    local R = responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = d(c.t) }
    local list, keys = {}, {}
    for i = 1, #rows do list[i] = i end
    for key in pairs(c.expected) do keys[#keys + 1] = key end
    local v = evaluate.score(R, list, d(c.p), { metrics = keys, eps = 1e-16 })
    for key, want in pairs(c.expected) do all_same(v[key], want, c.name .. " " .. key) end
  end
end)

test("populations of cells", function()
  for _, c in ipairs(expected.cells) do
    local x, y, e = d(c.x), d(c.y), c.expected
    same(populations.edistance(x, y), e.edistance, c.name .. " edistance")
    same(populations.edistance(x, y, { form = "v" }), e.edistance_v, c.name .. " edistance_v")
    same(populations.edistance(x, y, { squared = true }), e.squared, c.name .. " squared")
    same(populations.edistance(x, y, { squared = true, form = "v" }), e.squared_v, c.name .. " squared_v")
    same(core.pair_median(x, y), e.median, c.name .. " median")
    if e.median > 0 then
      same(populations.mmd(x, y), e.mmd, c.name .. " mmd")
      same(populations.mmd(x, y, { form = "v" }), e.mmd_v, c.name .. " mmd_v")
    end
    same(populations.mmd(x, y, { form = "v", kernel = "linear" }), e.linear_v, c.name .. " linear")
    same(populations.wasserstein(x, y), e.wasserstein, c.name .. " wasserstein")
    same(populations.wasserstein(x, y, { p = 2 }), e.wasserstein2, c.name .. " wasserstein 2")
    if e.scipy_energy then same(populations.edistance(x, y, { form = "v" }), e.scipy_energy, "scipy's energy distance") end
  end
end)

test("called genes of predicted cells", function()
  local c = expected.de
  local x, row_of, context_of, rows, delta, list, genes = { d(c.control) }, {}, {}, {}, {}, {}, {}
  for i = 1, #c.control do row_of[i] = 0 end
  for i, cells in ipairs(c.real) do
    rows[i], list[i], x[i + 1] = { perturbation = ("p%02d"):format(i), context = "K", n_cells = #cells }, i, d(cells)
    for _ = 1, #cells do row_of[#row_of + 1] = i end
    delta[i] = (x[i + 1]:mean(1) - x[1]:mean(1)):reshape(1, #c.control[1])
  end
  for k = 1, #row_of do context_of[k] = 1 end
  for j = 1, #c.control[1] do genes[j] = "x" .. j end
  local R = responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = core.cat(delta, 1),
    control = x[1]:mean(1):reshape(1, #genes), cells = { x = core.cat(x, 1), row_of = row_of, context_of = context_of } }
  local keys = { "nsig_spearman" }
  for key in pairs(c.expected) do keys[#keys + 1] = key end
  local v = evaluate.score(R, list, R.delta * .7, { metrics = keys, cells = function(k) return d(c.pred[k]) end })
  for key, want in pairs(c.expected) do -- cells become floats
    all_same(v[key], want, key)
  end
  same(evaluate.summarise(v.nsig_spearman).mean, c.nsig, "nsig_spearman")
end)

test("scores of doubles", function()
  for i, c in ipairs(expected.doubles) do
    local s = interaction.scores(d(c.a), d(c.b), d(c.y))
    for _, key in ipairs { "c1", "c2", "magnitude", "dominance", "fit_corr", "similarity", "singles", "equality" } do
      same(s[key], c[key], key .. " of double " .. i)
    end
  end
end)

test("empirical nulls of deviations from additivity, and how predictions rank the calls", function()
  local function close(got, want, where)
    if not (math.abs(got - want) <= 1e-10 * math.max(1, math.abs(want))) then error(("%s: %.12g, expected %.12g"):format(where, got, want)) end
  end
  for _, c in ipairs(expected.nulls) do
    local r = interaction.null(c.v)
    for _, key in ipairs { "mean", "sd", "share", "lo", "hi" } do close(r[key], c[key], c.name .. " " .. key) end
  end
  local c, n, g = expected.calls, 8, 60
  local rows, genes, blocks = {}, {}, {}
  for j = 1, g do genes[j] = "x" .. j end
  for i = 1, n do
    for k, p in ipairs { "a" .. i, "b" .. i, "a" .. i .. "+b" .. i } do
      rows[#rows + 1] = { perturbation = p, context = "K" }
      local v = k == 1 and d { c.a[i] } or k == 2 and d { c.b[i] } or d { c.a[i] } + d { c.b[i] } + d { c.e[i] }
      blocks[#blocks + 1] = v
    end
  end
  local R = responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = core.cat(blocks, 1) }
  local t = interaction.calls(R)
  close(t.null.hi, c.hi, "hi") close(t.null.lo, c.lo, "lo")
  assert(t.synergy + t.suppression == c.count and #t.rows == n and t.names[2] == "K/a2+b2" and #t.genes == g)
  local p = {}
  for i = 1, n do p[i] = d { c.p[i] } + t.additive:rows(i, i) end
  local s = interaction.score_calls(t, core.cat(p, 1))
  close(s.auprc, c.auprc, "auprc")
  for k, q in ipairs { .1, .2, .5 } do close(s.tpr[q], c.tpr[k], "tpr at " .. q) end
  -- the additive prediction ranks nothing; the truth finds all; a wrong sign is not found if signs count
  local additive = interaction.score_calls(t, t.additive)
  close(additive.auprc, additive.chance, "additive") assert(additive.tpr[.5] == 0)
  local right = interaction.score_calls(t, t.additive + t.deviation, { signed = true })
  close(right.auprc, 1, "truth") close(right.tpr[.1], 1, "truth")
  assert(interaction.score_calls(t, t.additive - t.deviation, { signed = true }).tpr[.5] == 0)
  local same = {}
  for i = 1, 200 do same[i] = i % 8 == 0 and i or 1 end
  for text, v in pairs { ["3 values; at least 100"] = { 1, 2, 3 }, ["half of the values are equal"] = same } do
    local ok, e = pcall(interaction.null, v)
    assert(not ok and tostring(e):find(text, 1, true), tostring(e))
  end
end)

test("CRPS, coverage, interval scores", function()
  local c = expected.crps
  local mu, s, y = d { c.mu }, d { c.s }, d { c.y }
  local crps, pit = core.crps(mu, s, y)
  all_same(crps:totable()[1], c.crps, "crps")
  all_same(pit:totable()[1], c.pit, "pit")
  for i = 1, 3 do assert(math.abs(crps:get(1, i) - c.definition[i]) < 1e-7) end
  local r = calibration.report(mu, s, y)
  for i, l in ipairs(r.levels) do
    same(l.coverage, c.coverage[i], "coverage")
    same(l.score, c.score[i], "interval score")
  end
  same(r.error, c.error, "calibration error")
end)

test("Wilcoxon's signed-rank test", function()
  for i, c in ipairs(expected.wilcoxon) do same(evaluate.wilcoxon(c.d).p, c.p, "sample " .. i) end
end)

test("enrichment of gene sets", function()
  local c, genes, sets, top = expected.enrichment, {}, { sets = {} }, {}
  for j = 1, #c.v do genes[j] = ("g%03d"):format(j) end
  for k, j in ipairs(c.top) do top[k] = genes[j] end
  for i, s in ipairs(c.sets) do
    local own = {}
    for k, j in ipairs(s.at) do own[k] = genes[j] end
    own[#own + 1] = "not measured"
    sets.sets[i] = { name = tostring(i), genes = own }
  end
  for _, r in ipairs(enrichment.ranked(d(c.v), genes, sets)) do
    local want = c.sets[tonumber(r.set)]
    same(r.auc, want.auc, "auc") same(r.p, want.p, "p") assert(r.direction == (want.auc >= .5 and "up" or "down"))
  end
  for _, r in ipairs(enrichment.hypergeometric(top, sets, genes)) do
    local want = c.sets[tonumber(r.set)]
    assert(r.overlap == want.overlap and #r.genes == want.overlap and r.q >= r.p)
    same(r.p, want.hyper, "hypergeometric")
  end
end)
