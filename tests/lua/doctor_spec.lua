-- What dynamo doctor finds.
local core = require "dynamo.core"
local doctor = require "dynamo.doctor"
local experiment = require "dynamo.experiment"

local function with(content, f)
  local base = os.tmpname()
  local path = base .. ".h5ad"
  core.h5ad_write(path, content)
  local ok, e = pcall(f, path)
  os.remove(path)
  os.remove(base)
  if not ok then error(e, 0) end
end

local function cells(labels, scale)
  local x, names = {}, {}
  for i in ipairs(labels) do x[i], names[i] = { i % 3 * (scale or 1), 1, 2 }, "c" .. i end
  return { x = core.tensor(x), obs_names = names, var_names = { "A", "B", "C" },
    obs = { { name = "perturbation", values = labels, categorical = true } } }
end

local function found(r, level, text)
  for _, f in ipairs(r.findings) do
    if f.level == level and f.message:find(text, 1, true) then return f end
  end
  local all = {}
  for i, f in ipairs(r.findings) do all[i] = f.level .. ": " .. f.message end
  error("not found: " .. text .. " in\n" .. table.concat(all, "\n"), 2)
end

test("cells: few controls, one cell per perturbation, counts, genes that are not measured", function()
  with(cells { "control", "control", "A", "B", "B", "Z" }, function(path)
    local r = doctor.examine(path)
    assert(found(r, "warning", "2 of 3 perturbations have one cell: A, Z").hint == "min_cells = 10")
    found(r, "warning", "has 2 control cells")
    found(r, "note", "raw counts")
    found(r, "note", "1 of 3 perturbed genes not measured: Z")
    found(r, "note", "memory: ")
    assert(r.findings[1].level == "warning" and doctor.main(path) == 0)
  end)
  with(cells({ "control", "control", "A" }, -1), function(path)
    found(doctor.examine(path), "warning", "scaled expression")
  end)
end)

test("what cannot be read is an error with its hint", function()
  with(cells { "x", "y", "z" }, function(path)
    local f = found(doctor.examine(path), "error", "no control label")
    assert(f.hint:find('control="', 1, true) and doctor.main(path) == 65)
  end)
  raises("no such file", doctor.examine, "/nowhere.h5ad")
end)

