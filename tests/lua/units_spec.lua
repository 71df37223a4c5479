-- Units of a model: controls of another file are prepared as training cells were, or refused.
local core = require "dynamo.core"
local data = require "dynamo.data"
local embedding = require "dynamo.embedding"
local experiment = require "dynamo.experiment"
local fitted = require "dynamo.fitted"
local model = require "dynamo.model"
local predict = require "dynamo.predict"
local prepare = require "dynamo.prepare"
local split = require "dynamo.split"
local units = require "dynamo.units"

local GENES, CELLS = 20, 90

-- Counts of cells of p = control, g1 .. g8; the last cell is nearly empty.
local function counts()
  local rows = {}
  for i = 1, CELLS do
    rows[i] = {}
    for j = 1, GENES do
      local v = (i * 7 + j * j * 5 + i * j) % (j % 7 + 3) * (i % 4 == 0 and 2 or 1)
      rows[i][j] = i == CELLS and (j == 1 and 1 or 0) or v + ((i - 1) % 9 == j and 9 or 0)
    end
  end
  return core.sparse_from_dense(core.tensor(rows))
end

local function write(path, x, genes, control_only)
  local t = { x = x, obs_names = {}, var_names = genes, obs = { { name = "perturbation", values = {} } } }
  for i = 1, x:size(1) do
    t.obs_names[i] = "c" .. i
    t.obs[1].values[i] = (control_only or (i - 1) % 9 == 0) and "control" or "g" .. (i - 1) % 9
  end
  core.h5ad_write(path, t)
end

local function names(n)
  local out = {}
  for j = 1, n do out[j] = "g" .. j end
  return out
end

local function with_folder(f)
  local folder = os.tmpname()
  os.remove(folder)
  core.mkdir(folder)
  local ok, e = pcall(f, folder)
  for _, name in ipairs(core.listdir(folder)) do core.remove(folder .. "/" .. name) end
  core.remove(folder)
  if not ok then error(e, 0) end
end

local steps = { prepare.filter_cells { min_genes = 5 }, prepare.filter_genes { min_cells = 60 },
  prepare.normalise { target = "median" }, prepare.log1p {}, prepare.hvg { n = 9 } }

-- A model of the cells of `path` after steps, saved and read again.
local function trained(path, list, folder)
  local r = experiment.run(experiment.experiment { name = "u", data = path, prepare = list, draws = 100, ceiling = false,
    split = split.unseen_genes { test = 0.25, validate = 0 },
    embedding = embedding.new { genes = names(8), values = core.randn(1, 8, 4), source = "made" },
    model = model.koopman { members = 1, epochs = 1, latent = 3, hidden = 4, rank = 1 } },
    { quiet = true, silent = true, write = false })
  r:main().fitted:save(folder .. "/m.dynamo")
  return fitted.load(folder .. "/m.dynamo"), r
end

local function control_for(folder, path)
  return predict.main { model = folder .. "/m.dynamo", genes = { "g1" }, controls = path, quiet = true, silent = true }.control
end

local function same(a, b, tolerance) near((a - b):abs():max():item(), 0, tolerance or 1e-6) end

