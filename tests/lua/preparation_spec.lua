-- Steps of preparation: order, what they learn from, controls of the same batch, experiments.
local core = require "dynamo.core"
local data = require "dynamo.data"
local embed = require "dynamo.embed"
local experiment = require "dynamo.experiment"
local json = require "dynamo.json"
local label = require "dynamo.label"
local model = require "dynamo.model"
local preparation = require "dynamo.preparation"
local prepare = require "dynamo.prepare"
local split = require "dynamo.split"

local GENES = 24

-- Counts of `cells` cells in two batches (the second has twice the counts), perturbations p1..p8 and control, 2 lines.
local function write(path, more)
  local rows, pert, batch, line = {}, {}, {}, {}
  for i = 1, 180 do
    local p = (i - 1) % 9
    rows[i], pert[i] = {}, p == 0 and "control" or "g" .. p
    batch[i], line[i] = i % 4 == 0 and "b" or "a", i <= 90 and "K" or "R"
    for j = 1, GENES do
      local v = (i * 7 + j * j * 5 + i * j) % (j % 7 + 3)
      if p == j then v = v + 9 end
      rows[i][j] = v * (i % 4 == 0 and 2 or 1)
    end
    if i == 180 then for j = 1, GENES do rows[i][j] = j == 1 and 1 or 0 end end
  end
  local genes = {}
  for j = 1, GENES do genes[j] = "g" .. j end
  local names = {}
  for i = 1, 180 do names[i] = "c" .. i end
  local t = { x = core.sparse_from_dense(core.tensor(rows)), obs_names = names, var_names = genes,
    obs = { { name = "perturbation", values = pert }, { name = "batch", values = batch },
      { name = "cell_line", values = line } } }
  for k, v in pairs(more or {}) do t[k] = v end
  core.h5ad_write(path, t)
end

local function with_file(f)
  local path = os.tmpname()
  os.remove(path)
  path = path .. ".h5ad"
  write(path)
  local ok, e = pcall(f, path)
  os.remove(path)
  if not ok then error(e, 0) end
end

local steps = { prepare.filter_cells { min_genes = 5 }, prepare.filter_genes { min_cells = 3 }, prepare.normalise {},
  prepare.log1p {}, prepare.hvg { n = 12 } }

test("a function of prepare with options alone is a step that prints itself", function()
  assert(tostring(prepare.hvg { n = 12 }) == "prepare.hvg { bins = 20, flavour = \"seurat\", max_mean = 3, min_dispersion = 0.5, "
    .. "min_mean = 0.0125, n = 12, span = 0.3 }", tostring(prepare.hvg { n = 12 }))
  assert(tostring(prepare.log1p {}) == "prepare.log1p {}" and preparation.is(prepare.match_controls {}))
  assert(not preparation.is(split.unseen_genes {}) and not preparation.is(3))
  raises("prepare.normalise: unknown option 'tarjet'; did you mean 'target'?", prepare.normalise, { tarjet = 1 })
end)

