local baseline = require "dynamo.baseline"
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local experiment = require "dynamo.experiment"
local model = require "dynamo.model"
local responses = require "dynamo.responses"
local results = require "dynamo.results"
local split = require "dynamo.split"

local G, N, DIM = 30, 24, 4

local function gene(i) return ("g%02d"):format(i) end

-- Vectors of the genes and responses that are linear in them, in the contexts given; `doubles` pairs beside.
local function fixture(contexts, doubles, extra)
  local F, B = core.randn(1, N, DIM, "double"), core.randn(2, DIM, G, "double")
  local names, symbols, rows, blocks = {}, {}, {}, {}
  for i = 1, N do names[i] = gene(i) end
  for j = 1, G do symbols[j] = j <= N and gene(j) or "x" .. j end
  local effect = F:matmul(B) * .3 + core.randn(3, 1, G, "double") * .3
  for c, context in ipairs(contexts) do
    local noise = core.randn(3 + c, N, G, "double") * .05
    for i = 1, N do
      rows[#rows + 1] = { perturbation = gene(i), context = context, n_cells = 50 + i }
      blocks[#blocks + 1] = (effect:rows(i, i) + noise:rows(i, i)) * (1 + .2 * (c - 1))
    end
    for k = 1, doubles or 0 do
      rows[#rows + 1] = { perturbation = gene(k) .. "+" .. gene(k + 8), context = context }
      blocks[#blocks + 1] = effect:rows(k, k) + effect:rows(k + 8, k + 8)
    end
  end
  local t = { genes = symbols, contexts = contexts, rows = rows, delta = core.cat(blocks, 1), file = "made up",
    control = core.full(2, #contexts, G, "double") }
  for k, v in pairs(extra or {}) do t[k] = v end
  return responses.new(t), embedding.new { genes = names, values = F:to "float", source = "made dim=4" }
end

local small = { members = 1, epochs = 2, latent = 4, hidden = 4, rank = 2 }

local function make(extra, contexts, doubles)
  local R, e = fixture(contexts or { "K" }, doubles)
  local t = { name = "tiny", data = R, embedding = e, model = model.koopman(small), draws = 200, seeds = { 1, 2 },
    split = split.unseen_genes { validate = 0 } }
  for k, v in pairs(extra or {}) do t[k] = v end
  return experiment.experiment(t)
end

local function run(exp) return experiment.run(exp, { quiet = true, silent = true, write = false }) end

local function names(r)
  local out = {}
  for i, row in ipairs(r.rows) do out[i] = row.model .. "/" .. row.embedding end
  return table.concat(out, " ")
end

test("experiment: baselines and ablation are there without being asked", function()
  local r = run(make())
  assert(names(r) == "koopman/made mlp/made no_change/none mean/none linear/none knn/made ridge/made koopman/random",
    names(r))
  local text = r:text(false)
  for line in (text .. "\n"):gmatch "(.-)\n" do assert(#line <= 110, line) end
  assert(text:find("control [95%]", 1, true) and text:find("centroid [95%]", 1, true) and not text:find "\27")
  assert(text:match "\nkoopman %- %w+ %(best baseline%): [+-]%d%.%d+ %[.*%] p .* at centroid$", text)
  assert(r:text(true):find "\27%[1m")
  near(r:summary("mean", "pearson@centroid/all-target").mean, 0)
  assert(r:summary("ridge", "pearson@control/all-target").mean > .5)
  assert(text:find("coverage of 12 test rows: embedding 12", 1, true), text)
end)

test("experiment: results.csv has the columns, a row per seed and pooled ones with intervals", function()
  local r = run(make())
  local csv = r:csv()
  assert(csv:match "^[^\n]*" == "experiment,model,embedding,context,seed,group,reference,genes,metric,value,lo,hi,n")
  assert(table.concat(results.columns, ",") == csv:match "^[^\n]*")
  assert(csv:find "\ntiny,knn,made,K,1,all,control,all%-target,pearson,[%d.-]+,,,6\n", csv)
  local v, lo, hi, n = csv:match "\ntiny,knn,made,K,all,all,control,all%-target,pearson,([%d.-]+),([%d.-]+),([%d.-]+),(%d+)\n"
  assert(tonumber(lo) < tonumber(v) and tonumber(v) < tonumber(hi) and tonumber(n) <= 12)
  assert(csv:find "\ntiny,koopman %- mean,none,K,all,all,control,all%-target,pearson_difference,")
  assert(csv:find "\ntiny,koopman,random,K,2,all,none,all,pds_l2,")
  assert(csv:find "\ntiny,mean,none,K,all,all,none,top20,mse,")
end)

test("experiment: the same bytes again, and for one and two threads", function()
  local before = core.threads()
  local function bytes()
    local r = run(make { seeds = { 3 } })
    local path = os.tmpname()
    require("dynamo.predictions").write(path .. ".h5ad", r)
    local digest = core.sha256_file(path .. ".h5ad")
    core.remove(path) core.remove(path .. ".h5ad")
    return r:csv(), digest
  end
  core.threads(1)
  local a, b = bytes()
  local c, d = bytes()
  core.threads(2)
  local e, f = bytes()
  core.threads(before)
  assert(a == c and a == e and b == d and b == f)
end)

test("experiment: combinations get additive rows and groups", function()
  local r = run(make({ split = split.combinations { validate = 0, test = 0.3 }, seeds = { 2 } }, nil, 8))
  assert(names(r):find("additive/none matching_mean/none", 1, true), names(r))
  local groups = table.concat(r:groups "K", " ")
  assert(groups:find "^all " and groups:find "unseen" and groups:find "seen", groups)
  assert(r:text(false):find "by group, control / centroid" or #r:tables() == 2)
  assert(r:csv():find "\ntiny,additive,none,K,all,unseen,control,all,pearson,")
end)

test("experiment: a context whose every row is tested has no native and template rows", function()
  local r = run(make({ split = split.contexts { test = "R", unseen = 0, validate = 0 }, seeds = { 1 } }, { "K", "R" }))
  assert(not names(r):find("native", 1, true) and not names(r):find("template", 1, true), names(r))
  assert(names(r):find("copy/none", 1, true), names(r))
end)

test("experiment: a held-out context has transfer, template, native rows and retention", function()
  local r = run(make({ split = split.contexts { test = "R", validate = 0 } }, { "K", "R" }))
  local all = names(r)
  for _, name in ipairs { "koopman (template)/made", "mlp (template)/made", "knn (template)/made", "koopman (native)/made",
    "mlp (native)/made", "mean (native)/none", "copy/none" } do
    assert(all:find(name, 1, true), all)
  end
  local key = "pearson@control/all-target"
  assert(r:summary("copy", key, "R").mean > r:summary("mean", key, "R").mean)
  local t = r:retention("koopman", key, "R")
  assert(t.native and (t.retention or t.reason))
  assert(r:text(false):find "retention of koopman in R at control: ")
  near(r:summary("mean (native)", "pearson@centroid/all-target", "R").mean, 0)
  assert(r:best_baseline(key, "R").kind == "baseline")
  r = run(make({ split = split.contexts { test = "R", validate = 0 }, transfer = { native = false }, seeds = { 1 } },
    { "K", "R" }))
  assert(not names(r):find("(native)", 1, true) and r:retention("koopman", key, "R") == nil)
end)

test("experiment: labels are scored by AUROC per gene", function()
  local R, e = fixture { "K" }
  R = responses.new { genes = R.genes, contexts = R.contexts, rows = R.rows, delta = R.delta:gt(0):to "double",
    kind = "label", file = "labels" }
  local r = run(experiment.experiment { data = R, embedding = e, model = model.koopman(small), draws = 200 })
  assert(r:csv():find "\nexperiment,knn,made,K,all,all,none,all,auroc,")
  assert(r:text(false):find("AUROC [95%]", 1, true))
end)

test("experiment: ablations change one thing", function()
  local r = run(make { seeds = { 1 }, ablate = { rank = { 1 }, embedding = { embed.random { dim = 3 }, embed.random { dim = 5 } },
    model = { baseline.kernel_ridge {} } }, baselines = { baseline.shuffled {} } })
  local all = names(r)
  assert(all:find("koopman rank=1/made", 1, true) and all:find("kernel_ridge/made", 1, true)
    and all:find("shuffled/none", 1, true), all)
  assert(all:find("koopman/random dim=3 koopman/random dim=5", 1, true), all)
end)

test("experiment: a leak stops the run before anything is fitted", function()
  local exp = make { split = split.given { train = { "g01", "g02", "g03" }, test = { "g03", "g04" } } }
  local ok, e = pcall(run, exp)
  assert(not ok and e.code == "ELEAK" and tostring(e):find "g03 in K is in both train and test", tostring(e))
end)

test("experiment: unknown options and wrong values are errors with a suggestion", function()
  raises("experiment: unknown option 'sedes'; did you mean 'seeds'?", make, { sedes = { 1 } })
  raises("train: model.koopman has no option 'epoch'; did you mean 'epochs'?", make, { train = { epoch = 3 } })
  raises("option 'epochs' must be an integer of at least 0", make, { train = { epochs = -1 } })
  raises("ablate: unknown option 'rnk'; did you mean 'rank'?", make, { ablate = { rnk = { 1 } } })
  raises("split: a recipe of a split expected", make, { split = baseline.knn {} })
  raises("model: a recipe of a predictor expected", make, { model = { 1 } })
  raises("experiment.transfer: unknown option 'natve'; did you mean 'native'?", make, { transfer = { natve = true } })
  raises("name: letters, digits", make, { name = "a/b" })
  raises("option 'data' is required", experiment.experiment, {})
  local R = fixture { "K" }
  raises("option 'embedding' is required", experiment.experiment, { data = R })
  raises("no row 'kn'", function() run(make { seeds = { 1 } }):row "kn" end)
end)

test("experiment: words of the command line", function()
  local exp = experiment.with(make(), { "train.epochs=7", "seeds=1..3", "model.rank=1", "split.test=0.5", "out=x", "report=false" })
  local o = exp.options
  assert(o.train.epochs == 7 and #o.seeds == 3 and o.model.options.rank == 1 and o.split.options.test == 0.5
    and o.out == "x" and o.report == false)
  assert(#experiment.with(make(), { "seed=4" }).options.seeds == 1)
  raises("there is no 'epoch' in train; did you mean 'epochs'?", experiment.with, make(), { "train.epoch=7" })
  raises("option 'rank' must be", experiment.with, make(), { "model.rank=-1" })
  raises("did you mean 'split'?", experiment.with, make(), { "spilt.test=0.5" })
  local recipe = make { embedding = embed.random { dim = 8 } }
  assert(experiment.with(recipe, { "embedding.dim=3" }).options.embedding.options.dim == 3)
end)

test("experiment: the folder is written whole, and the model predicts what the run predicted", function()
  local folder = os.tmpname()
  core.remove(folder)
  local r = experiment.run(make { seeds = { 1 }, out = folder, report = false }, { quiet = true, silent = true })
  assert(table.concat(core.listdir(folder), " ") == "manifest.json model.dynamo perturbations.csv predictions.h5ad results.csv")
  local m = require("dynamo.fitted").load(folder .. "/model.dynamo")
  local rows = {}
  for k, i in ipairs(r.splits[1].test) do rows[k] = r.R.rows[i] end
  assert((m:predict(rows) - r:main().first):abs():max():item() < 1e-9)
  local f = core.h5_open(folder .. "/predictions.h5ad")
  local n, g = f:size()
  assert(n == 6 and g == G and table.concat(f:layers(), " ") == "control delta observed")
  local x, want = f:matrix(), (r:main().first + 2):to "float"
  assert((x - want):abs():max():item() < 1e-6)
  assert(require("dynamo.json").decode(f:uns "dynamo").seed == 1)
  f:close()
  local h = io.open(folder .. "/manifest.json")
  local manifest = require("dynamo.json").decode(h:read "*a")
  h:close()
  assert(manifest.identity.leakage[1].overlap == 0 and manifest.identity.options.train and #manifest.identity.outputs == 4)
  local p = require("dynamo.predict").main { model = folder .. "/model.dynamo", genes = { "g03+g01", "nope" },
    out = folder .. "/p.h5ad", quiet = true, silent = true }
  assert(p.rows[1].perturbation == "g01+g03" and p.rows[2].coverage == "mean")
  raises("the model has no context 'R'", require("dynamo.predict").main, { model = folder .. "/model.dynamo", genes = { "g01" },
    context = "R", quiet = true })
  for _, name in ipairs(core.listdir(folder)) do core.remove(folder .. "/" .. name) end
  core.remove(folder)
end)