test("predict --controls: counts go through the steps of training, with what those had learned", function()
  with_folder(function(folder)
    local path, other = folder .. "/t.h5ad", folder .. "/o.h5ad"
    write(path, counts(), names(GENES))
    local m, r = trained(path, steps, folder)
    assert(m.units.from == "counts" and m.units.values == "log1p" and #m.units.steps == 5)
    assert(type(m.units.steps[3].options.target) == "number" and #m.units.steps[2].kept < GENES and not m.units.steps[5].kept)
    same(control_for(folder, path), r.R.control:select(1, 1)) -- the round trip
    -- the controls alone, ten times as deep, genes in another order: the same profile
    local order, renamed = core.permutation(GENES, 3, "units"), {}
    for k, j in ipairs(order) do renamed[k] = "g" .. j end
    local keep = {}
    for i = 1, CELLS, 9 do keep[#keep + 1] = i end
    write(other, (counts():index(1, keep):index(2, order)):scale_rows(core.full(10, #keep, "double")), renamed, true)
    same(control_for(folder, other), r.R.control:select(1, 1))
  end)
end)

test("predict --controls: logarithms of whole cells are scaled again; others are refused", function()
  with_folder(function(folder)
    local path, other = folder .. "/t.h5ad", folder .. "/o.h5ad"
    write(path, counts(), names(GENES))
    local m, r = trained(path, steps, folder)
    local scaled = prepare.normalise((prepare.filter_cells(counts(), { min_genes = 5 })), { target = 5000 })
    write(other, scaled:log1p(), names(GENES))
    same(control_for(folder, other), r.R.control:select(1, 1), 1e-5)
    local said = {}
    units.read(other, m.units, function(text) said[#said + 1] = text end)
    assert(said[1]:find("log1p values, scaled again as in training", 1, true))
    write(other, scaled:log1p():index(2, { 1, 2, 3, 4, 5, 6, 7, 8 }), names(8))
    raises("values are log1p, those of the model log1p after filter_cells, filter_genes, normalise, log1p, hvg: the controls "
      .. "cannot be brought to its units (how they were scaled does not show)", control_for, folder, other)
    write(other, core.sparse_from_dense(counts():dense() - 3), names(GENES))
    raises("values are scaled, those of the model", control_for, folder, other)
    trained(path, { prepare.normalise {}, prepare.log1p {} }, folder) -- 10,000 a cell: what data.read takes log1p values for
    write(other, scaled:log1p():index(2, { 1, 2, 3, 4, 5, 6, 7, 8 }), names(8))
    assert(control_for(folder, other):count() == GENES)
  end)
end)

test("predict --controls: a model of logarithms takes counts and logarithms, no others; one of counts takes counts", function()
  with_folder(function(folder)
    local path, other = folder .. "/t.h5ad", folder .. "/o.h5ad"
    write(path, counts(), names(GENES))
    local m, r = trained(path, nil, folder)
    assert(m.units.values == "log1p of counts" and #m.units.steps == 0)
    same(control_for(folder, path), r.R.control:select(1, 1))
    write(other, prepare.log1p(prepare.normalise(counts())), names(GENES))
    same(control_for(folder, other), r.R.control:select(1, 1), 1e-5)
    write(other, core.sparse_from_dense(counts():dense() * 2.5 + 30), names(GENES))
    raises("values are as they are, those of the model log1p of counts scaled to 10,000 a cell", control_for, folder, other)
    trained(path, { prepare.filter_genes { min_cells = 2 } }, folder)
    raises("cannot be brought to its units", control_for, folder, other)
    write(other, counts():log1p(), names(GENES))
    raises("values are log1p, those of the model counts after filter_genes", control_for, folder, other)
  end)
end)

test("units in a model file: nothing in it is believed; older files have none", function()
  local function wrong(text, c) assert(select(2, units.checked(c, function() end)):find(text, 1, true)) end
  wrong("units are not", 3)
  wrong("units are not", { from = "counts", values = "x", steps = {} })
  wrong("step 1 is unknown", { from = "counts", values = "log1p", steps = { { name = "system", options = {} } } })
  wrong("step 1 is unknown", { from = "counts", values = "log1p", steps = { { name = "log1p" } } })
  wrong("no target", { from = "counts", values = "log1p", steps = { { name = "normalise", options = { target = "median" } } } })
  wrong("unknown option 'x'", { from = "counts", values = "log1p", steps = { { name = "log1p", options = { x = 1 } } } })
  assert(units.of { values = "effects" } == nil)
  with_folder(function(folder)
    local path = folder .. "/t.h5ad"
    write(path, counts(), names(GENES))
    assert(units.read(path, nil, function() end).values == "log1p of counts")
    local D = data.read(path, { counts = true }):prepare { prepare.normalise {} }
    assert(D:responses().units.values == "normalised" and D:responses():select({ 1 }).units.from == "counts")
  end)
end)
