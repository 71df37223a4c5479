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

test("leakage: networks that are published pass on the Replogle ranks, one made from their responses does not", function()
  local folder = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"
  if not core.stat(folder .. "/responses/replogle_ranks.h5ad") then return print "# skip: no Replogle ranks" end
  local R = require("dynamo.data").read(folder .. "/responses/replogle_ranks.h5ad"):responses()
  local S = split.unseen_genes { test = 0.25 }:make(R, 1)
  local function audited(g) return leakage.audit({ R = R, splits = { S }, graph = g }, {}, true) end
  for _, name in ipairs { "collectri.csv", "dorothea.tsv.gz", "trrust_rawdata.human.tsv", "ensemble.tsv.gz" } do
    local g = require("dynamo.graph").read(folder .. "/graphs/" .. name)
    assert(#audited(g).findings == 0, name)
    for _, direction in ipairs { "out", "in" } do
      assert(leakage.edge_share(R, S.test, g, direction) < .05, name)
    end
  end
  local from, to, w = {}, {}, {}
  for _, i in ipairs(S.test) do -- both lines together, ten genes of each
    local order = (R.delta:select(1, i):abs() * -1):argsort()
    for k = 1, 10 do from[#from + 1], to[#to + 1], w[#w + 1] = R.rows[i].perturbation, R.genes[order[k]], 1 end
  end
  local names, seen = {}, {}
  for _, list in ipairs { from, to } do
    for _, g in ipairs(list) do if not seen[g] then seen[g], names[#names + 1] = true, g end end
  end
  local function made(a, b) return core.graph(names, a, b, w, { directed = true, source = "made" }) end
  assert(audited(made(from, to)).findings[1].message:find("100% of the edges out of 116 tested genes", 1, true))
  assert(audited(made(to, from)).findings[1].message:find("100% of the edges into 116 tested genes", 1, true))
end)

-- ---- what is made inside an experiment records what it has seen ---------------------------------------------------------

local dynamo = require "dynamo"
local PERTURBED = 8

-- Counts of 20 cells of each of g1 .. g8 and control.
local function counts(f)
  local base = os.tmpname()
  local x, names, labels, genes = {}, {}, {}, {}
  for i = 1, 20 * (PERTURBED + 1) do
    local p = (i - 1) % (PERTURBED + 1)
    x[i], names[i], labels[i] = {}, "c" .. i, p == 0 and "control" or "g" .. p
    for j = 1, 24 do x[i][j] = (i * 7 + j * j * 5 + i * j) % (j % 7 + 3) + (p == j and 9 or 0) end
  end
  for j = 1, 24 do genes[j] = "g" .. j end
  core.h5ad_write(base .. ".h5ad", { x = core.sparse_from_dense(core.tensor(x)), obs_names = names, var_names = genes,
    obs = { { name = "perturbation", values = labels, categorical = true } } })
  local ok, e = pcall(f, base .. ".h5ad")
  os.remove(base .. ".h5ad")
  os.remove(base)
  if not ok then error(e, 0) end
end

local function vectors()
  local genes = {}
  for j = 1, PERTURBED do genes[j] = "g" .. j end
  return embedding.new { genes = genes, values = core.randn(2, PERTURBED, 3), source = "made" }
end

local function plan(o)
  o.name, o.split = "audited", o.split or split.unseen_genes { test = 0.25, validate = 0 }
  o.embedding, o.draws = o.embedding or vectors(), 100
  o.model = model.koopman { members = 1, epochs = 1, latent = 2, rank = 1, hidden = 3 }
  return experiment(o)
end

local function audit(o) return require("dynamo.runner").plan(plan(o), true).leakage end

local prepare = dynamo.prepare
local logs = { prepare.normalise { target = "median" }, prepare.log1p {} }
local function after(step) return { logs[1], logs[2], step } end

test("leakage: steps of preparation learn from training rows in an experiment, from all cells before it", function()
  counts(function(path)
    for _, step in ipairs { prepare.hvg { n = 12 }, prepare.de_genes { n = 4 } } do
      local a = audit { data = path, prepare = after(step) }
      assert(#a.findings == 0 and #a.learned == 2 and a.learned[1].step == "prepare.normalise has used")
      assert(a.learned[2].step == "prepare." .. step.name .. " has used" and a.learned[2].rows == 6)
      local D = dynamo.data.read(path, { counts = true }):prepare(after(step))
      a = audit { data = D }
      assert(#a.findings == 2 and a.findings[1].kind == "cells" and not a.findings[1].allowed)
      assert(a.findings[1].message:find "^prepare%.normalise has used tested rows: g%d, g%d$", a.findings[1].message)
      assert(a.findings[2].message:find("prepare." .. step.name .. " has used tested rows", 1, true))
      raises("has used tested rows", function() require("dynamo.runner").plan(plan { data = D }) end)
      -- the rows stay with parts of the data; a part without the tested rows has no finding
      local R = D:responses()
      local part = R:select(R:where(function(r) return r.perturbation ~= "g1" end)):take_genes { R.genes[1], R.genes[2], R.genes[3] }
      assert(#part.learned == 2 and #part.learned[2].rows == PERTURBED and part.learned[2].rows[1].perturbation == "g1")
    end
  end)
end)

test("leakage: genes of a DE list are those of the perturbations that train", function()
  counts(function(path)
    local D = dynamo.data.read(path, { counts = true })
    local function may(part, i) local p = part:perturbation_of(i) return p == "control" or p == "g3" or p == "g5" end
    local P = dynamo.preparation.apply(D, after(prepare.de_genes { n = 1 }), may)
    local L, labels, want = dynamo.preparation.apply(D, logs, may), {}, {}
    for i = 1, L.n do labels[i] = L:perturbation_of(i) end
    for name, r in pairs(prepare.rank_genes(L.x, labels, { groups = { "g3", "g5" } })) do
      want[L.genes[(r.score:abs() * -1):argsort()[1]]] = true
      assert(name == "g3" or name == "g5")
    end
    for _, g in ipairs(P.genes) do assert(want[g]) want[g] = nil end
    assert(next(want) == nil and #P.learned[2].rows == 2)
    raises("de_genes takes log1p values: it comes after log1p", dynamo.preparation.apply, D, { prepare.de_genes {} })
    raises("de_genes: no training perturbation has two cells", dynamo.preparation.apply, D, after(prepare.de_genes {}),
      function(part, i) return part:perturbation_of(i) == "control" end)
  end)
end)

test("leakage: co-expression of tested rows, as embedding, network, or what was made of them", function()
  counts(function(path)
    local R = dynamo.data.read(path):responses()
    local rows = { R:find("all", "g1"), R:find("all", "g2") }
    local function given(test)
      local train = {}
      for j = 1, PERTURBED do if "g" .. j ~= test then train[#train + 1] = "g" .. j end end
      return split.given { train = train, test = { test } }
    end
    local net = dynamo.coexpression.graph(R, { rows = rows, threshold = 0, top = 3 })
    local e = embed.coexpression(R, { dim = 3, rows = rows })
    local made = { e, e:permuted(1), e:normalised(), embed.concat { e, vectors() }, embed.node2vec(net, { dim = 4, epochs = 1 }),
      embed.spectral { graph = net, dim = 2 }, embed.coexpression { data = R, rows = rows, dim = 3 } }
    for k, v in ipairs(made) do
      local a = audit { data = R, embedding = v, split = given "g2" }
      assert(#a.findings >= 1 and a.findings[1].message:find "^coexpression .*tested rows: g2$", k)
      assert(#audit { data = R, embedding = v, split = given "g3" }.findings == 0, k)
    end
    local a = audit { data = R, graph = net, split = given "g1" }
    assert(a.findings[1].message == "coexpression has used tested rows: g1")
    assert(#audit { data = R, embedding = embed.coexpression(R, { dim = 3 }) }.findings == 0) -- control cells alone
    dynamo.learned.record(R, "genes of my list", { { context = "all", perturbation = "g4" } })
    assert(audit { data = R, split = given "g4" }.findings[1].message == "genes of my list has used tested rows: g4")
    assert(#dynamo.learned.of(3) == 0)
  end)
end)

test("leakage: doctor lists all findings; allow is a word of the command line and in the manifest", function()
  counts(function(path)
    local D = dynamo.data.read(path, { counts = true }):prepare(after(prepare.hvg { n = 12 }))
    local exp = plan { data = D, seeds = { 1, 2 } }
    local function levels(e)
      local n = { error = 0, note = 0, warning = 0 }
      for _, f in ipairs(dynamo.doctor.examine(e).findings) do
        if f.message:find("leakage, cells", 1, true) then n[f.level] = n[f.level] + 1 end
      end
      return n
    end
    assert(levels(exp).error == 4)
    local allowed = experiment.with(exp, { "allow=cells: chosen once for all" })
    assert(allowed.options.allow[1] == "cells: chosen once for all" and levels(allowed).note == 4 and levels(allowed).error == 0)
    assert(#experiment.with(exp, { "allow=cells,edges" }).options.allow == 2)
    raises("'cell' is no kind of leak", experiment.with, exp, { "allow=cell" })
    local r = experiment.run(experiment.with(exp, { "allow=cells", "seeds=1" }), { quiet = true, silent = true, write = false })
    local m = dynamo.json.decode(require("dynamo.manifest").text(r, ".", {})).identity
    assert(m.options.allow[1] == "cells" and m.leakage[1].findings[1].kind == "cells" and m.leakage[1].findings[1].allowed == "")
    assert(m.leakage[1].learned[2].step == "prepare.hvg has used" and m.leakage[1].learned[2].rows == PERTURBED)
  end)
end)
