-- Scores against SciPy, NumPy and scikit-learn on the same cores, in the same run.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_metrics.lua
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"
local evaluate = require "dynamo.evaluate"
local populations = require "dynamo.populations"
local responses = require "dynamo.responses"

local peer = bench.peer "tests/bench/peer_metrics.py"

local function report(case, f)
  local p = peer[case] or {}
  bench.row { name = "metrics", case = case, seconds = bench.median(f, { runs = 3, least = 0.05 }), peer = "scipy/sklearn",
    peer_seconds = p.seconds }
end

local p, t = core.randn(1, 250, 5000, "double"), core.randn(2, 250, 5000, "double")
for _, name in ipairs { "pearson", "spearman", "r2", "mae" } do
  report(name .. " 250x5000", function() return core[name .. "_rows"](p, t) end)
end
report("distances 250x250x5000", function() return core.distance_rows(p, t) end)
local s, y = core.randn(3, 250, 1000, "double"), core.rand(4, 250, 1000, "double"):gt(0.7)
report("auroc 250x1000", function() return core.auroc_cols(s, y) end)
local a, b = core.randn(5, 300, 50, "double"), core.randn(6, 300, 50, "double")
report("edistance 300+300x50", function() return populations.edistance(a, b) end)
report("mmd 300+300x50", function() return populations.mmd(a, b) end)
local u, v, w = core.randn(7, 400, "double"), core.randn(8, 400, "double"), core.randn(9, 400, "double")
report("theil_sen 400 genes", function() return core.theil_sen(u, v, u + v + w * 0.3) end)
local m = core.randn(10, 1000, 2, "double")
report("dcor 1000 genes", function() return core.distance_correlation(m, m * 2) end)

-- everything that a run computes for one row of its table
local rows, genes, list = {}, {}, {}
for i = 1, 250 do rows[i], list[i] = { perturbation = ("p%03d"):format(i), context = "K" }, i end
for j = 1, 5000 do genes[j] = "g" .. j end
local R = responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = t }
local centroid = evaluate.centroid(R, list)
report("all default columns 250x5000", function() return evaluate.score(R, list, p, { centroid = centroid }) end)
