-- The audit at the start of a run: one planted leak of each kind.
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local experiment = require "dynamo.experiment"
local leakage = require "dynamo.leakage"
local model = require "dynamo.model"
local responses = require "dynamo.responses"
local split = require "dynamo.split"

local N, G = 12, 40

-- Singles of g01 .. g12 and two doubles; genes are measured as well.
local function data()
  local rows, genes = {}, {}
  for j = 1, G do genes[j] = ("g%02d"):format(j) end
  for i = 1, N do rows[i] = { perturbation = genes[i], context = "K" } end
  rows[#rows + 1] = { perturbation = "g01+g02", context = "K" }
  rows[#rows + 1] = { perturbation = "g03+g04", context = "K" }
  return responses.new { genes = genes, contexts = { "K" }, rows = rows, delta = core.randn(1, #rows, G, "double") }
end

local function job(R, train, test, more)
  local lists = { {}, {} }
  for k, names in ipairs { train, test } do
    for _, p in ipairs(names) do lists[k][#lists[k] + 1] = R:find("K", p) end
  end
  local t = { R = R, seeds = { 1 }, splits = { { train = lists[1], validate = {}, test = lists[2] } }, rows = {} }
  for k, v in pairs(more or {}) do t[k] = v end
  return t
end

local function names(from, to)
  local out = {}
  for i = from, to do out[#out + 1] = ("g%02d"):format(i) end
  return out
end

local function finds(kind, text, j)
  local ok, e = pcall(leakage.audit, j)
  assert(not ok and e.code == "ELEAK" and tostring(e):find(text, 1, true), tostring(e))
  assert(e.hint:find(('allow = { "%s'):format(kind), 1, true), e.hint)
  local a = leakage.audit(j, { kind .. ": a test" })
  assert(a.findings[1].kind == kind and a.findings[1].allowed == "a test")
  assert(leakage.notes(a)[1]:find("allowed leak, " .. kind, 1, true) and leakage.notes(a)[1]:find("(a test)", 1, true))
end

test("leakage: a clean run has no finding", function()
  local R = data()
  local a = leakage.audit(job(R, names(5, 8), names(9, 12)))
  assert(#a.findings == 0 and #a.checked == 4 and #leakage.notes(a) == 0 and #leakage.notes(nil) == 0)
  raises("'edge: why' is no kind of leak (perturbation, combination, cells, edges); did you mean 'edges'?", leakage.allowed,
    { "edge: why" })
end)

test("leakage: tested perturbations that train, also inside combinations", function()
  local R = data()
  finds("perturbation", "g07", job(R, names(1, 7), names(7, 12)))
  finds("combination", "g04 (in g03+g04)", job(R, { "g01", "g02", "g03+g04" }, { "g04", "g09" }))
end)

test("leakage: cells of tested rows chose genes, or made an embedding", function()
  local R = data()
  R.learned = { { step = "hvg", rows = "all" } }
  finds("cells", "hvg has used tested rows: g09", job(R, names(1, 8), names(9, 12)))
  R.learned = { { step = "de list", rows = { R:find("K", "g10"), 1 } } }
  finds("cells", "de list has used tested rows: g10", job(R, names(1, 8), names(9, 12)))
  R.learned = { { step = "normalise", rows = { 1, 2 } } }
  assert(#leakage.audit(job(R, names(1, 8), names(9, 12))).findings == 0)
  local e = embed.concat { embed.random { dim = 2 }, embed.coexpression { dim = 2, rows = { R:find("K", "g11") } } }
  finds("cells", "coexpression learns from tested rows: g11", job(R, names(1, 8), names(9, 12),
    { rows = { { recipe = model.mlp {}, e = e } } }))
end)

-- A network whose edges out of genes lead to their largest responses, or to random genes.
local function network(R, how)
  local from, to, w = {}, {}, {}
  for i = 1, N do
    local g = ("g%02d"):format(i)
    local order = how == "responses" and (R.delta:select(1, R:find("K", g)):abs() * -1):argsort()
      or core.permutation(G, i, "edges")
    for k = 1, 6 do from[#from + 1], to[#to + 1], w[#w + 1] = g, R.genes[order[k]], 1 end
  end
  return core.graph(R.genes, from, to, w, { directed = true, source = how })
end

test("leakage: edges that are the responses", function()
  local R = data()
  local g = network(R, "responses")
  finds("edges", "lead to their own largest responses", job(R, names(1, 6), names(7, 12), { graph = g }))
  finds("edges", "lead to their own largest responses", job(R, names(1, 6), names(7, 12),
    { rows = { { recipe = model.mlp {}, e = embed.node2vec { graph = g, dim = 4 } } } }))
  local share, chance, n = leakage.edge_share(R, { R:find("K", "g07"), R:find("K", "g08") }, network(R, "random"))
  assert(share < .5 and chance > .1 and chance < .2 and n == 2)
  assert(#leakage.audit(job(R, names(1, 6), names(7, 12), { graph = network(R, "random") })).findings == 0)
end)

test("leakage: an experiment stops, or runs and says so", function()
  local R = data()
  local e = embedding.new { genes = R.genes, values = core.randn(2, G, 3), source = "made dim=3" }
  local function make(allow)
    return experiment { name = "leaky", data = R, embedding = e, graph = network(R, "responses"), draws = 100,
      model = model.koopman { members = 1, epochs = 1, latent = 3, rank = 1, hidden = 3 }, allow = allow,
      metrics = { "mae@none/all", "interaction", "nir", "pearson@control/de20" },
      split = split.given { train = names(1, 6), test = { "g07", "g08", "g09", "g10", "g11", "g12" } } }
  end
  local function run(exp) return experiment.run(exp, { quiet = true, silent = true, write = false }) end
  raises("lead to their own largest responses", run, make {})
  local r = run(make { "edges: planted" })
  local text = r:text(false)
  assert(text:find("allowed leak, edges", 1, true) and text:find("(planted)", 1, true))
  assert(r:main().values[1]["mae@none/all"] and r:main().values[1]["pearson@control/de20~delta"]
    and r:main().values[1]["pearson@control/all-target"] and not r:main().values[1].pds_l2)
  local csv = r:perturbations()
  assert(csv:find "^model,embedding,context,seed,name,group,n_cells,distance,coverage,status,interaction,mae@none/all,nir,")
  assert(csv:find "\nkoopman,made,K,1,g07,unseen,1,%-?%d+,[%w ]+,interaction=no_singles,,")
  assert(csv:find "\nno_change,none,K,1,g07,[^\n]*pearson@control/all%-target=const_pred")
  near(r:summary("mean", "nir").mean, .5)
  local s, d = r:summary("no_change", "pearson@control/all-target"), r:defined("no_change", "pearson@control/all-target")
  assert(s.mean == 0 and s.n_defined == 6 and d.n_defined == 0 and d.mean ~= d.mean)
  assert(r:csv():find("\nleaky,no_change,none,K,all,all,control,all-target,pearson_defined,,,,0", 1, true))
  assert(r:csv():find ",pearson_difference_wilcoxon,[01]")
  local t = require("dynamo.strata").table(r, "K")
  assert(t.rows[1][1]:find "^effect size 1: up to " and t.rows[1][2] == 2 and t.columns[4] == "mean, control")
  raises("unknown metric 'mea'", function() return experiment { data = R, embedding = e, metrics = { "mea@none/all" } } end)
end)