test("steps run in order and say what they did", function()
  with_file(function(path)
    local D = data.read(path, { counts = true })
    assert(D.values == "counts")
    local P, records = preparation.apply(D, steps)
    assert(P.n == 179 and #P.genes == 12 and P.x:size(2) == 12 and P.values == "log1p" and D.n == 180 and #D.genes == GENES)
    assert(records[1].cells[1] == 180 and records[1].cells[2] == 179 and records[1].learned_from == nil)
    assert(records[5].genes[2] == 12 and records[5].learned_from == 179)
    local x = prepare.log1p(prepare.normalise((prepare.filter_cells(D.x, { min_genes = 5 }))))
    local at = require("dynamo.responses").places(D.genes)
    for k, g in ipairs(P.genes) do near(P.x:get(5, k), x:get(5, at[g]), 1e-6) end
    local t = preparation.table(records)
    assert(#t.rows == 5 and t.rows[5][5] == "12" and t.rows[5][1] == "hvg n=12")
    assert(#P:responses().rows == 16)
    local Q, again = data.read(path):prepare(steps) -- scaled on reading: read again
    assert(Q.n == 179 and again[5].genes[2] == 12 and table.concat(Q.genes) == table.concat(P.genes))
  end)
end)

test("steps in the wrong order, and of what is not there, are errors", function()
  with_file(function(path)
    local D = data.read(path, { counts = true })
    local function order(text, ...) raises(text, preparation.apply, D, { ... }) end
    order("normalise takes counts: it comes before log1p", prepare.log1p {}, prepare.normalise {})
    order("log1p of logarithms", prepare.log1p {}, prepare.log1p {})
    order("seurat takes log1p values", prepare.hvg { n = 3 })
    order("seurat_v3 takes counts", prepare.log1p {}, prepare.hvg { n = 3, flavour = "seurat_v3" })
    order("no gene is left", prepare.filter_genes { min_cells = 1000 })
    order("no cell is left", prepare.filter_cells { min_genes = 1000 })
    D.format = "streamed"
    order("is streamed: steps need its cells in memory", prepare.log1p {})
    D.format = "CSR"
    raises("no training cell is left", preparation.apply, D, { prepare.filter_genes {} }, function() return false end)
    assert(#preparation.apply(D, { prepare.hvg { n = 3, flavour = "seurat_v3" } }).genes == 3)
  end)
end)

test("what is learned is learned from the cells that may be used: others change nothing", function()
  with_file(function(path)
    local D = data.read(path, { counts = true })
    local function may(part, i) return part:perturbation_of(i) ~= "g3" end
    local function chosen(D2) return table.concat(preparation.apply(D2, steps, may).genes, " ") end
    local before = chosen(D)
    local seen = {}
    for i = 1, D.n do if D:perturbation_of(i) == "g3" then seen[#seen + 1] = i end end
    local factor = core.full(1, D.n, "double")
    local noise = core.sparse_from_dense(core.rand(7, D.n, GENES) * 50)
    for i = 1, D.n do factor:set(D:perturbation_of(i) == "g3" and 1 or 0, i) end
    D.x = core.sparse_from_dense(D.x:dense() + noise:scale_rows(factor):dense())
    assert(chosen(D) == before)
    local median = prepare.normalise { target = "median" }
    local _, r = preparation.apply(D, { median }, may)
    assert(r[1].learned_from == 160 and r[1].note:find "median total")
  end)
end)

test("several files: genes that all have, one choice for all", function()
  with_file(function(a)
    with_file(function(b)
      local D = data.read({ a, b }, { counts = true, context = false })
      D.files[2].x, D.files[2].genes = D.files[2].x:narrow(2, 3, GENES), { (table.unpack or unpack)(D.files[2].genes, 3) }
      local P, records = preparation.apply(D, steps)
      assert(P.files[1].n == 179 and #P.files[2].genes == 12 and P.files[1].genes[7] == P.files[2].genes[7])
      assert(records[1].cells[1] == 360 and records[1].genes[1] == GENES - 2)
      assert(P:responses().delta:size(2) == 12)
    end)
  end)
end)

test("controls of the same batch: a shift of a batch drops out", function()
  with_file(function(path)
    local D = data.read(path, { counts = true })
    local R, M = D:responses(), D:responses { control = "batch" }
    assert(M.notes[#M.notes]:find "controls are matched by 'batch'")
    local x = D.x:dense "double"
    local sums, n = {}, {}
    local function add(key, i)
      sums[key] = (sums[key] or core.zeros(1, GENES, "double")) + x:rows(i, i)
      n[key] = (n[key] or 0) + 1
    end
    for i = 1, D.n do
      if D:context_of(i) == "K" then
        local b = D.batches.levels[D.batches.codes[i]]
        if D:perturbation_of(i) == "control" then add("c" .. b, i) end
        if D:perturbation_of(i) == "g2" then add("p", i) add("p" .. b, i) end
      end
    end
    local want = sums.p * (1 / n.p)
    for _, b in ipairs { "a", "b" } do want = want - sums["c" .. b] * (1 / n["c" .. b] * n["p" .. b] / n.p) end
    local row = M:find("K", "g2")
    near((M.delta:rows(row, row) - want):abs():max():item(), 0, 1e-6)
    assert((M.delta - R.delta):abs():max():item() > 1e-3 and #M.rows == #R.rows)
    local P = preparation.apply(D, { prepare.match_controls {} })
    near((P:responses().delta - M.delta):abs():max():item(), 0, 1e-12)
    raises("batches of single cells", function() D.batches = nil D.cache = {} D:responses { control = "batch" } end)
  end)
end)

test("pseudobulk: means and sums of labels, sorted", function()
  local x = core.sparse_from_dense(core.tensor { { 1, 2 }, { 3, 4 }, { 5, 0 } })
  local m, names, cells = prepare.pseudobulk(x, { "b", "a", "b" })
  assert(table.concat(names, " ") == "a b" and cells[2] == 2 and m:get(2, 1) == 3)
  assert(prepare.pseudobulk(x, { "b", "", "b" }, { how = "sum" }):get(1, 1) == 6)
  raises("2 labels for 3 cells", prepare.pseudobulk, x, { "a", "b" })
end)

local function run(path, extra)
  local names, values = {}, core.randn(1, 8, 4)
  for i = 1, 8 do names[i] = "g" .. i end
  local o = { name = "prepared", data = path, prepare = steps, seeds = { 1, 2 }, draws = 200,
    split = split.unseen_genes { test = 0.25, validate = 0 },
    embedding = require("dynamo.embedding").new { genes = names, values = values, source = "made" },
    model = model.koopman { members = 1, epochs = 2, latent = 3, hidden = 4, rank = 1 } }
  for k, v in pairs(extra or {}) do o[k] = v or nil end
  return experiment.run(experiment.experiment(o), { quiet = true, silent = true, write = false })
end

test("an experiment prepares its cells after the split, from training cells of every seed, and records it", function()
  with_file(function(path)
    local r = run(path)
    assert(#r.R.genes == 12 and #r.R.preparation == 5)
    local trained = {}
    for _, S in ipairs(r.splits) do
      for _, i in ipairs(S.train) do trained[i] = (trained[i] or 0) + 1 end
    end
    local cells, controls = 0, 0
    for _, n in ipairs(r.R.cells.row_of) do
      cells = cells + (trained[n] == 2 and 1 or 0)
      controls = controls + (n == 0 and 1 or 0)
    end
    assert(r.R.preparation[5].learned_from == cells + controls, r.R.preparation[5].learned_from)
    assert(r:text(false):find("Preparation", 1, true))
    local m = json.decode(require("dynamo.manifest").text(r, ".", {}))
    assert(m.identity.preparation[5].step:find "prepare.hvg" and m.identity.preparation[2].genes[2] <= GENES)
    local same = run(data.read(path)) -- scaled on reading: read again
    assert(same:csv() == r:csv())
  end)
end)

test("a perturbation that loses its cells leaves the splits; wrong steps are refused at once", function()
  with_file(function(path)
    local x = data.read(path, { counts = true })
    local R, S = preparation.experiment(x, { prepare = { prepare.filter_cells { min_counts = 100 } }, min_cells = 1 },
      function(rows) return { split.unseen_genes { test = 0.25, validate = 0 }:make(rows, 1) } end)
    for _, part in ipairs { "train", "test" } do
      for _, i in ipairs(S[1][part]) do assert(R.rows[i]) end
    end
    assert(#R.rows <= 16)
    raises("experiment: prepare: 1 is no step, as in dynamo.prepare.log1p {} (got 3)", run, path, { prepare = { 3 } })
    raises("needs cells; the data are Responses", run, x:responses())
  end)
end)

test("controls of the same batch as reference of columns, and as that of an experiment", function()
  with_file(function(path)
    local evaluate = require "dynamo.evaluate"
    local D = data.read(path, { counts = true })
    local R, M = D:responses(), D:responses { control = "batch" }
    local rows, p = {}, core.randn(4, #R.rows, GENES, "double")
    for i = 1, #R.rows do rows[i] = i end
    local shift = R.delta - M.delta
    local keys = { "pearson@control=batch/all-target", "cosine@control=batch/all", "relerr@control=batch/all", "pds_cos@control=batch/all" }
    local v = evaluate.score(R, rows, p, { metrics = keys })
    local w = evaluate.score(M, rows, p - shift, { metrics = { "pearson@control/all-target", "cosine@control/all",
      "relerr@control/all", "pds_cos@control/all", "pearson@control=batch/all-target" } })
    for i in ipairs(rows) do
      for _, key in ipairs(keys) do near(v[key][i], w[key:gsub("=batch", "")][i], 1e-9) end
      assert(w["pearson@control=batch/all-target"][i] == w["pearson@control/all-target"][i])
    end
    -- it stays with parts and joined data
    local part = R:select { 3, 1, 9 }:take_genes { "g3", "g1", "g7", "g2" }
    local u = evaluate.score(part, { 2 }, p:rows(1, 1):index(2, { 1, 2, 3, 4 }), { metrics = { "mae@none/all", "pearson@control=batch/all" } })
    local cols = core.zeros(1, 4, "double") + shift:rows(3, 3):index(2, { 3, 1, 7, 2 })
    near(u["pearson@control=batch/all"][1], core.pearson_rows(p:rows(1, 1):index(2, { 1, 2, 3, 4 }), part.delta:rows(2, 2),
      { reference = cols }):get(1), 1e-9)
    local plain = require("dynamo.responses").new { genes = R.genes, contexts = R.contexts, rows = R.rows, delta = R.delta }
    local _, info = evaluate.score(plain, { 1 }, p:rows(1, 1), { metrics = { "pearson@control=batch/all" } })
    assert(info.skipped["pearson@control=batch/all"] == "no batches of cells are known")
    -- an experiment
    local r = run(path, { prepare = false, control = "batch" })
    assert(r.R.control_by == "batch" and r.R.notes[#r.R.notes]:find "controls are matched by 'batch'")
    local by = run(path, { control = "batch", metrics = { "pearson@control=batch/all", "mae@none/all" }, seeds = { 1 } })
    assert(by.R.control_by == "batch" and by:main().values[1]["pearson@control=batch/all"])
    raises("control: needs cells", run, R, { prepare = false, control = "batch" })
  end)
end)