test("experiments: genes without a vector, splits that leave nothing", function()
  local labels = { "control", "control" }
  for i = 1, 6 do labels[#labels + 1] = "A" labels[#labels + 1] = "B" labels[#labels + 1] = i % 2 == 0 and "C" or "Z" end
  with(cells(labels), function(path)
    local e = require("dynamo.embedding").new { genes = { "A", "B", "C" }, values = core.tensor { { 1 }, { 2 }, { 3 } } }
    local r = doctor.examine(experiment { data = path, embedding = e })
    found(r, "warning", "1 of 4 perturbed genes have no vector: Z")
    found(r, "warning", "4 perturbations: too few")
  end)
end)

test("a context without a control is an error", function()
  local t = cells { "control", "A", "A", "B" }
  t.obs[2] = { name = "cell_line", values = { "K562", "K562", "RPE1", "RPE1" } }
  with(t, function(path)
    assert(found(doctor.examine(path), "error", "context 'RPE1' has no control").hint and doctor.main(path) == 65)
  end)
end)

-- n cells of each label
local function many(labels, n)
  local out = {}
  for _, l in ipairs(labels) do for _ = 1, n do out[#out + 1] = l end end
  return out
end

local function vectors(names)
  return require("dynamo.embedding").new { genes = names, values = core.randn(1, #names, 3) }
end

test("every finding has a line that helps, and the worst comes first", function()
  with(cells { "control", "A", "B", "Z" }, function(path)
    local last = 0
    local rank = { error = 1, warning = 2, note = 3 }
    for _, f in ipairs(doctor.examine(path).findings) do
      assert(rank[f.level] >= last and (f.hint or f.level == "note"), f.message)
      last = rank[f.level]
    end
  end)
end)

test("raw counts where logarithms are expected", function()
  local prepare = require "dynamo.prepare"
  with(cells(many({ "control", "A", "B", "C" }, 60)), function(path)
    local D = require("dynamo.data").read(path, { counts = true })
    local f = found(doctor.examine(experiment { data = D, embedding = vectors { "A", "B", "C" } }), "warning",
      "raw counts where logarithms are expected")
    assert(f.hint == "prepare = { dynamo.prepare.normalise {}, dynamo.prepare.log1p {} }")
    local r = doctor.examine(experiment { data = D, embedding = vectors { "A", "B", "C" },
      prepare = { prepare.normalise {}, prepare.log1p {} } })
    for _, other in ipairs(r.findings) do assert(not other.message:find "raw counts where", other.message) end
    r = doctor.examine(experiment { data = D, embedding = vectors { "A", "B", "C" },
      prepare = { prepare.log1p {}, prepare.normalise {} } })
    found(r, "error", "normalise takes counts: it comes before log1p")
  end)
  with(cells(many({ "control", "A", "B", "C" }, 2), 40), function(path)
    local D = require("dynamo.data").read(path, { kind = "effect" })
    assert(found(doctor.examine(experiment { data = D, embedding = vectors { "A" } }), "warning",
      "values up to 80 are read as effects: they look like counts").hint:find "kind")
  end)
end)

test("leakage: one gene in two writings, guides as genes, genes chosen before the split", function()
  with(cells(many({ "control", "A", "a", "B" }, 3)), function(path)
    assert(found(doctor.examine(path), "warning", "1 perturbed genes differ in case alone: A and a").hint:find "symbols")
  end)
  with(cells(many({ "control", "X_sg1", "X_sg2", "Y_sg1", "Y_sg2", "W_sg1", "W_sg2" }, 3)), function(path)
    found(doctor.examine(path), "warning", "guides of one gene look like different genes: W_sg2, X_sg2, Y_sg2")
  end)
  local t = cells(many({ "control", "A", "B" }, 3))
  t.var = { { name = "highly_variable", values = core.tensor { 1, 1, 1 }, boolean = true } }
  with(t, function(path)
    assert(found(doctor.examine(path), "note", "genes were chosen in this file").hint:find "hvg")
  end)
end)

test("the context that is used says less than another column", function()
  local labels = many({ "control", "A", "B" }, 4)
  local t, line, kind = cells(labels), {}, {}
  for i in ipairs(labels) do line[i], kind[i] = i % 2 == 0 and "K562" or "A549", "A549" end
  t.obs[2] = { name = "cell_line", values = line }
  t.obs[3] = { name = "cell_type", values = kind }
  with(t, function(path)
    assert(found(doctor.examine(path), "warning", "context 'cell_type' has 1 levels, 'cell_line' has 2").hint ==
      'context = "cell_line"')
  end)
end)

test("splits: nothing to test, few to test, a leak", function()
  local split = require "dynamo.split"
  local labels = { "A", "B", "C", "control" }
  with(cells(many(labels, 60)), function(path)
    local function examine(s)
      return doctor.examine(experiment { data = path, embedding = vectors { "A", "B", "C" }, split = s })
    end
    found(examine(split.unseen_genes { test = 0.34, validate = 0 }), "warning", "tests on 1 perturbations")
    found(examine(split.unseen_genes { test = 0 }), "error", "no row to test on")
    local leaky = split.unseen_genes { test = 0.34, validate = 0 }
    local make = leaky.make
    leaky.make = function(self, R, seed)
      local S = make(self, R, seed)
      S.train[#S.train + 1] = S.test[1]
      return S
    end
    found(examine(leaky), "error", "is in both train")
  end)
end)

test("time and memory: estimated from short fits, within a factor of three of the memory of a run", function()
  local labels, genes = { "control" }, {}
  for i = 1, 24 do labels[i + 1], genes[i] = "g" .. i, "g" .. i end
  local t, x = cells(many(labels, 12)), {}
  for i, l in ipairs(t.obs[1].values) do
    x[i] = {}
    for j = 1, 24 do x[i][j] = (i * 7 + i * j * j) % 5 + (l == genes[j] and 9 or 0) end
  end
  t.x, t.var_names = core.tensor(x), genes
  with(t, function(path)
    local exp = experiment { data = path, embedding = vectors(genes), draws = 200,
      model = require("dynamo.model").koopman { members = 1, epochs = 8, latent = 2, hidden = 4, rank = 1 } }
    local f = found(doctor.examine(exp), "note", "a run takes about ")
    local number, unit = f.message:match "and ([%d.]+) (%ai)B of memory"
    local amount = tonumber(number) * (unit == "Gi" and 2 ^ 30 or 2 ^ 20)
    exp:run { quiet = true, silent = true, write = false }
    assert(amount / require("dynamo.cost").peak() < 3 and require("dynamo.cost").peak() / amount < 3, amount)
    local seconds = require("dynamo.estimate").seconds(require("dynamo.runner").plan(exp))
    assert(seconds.total > 0 and #seconds.rows >= 8)
  end)
  local words = require("dynamo.estimate").words
  assert(words(0.1) == "1 s" and words(120) == "2.0 min" and words(9000) == "2.5 h")
end)

test("a script that runs its experiments itself is stopped at the first, which is examined", function()
  local path, data_path = os.tmpname() .. ".lua", os.tmpname() .. ".tsv"
  core.write_file(data_path, "perturbation\tgene\tvalue\nA\tx\t1\nB\tx\t2\nC\tx\t3\n")
  core.write_file(path, ([[
    local dynamo = require "dynamo"
    local exp = dynamo.experiment { name = "inside", data = %q, embedding = dynamo.embed.random { dim = 2 } }
    exp:run { quiet = true }
    error "it went on"]]):format(data_path))
  local r = require("dynamo.doctor").examine(path)
  assert(r.findings[#r.findings].level == "note")
  local said, went_on
  for _, f in ipairs(r.findings) do
    said = said or f.message:find("the script runs its experiments itself: 'inside', the first, is examined", 1, true)
    went_on = went_on or f.message:find "it went on"
  end
  assert(said and not went_on and require("dynamo.experiment").before_run == nil)
  core.write_file(path, 'error "of the script"')
  r = require("dynamo.doctor").examine(path)
  assert(#r.findings == 1 and r.findings[1].message:find "of the script")
  os.remove(path)
  os.remove(data_path)
end)
