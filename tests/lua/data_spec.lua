local core = require "dynamo.core"
local data = require "dynamo.data"
local label = require "dynamo.label"

-- A file as the reader shows it. obs and var: lists of { name, values }; a list of strings is text, of numbers or
-- booleans what it says.
local function column(values)
  if type(values[1]) == "string" or values[1] == false and values.text then
    local levels, at, codes = {}, {}, {}
    for i, s in ipairs(values) do
      if s and not at[s] then
        levels[#levels + 1] = s
        at[s] = #levels
      end
      codes[i] = s and at[s] or 0
    end
    return { kind = "text", levels = levels, codes = codes }
  end
  local n, kind = {}, type(values[1])
  for i, v in ipairs(values) do n[i] = v == true and 1 or v or 0 end
  return { kind = kind, values = core.tensor(n, "double") }
end

local function info_of(x)
  local info = { nonfinite = 0, negative = false, integers = true, max = -math.huge, min = math.huge }
  for i, row in ipairs(x) do
    for j, v in ipairs(row) do
      if v - v ~= 0 then
        info.nonfinite = info.nonfinite + 1
        if info.nonfinite == 1 then info.row, info.col = i, j end
      else
        info.negative, info.integers = info.negative or v < 0, info.integers and v == math.floor(v)
        info.max, info.min = math.max(info.max, v), math.min(info.min, v)
      end
    end
  end
  info.integers = info.integers and not info.negative
  return info
end

local function fake(t)
  local f = {}
  function f:kind() return t.kind or "h5ad" end
  function f:size() return #t.x, #t.x[1] end
  function f:names(axis)
    if axis == "raw" then return t.raw_names or {} end
    local out = {}
    for i = 1, axis == "obs" and #t.x or #t.x[1] do
      out[i] = axis == "var" and t.genes and t.genes[i] or (axis == "obs" and "c" or "g") .. i
    end
    return out
  end
  function f:columns(axis)
    local out = {}
    for i, c in ipairs(t[axis] or {}) do out[i] = { name = c[1], kind = column(c[2]).kind } end
    return out
  end
  function f:column(axis, name)
    for _, c in ipairs(t[axis] or {}) do
      if c[1] == name then return column(c[2]) end
    end
    error("no column " .. name)
  end
  function f:layers()
    local out = {}
    for k in pairs(t.layers or {}) do out[#out + 1] = k end
    return out
  end
  function f:matrix(name)
    local x = name == nil and t.x or name == "raw" and t.raw or t.layers[name]
    local m = core.tensor(x)
    return t.sparse and core.sparse_from_dense(m) or m, info_of(x)
  end
  function f:close() end
  return f
end

-- Read a fake file with options.
local function read(t, opts)
  local open, sniff = data._open, data._sniff
  data._open, data._sniff, data._virtual = function() return fake(t) end, function() return "h5" end, true
  local ok, D = pcall(data.read, "dir/k.h5ad", opts)
  data._open, data._sniff, data._virtual = open, sniff, nil
  if not ok then error(D, 0) end
  return D
end

local function has_note(D, text)
  for _, n in ipairs(D.notes) do
    if n:find(text, 1, true) then return true end
  end
end

local function cells(extra)
  local t = { x = { { 0, 1.5 }, { 0, .5 }, { 2, 1 }, { 4, 1 }, { 1, 1 }, { .5, .5 } }, genes = { "A", "B" },
    obs = { { "condition", { "ctrl", "ctrl", "A+ctrl", "ctrl+A", "A+B", "ctrl" } }, { "cell_line", { "K", "K", "K",
      "K", "K", "R" } },
      { "batch", { 1, 1, 2, 2, 1, 1 } } } }
  for k, v in pairs(extra or {}) do t[k] = v end
  return t
end

test("data: cells become means against the control of their context", function()
  for _, sparse in ipairs { false, true } do
    local D = read(cells { sparse = sparse, obs = { { "condition", { "ctrl", "ctrl", "A+ctrl", "ctrl+A", "A+B",
      "ctrl" } } } })
    assert(D.kind == "cells" and D.values == "log1p")
    local R = D:responses()
    assert(#R.rows == 2 and R.contexts[1] == "all" and R.rows[1].perturbation == "A" and R.rows[1].n_cells == 2)
    near(R.control:get(1, 1), .5 / 3, 1e-7)
    near(R.delta:get(1, 1), 3 - .5 / 3, 1e-7) near(R.delta:get(2, 2), 1 - 2.5 / 3, 1e-7)
    assert(#R.cells.row_of == 6 and R.cells.row_of[4] == 1 and R.cells.row_of[1] == 0 and R.cells.row_of[5] == 2)
    assert(R == D:responses {} and #D:responses { min_cells = 2 }.rows == 1)
    assert(D:responses { min_cells = 2 }.notes[#D.notes + 1] == "1 perturbations with fewer than 2 cells are left out")
  end
end)

test("data: what a Dataset says of itself", function()
  local D = read(cells())
  assert(tostring(D) == "Dataset k.h5ad: 6 cells x 2 genes, dense float, log1p\n" ..
    "  perturbation 'condition': control (3 cells), 1 single, 1 double\n  context 'cell_line' (2): K R", tostring(D))
  assert(D.batch == "batch")
end)

test("data: a context without control cells is named", function()
  local t = cells()
  t.obs[1][2][6] = "B"
  raises("dir/k.h5ad: context 'R' has no control (in 'condition')", function() read(t):responses() end)
  local R = read(t, { kind = "effect" }):responses()
  near(R.delta:get(R:find("R", "B"), 1), .5)
  assert(R.kind == "effect" and R.control:get(2, 1) == 0)
end)

test("data: one row per perturbation and context is a profile, the control row the reference", function()
  local t = { x = { { 1, 2, 3 }, { 2, 2, 5 }, { 0, 1, 0 } }, obs = { { "perturbation", { "control", "A", "B_A" } },
    { "n_cells", { 50, 20, 30 } } },
    genes = { "A", "B", "C" }, layers = { mask = { { 1, 1, 1 }, { 1, 0, 1 }, { 1, 1, 1 } } } }
  t.x[1][1] = 1.25
  local D = read(t)
  local R = D:responses()
  assert(D.kind == "profiles" and R.cells == nil and R.rows[2].perturbation == "A+B" and R.rows[2].n_cells == 30)
  near(R.delta:get(1, 1), .75) near(R.delta:get(2, 3), -3)
  assert(R.mask:get(1, 2) == 0 and R.delta:get(1, 2) == 0 and R.mask:get(1, 1) == 1)
end)

test("data: counts are normalised and said to be, scaled values look for raw", function()
  local t = cells { x = { { 3, 1 }, { 0, 0 }, { 2, 2 }, { 4, 4 }, { 1, 0 }, { 1, 1 } }, sparse = true }
  t.obs[2][2][6] = "K"
  local D = read(t)
  assert(has_note(D, "counts: each cell is scaled to 10,000") and D.values == "log1p of counts")
  near(D.x:get(1, 1), math.log(7501), 1e-6) near(D.x:get(2, 1), 0)
  t = cells { x = { { -1, 1 }, { 0, 0 }, { 2, 2 }, { 4, 4 }, { 1, 0 }, { 1, 1 } } }
  assert(has_note(read(t), "used as it is, as scaled expression"))
  t.raw, t.raw_names = { { .5, 1 }, { 0, 0 }, { 2, 2 }, { 4, 4 }, { 1, 0 }, { 1, 1 } }, { "A", "B" }
  D = read(t)
  assert(has_note(D, "raw is read in its place"))
  near(D.x:get(1, 1), .5)
  t = cells { x = { { 300.5, 1 }, { 0, 0 }, { 2, 2 }, { 4, 4 }, { 1, 0 }, { 1, 1 } } }
  assert(has_note(read(t), "values up to 300.5 are neither counts nor log1p"))
  D = read(cells { layers = { other = { { 1.5, 9 }, { 0, 0 }, { 2, 2 }, { 4, 4 }, { 1, 0 }, { 1, 1 } } } },
    { layer = "other" })
  near(D.x:get(1, 2), 9)
end)

test("data: perturbation columns that are missing, wrong or without control", function()
  local t = cells { obs = { { "guide", { "a", "b", "a", "b", "a", "b" } }, { "n", { 1, 2, 3, 4, 5, 6 } } } }
  raises('k.h5ad: no perturbation column (obs has: guide, n) (try: perturbation="guide")', read, t)
  raises("obs column 'giude' not found (have: guide, n); did you mean 'guide'?", read, t, { perturbation = "giude" })
  raises("obs column 'n' holds numbers, text was expected", read, t, { perturbation = "n" })
  raises("obs column 'cell' not found (have: condition, cell_line, batch)", read, cells(), { context = "cell" })
  raises("obs column 'batch' holds numbers, text was expected", read, cells(), { context = "batch" })
  raises("var column 'symbol' not found (have: none)", read, cells(), { genes = "symbol" })
  t = cells { obs = { { "gene", { "non-target", "non-target", "RPL3", "RPL3", "A", "non-target" } } } }
  raises("obs 'gene': no control label (most frequent: non-target (3), RPL3 (2), A (1)) (try: control=\"non-target\")", read, t)
  raises("obs 'gene': control label 'nontarget' not found; did you mean 'non-target'?", read, t,
    { control = "nontarget" })
  assert(#read(t, { control = "non-target" }):responses().rows == 2)
  t = cells { obs = { { "gene", { "X", "X", "RPL3", "RPL3", "A", "X" } }, { "is_control", { true, true, false, false,
    false, true } } } }
  assert(has_note(read(t), "controls are marked in obs 'is_control'") and #read(t):responses().rows == 2)
  t = cells { obs = { { "perturbation", { "control", "A", "A", "B", "B", "control" } }, { "condition", { "ctrl", "A",
    "A", "B", "B", "ctrl" } } } }
  assert(has_note(read(t), "using obs 'perturbation'; 'condition' would fit too"))
  t = cells()
  t.obs[1][2][3] = "A+A"
  raises("perturbation 'A+A' names A twice", read, t)
end)

test("data: gene names from a symbol column, names that are there twice", function()
  local ens = { "ENSG00000000001", "ENSG00000000002" }
  local t = cells { genes = ens, var = { { "gene_name", { "A", "B" } } } }
  local D = read(t)
  assert(D.genes[2] == "B" and has_note(D, "gene names from var 'gene_name'"))
  assert(read(t, { genes = "gene_name" }).genes[1] == "A")
  t = cells { x = { { 0, 1, 2.5 }, { 0, .5, 1 }, { 2, 1, 1 }, { 4, 1, 1 }, { 1, 1, 1 }, { .5, .5, 1 } },
    genes = { "A", "B", "A" }, var = { { "id", { "x", "y", "z" } } } }
  raises("var: 'A' is there twice (genes 1 and 3) (try: duplicates=\"first\", \"sum\" or \"suffix\", or genes=\"id\")", read, t)
  D = read(t, { duplicates = "first" })
  assert(#D.genes == 2 and D.x:size(2) == 2)
  D = read(t, { duplicates = "suffix" })
  assert(D.genes[3] == "A-1" and has_note(D, "1 genes occur twice"))
  for _, sparse in ipairs { true, false } do
    t.sparse = sparse
    D = read(t, { duplicates = "sum" })
    near(D.x:get(1, 1), 2.5)
    assert(#D.genes == 2)
  end
end)

test("data: NaN stops with its place, or is masked", function()
  local t = cells()
  t.x[4][1] = 0 / 0
  raises("k.h5ad: X: 1 NaN or infinite, first at cell 'c4', gene 'A' (try: nonfinite=\"mask\")", read, t)
  local R = read(t, { nonfinite = "mask" }):responses()
  local a = R:find("K", "A")
  assert(R.mask:get(a, 1) == 0 and R.delta:get(a, 1) == 0 and R.mask:get(a, 2) == 1 and R.cells == nil)
  t.x[1][2] = 1 / 0 -- in a control: the gene cannot be judged in this context
  R = read(t, { nonfinite = "mask" }):responses()
  assert(R.mask:get(R:find("K", "A+B"), 2) == 0 and R.mask:get(R:find("K", "A+B"), 1) == 1)
end)

test("data: rows without a label are counted, a split column becomes parts", function()
  local t = cells { obs = { { "condition", { "ctrl", "ctrl", "A", "A", "B", "C" } }, { "split", { "train", "train",
    "train", "train", "test", "val" } } } }
  local R = read(t):responses()
  assert(R.rows[1].part == "train" and R.rows[2].part == "test" and R.rows[3].part == "validate")
  t.obs[2][2][4] = "test"
  raises("k.h5ad: A is in both train and test", function() read(t):responses() end)
  t.obs[2] = { "fold", { "a", "a", "a", "a", "b", "b" } }
  raises("part 'a' is not train, validate or test", function() read(t, { split = "fold" }):responses() end)
  t.obs[1][2][6], t.obs[1][2].text = false, true
  local D = read(t)
  assert(#D:responses().rows == 2 and has_note(D, "1 rows without perturbation or context are left out"))
end)

test("label: separators only where every part is known", function()
  local is = label.control_test()
  assert(label.separator({ "A+B", "C" }, is, {}) == "+")
  assert(label.separator({ "A_B", "A", "B", "non_targeting" }, is, {}) == "_")
  assert(label.separator({ "A_B", "A" }, is, {}) == nil and label.separator({ "A_B", "A" }, is, { B = 1 }) == "_")
  assert(label.separator({ "HLA-A", "HLA", "A" }, is, {}) == nil)
  assert(label.separator({ "A|B", "B|ctrl" }, is, { A = 1, B = 1 }) == "|" and label.separator({ "A_B", "A", "B" },
    is, { A_B = 1 }) == nil)
  local t = cells { obs = { { "condition", { "ctrl", "ctrl", "A_B", "A", "B", "ctrl" } } } }
  assert(#read(t, { combine = false }):responses():combinations() == 0 and #read(t):responses():combinations() == 1)
end)

-- ---- tables -------------------------------------------------------------------------------

local function with(table_, kind, opts, files)
  local long, sniff, matrix = data._long, data._sniff, data._matrix
  local function give(path) return files and files[path] or table_ end
  data._long, data._matrix, data._sniff, data._virtual = give, give, function() return kind end, true
  local ok, D = pcall(data.read, files and opts.paths or "r.csv", files and {} or opts)
  data._long, data._sniff, data._matrix, data._virtual = long, sniff, matrix, nil
  if not ok then error(D, 0) end
  return D
end

local function long(extra)
  local t = { perturbations = { "KLF1", "B" }, genes = { "x", "y", "z" }, contexts = {}, rows = core.tensor({ 1, 1,
    2 }, "double"),
    cols = core.tensor({ 1, 3, 2 }, "double"), values = core.tensor({ 1, 0, 1 }, "double"), binary = true,
    pairs = { { 1, 1, "train" }, { 2, 1, "test" } }, columns = { perturbation = "pert", gene = "gene",
      value = "label", split = "split" } }
  for k, v in pairs(extra or {}) do t[k] = v end
  return t
end

test("data: long tables are labels or effects, absent pairs unobserved", function()
  local D = with(long(), "gzip:long")
  local R = D:responses()
  assert(R.kind == "label" and R.rows[1].perturbation == "B" and R.rows[1].part == "test" and R.rows[2].part == "train")
  assert(R.mask:get(2, 2) == 0 and R.mask:get(2, 3) == 1 and R.delta:get(2, 1) == 1 and R.delta:get(1, 2) == 1)
  assert(tostring(D) == "Dataset r.csv: 3 labels of 2 perturbations x 3 genes\n  perturbation 'pert': 2 singles\n  context: one ('all')", tostring(D))
  R = with(long { binary = false, values = core.tensor({ 1.5, 2, 3 }, "double") }, "long",
    { context_name = "K562" }):responses()
  assert(R.kind == "effect" and R.contexts[1] == "K562" and R.control:get(1, 1) == 0)
  R = with(long { contexts = { "R", "K" }, pairs = { { 1, 2 }, { 1, 1 } }, columns = { perturbation = "p",
    context = "line" } }, "long"):responses()
  assert(R.rows[1].context == "K" and R.rows[1].perturbation == "KLF1" and R.delta:get(2, 2) == 1)
  R = with(long { weights = core.tensor({ .5, 2, 4 }, "double") }, "long"):responses()
  assert(R.weight:get(2, 3) == 2 and R.weight:get(1, 2) == 4 and R:take_genes({ "z" }).weight:get(2, 1) == 2
    and R:select({ 2 }).weight:get(1, 1) == .5)
end)

test("data: wide tables, which side is which, the control row comes off", function()
  local t = { rows = { "control", "A" }, columns = { "x", "y" }, values = core.tensor({ { 1, 2 }, { 3, 0 / 0 } },
    "double"), missing = 1 }
  local R = with(t, "wide"):responses()
  assert(R.delta:get(1, 1) == 2 and R.mask:get(1, 2) == 0 and R.mask:get(1, 1) == 1)
  local D = with({ rows = { "x", "y" }, columns = { "ctrl", "A" }, values = core.tensor({ { 1, 2 }, { 3, 5 } },
    "double"), missing = 0 }, "wide")
  R = D:responses()
  assert(D.genes[2] == "y" and R.delta:get(1, 2) == 2 and R.control:get(1, 2) == 3 and has_note(D, "rows are genes"))
  R = with({ rows = { "x", "y" }, columns = { "B", "A" }, values = core.tensor({ { 1, 2 }, { 3, 5 } }, "double"),
    missing = 0 }, "wide", { rows = "genes" }):responses()
  assert(R.rows[2].perturbation == "B" and R.delta:get(2, 2) == 3)
end)

test("data: several files, one context each, shared genes", function()
  local D = with(nil, "long", { paths = { "a/k562.csv.gz", "a/rpe1.csv.gz" } },
    { ["a/k562.csv.gz"] = long(), ["a/rpe1.csv.gz"] = long { genes = { "x", "z", "q" } } })
  local R = D:responses()
  assert(table.concat(R.contexts, " ") == "k562 rpe1" and table.concat(R.genes, " ") == "x z" and #R.rows == 4)
  assert(has_note(R, "2 of 3 genes are in all files") and table.concat(D.genes, " ") == "x z")
end)

test("data: files that are something else", function()
  raises("cannot open: no such file", data.read, "nowhere.h5ad")
  raises("r.csv: holds gene sets (use dynamo.annotation.read)", with, long(), "gmt")
  raises("can run code when loaded", with, long(), "pickle")
  raises("neither AnnData nor 10x", read, cells { kind = "other" })
  raises("option 'nonfinite' must be one of error mask", data.read, "x", { nonfinite = "zero" })
  raises("unknown option 'contorl'; did you mean 'control'?", data.read, "x", { contorl = "c" })
end)

-- ---- real files ------------------------------------------------------------------------------

local folder = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"

local function real(path, body)
  local full = folder .. "/" .. path
  local f = io.open(full, "rb")
  if f then f:close() end
  if not f or not core.h5_open then return print("# skip " .. path .. ": not here") end
  test("data: " .. path, function() body(full) end)
end

real("responses/replogle_ranks.h5ad", function(path)
  local D = data.read(path)
  local R = D:responses()
  assert(D.kind == "profiles" and #R.rows == 930 and #R.genes == 7225 and #R:targets() == 465
    and R.contexts[2] == "RPE1")
  local evaluate = require "dynamo.evaluate"
  local all = R:where(function(r) return r.context == "RPE1" end)
  local centroid = evaluate.centroid(R, all)
  local mean = core.zeros(#all, 7225, "double") + centroid:rows(2, 2)
  near(evaluate.summarise(evaluate.score(R, all, mean, { retrieval = false })["pearson@control/all"]).mean, .49, .02)
end)

real("responses/norman_pc50.h5ad", function(path)
  local R = data.read(path):responses()
  assert(#R:singles() == 105 and #R:combinations() == 101)
  local baseline, evaluate = require "dynamo.baseline", require "dynamo.evaluate"
  local got = {}
  for _, b in ipairs { baseline.additive {}, baseline.matching_mean {} } do
    local p, flags = b:fit { responses = R, train = R:singles() }:predict(R:combinations())
    assert(flags[1] == "seen")
    local v = evaluate.score(R, R:combinations(), p)
    local s = evaluate.summarise(v["cosine@control/all"])
    near(s.mean, .911, 1e-3) near(s.median, .937, 1e-3)
    got[#got + 1] = evaluate.summarise(v["relerr@control/all"]).mean
  end
  near(got[1], .61, 5e-3) near(got[2], .52, 5e-3)
end)

real("cells/norman_mcfaline_500genes.h5ad", function(path)
  local D = data.read(path)
  local R = D:responses()
  assert(tostring(D):find("5,961 cells x 500 genes, CSR float, log1p\n  perturbation 'perturbation': control (400 cells), 18 singles, 15 doubles", 1, true)
    or tostring(D):find("18 singles", 1, true))
  assert(#R.contexts == 4 and #R.cells.row_of == 5961)
  local k, at = R:find("k562", "KLF1"), require("dynamo.responses").places(R.genes)
  assert(R.delta:get(k, at.HBZ) > .5 and R.delta:get(k, at.HBG2) > .5)
end)

if core.read_long then
  real("responses/perturbqa/k562-de.csv.gz", function(path)
    local R = data.read(path, { context_name = "K562" }):responses()
    assert(R.kind == "label" and #R.rows == 1831 and #R.genes == 4136 and R.mask:sum():item() == 157679)
    local split, evaluate, baseline = require "dynamo.split", require "dynamo.evaluate", require "dynamo.baseline"
    local S = split.column { validate = 0 }:make(R)
    assert(#S.test == 267)
    local v = evaluate.score(R, S.test, (baseline.mean():fit { responses = R, train = S.train }:predict(S.test)))
    local s = evaluate.summarise(v.auroc, { draws = 100 })
    assert(s.n_defined == 665 and s.mean == .5)
  end)
else
  print "# skip perturbqa: no reader of tables"
end

test("controls with numbers, guides, alternatives in writing", function()
  local is = label.control_test()
  for _, s in ipairs { "non-targeting_00012", "NegCtrl0", "NT-3", "control 2", "Control1", "safe_targeting_7", "Non-Targeting" } do
    assert(is(s), s)
  end
  for _, s in ipairs { "NT3", "NT5E", "CTRLA", "KLF1", "CONTROLLER", "MOCK1X" } do assert(not is(s), s) end
  local known = { KLF1 = true, ["HLA-A"] = true, ["NKX2-1"] = true, H2AC = true }
  for guide, gene in pairs { KLF1_sg2 = "KLF1", ["KLF1-g2"] = "KLF1", ["KLF1.1"] = "KLF1", KLF1_guide12 = "KLF1",
    KLF1_sgRNA_2 = "KLF1", KLF1_pDS031 = "KLF1", sgKLF1 = "KLF1", sgKLF1_1 = "KLF1", ["HLA-A_2"] = "HLA-A" } do
    assert(label.guide(guide, known) == gene, guide)
  end
  for _, s in ipairs { "NKX2-1", "KLF1", "KLF12", "KLF", "OTHER_1", "g2" } do assert(label.guide(s, known) == nil, s) end
end)

local function labels(list, opts)
  local x = {}
  for i = 1, #list do x[i] = { i, 1, 1 } end
  return read({ x = x, genes = { "KLF1", "MAP2K6", "HLA-A" }, obs = { { "perturbation", list } } }, opts)
end

local function names(D) return table.concat(D.perturbation.names, " ") end

test("labels of combinations in every writing that people use", function()
  assert(names(labels { "ctrl", "KLF1+ctrl", "ctrl+MAP2K6", "MAP2K6+KLF1" }) == "control KLF1 MAP2K6 KLF1+MAP2K6")
  assert(names(labels { "control", "KLF1", "MAP2K6_KLF1" }) == "control KLF1 KLF1+MAP2K6")
  assert(names(labels { "control", "KLF1,ctrl", "MAP2K6,KLF1" }) == "control KLF1 KLF1+MAP2K6")
  assert(names(labels { "non-targeting", "HLA-A", "KLF1|HLA-A" }) == "control HLA-A HLA-A+KLF1")
  assert(names(labels { "NegCtrl10_NegCtrl0", "KLF1_NegCtrl0", "NegCtrl0_MAP2K6" }, { perturbation = "perturbation" })
    == "control KLF1 MAP2K6")
  local D = labels { "non-targeting_1", "KLF1_sg1", "KLF1_sg2", "KLF1_sg1+MAP2K6_sg2", "KLF1_sg1+KLF1_sg2" }
  assert(names(D) == "control KLF1 KLF1 KLF1+MAP2K6 KLF1", names(D))
  assert(D.notes[#D.notes - 1]:find "3 names of guides stand for their genes" or D.notes[#D.notes]:find "guides", D.notes[#D.notes])
  assert(names(labels({ "control", "KLF1_sg1", "KLF1_sg2" }, { guides = false })) == "control KLF1_sg1 KLF1_sg2")
  raises("names KLF1 twice", labels, { "control", "KLF1+KLF1" })
end)

test("symbols: genes and labels by a table of aliases, with a report", function()
  local path = os.tmpname()
  core.write_file(path, "symbol\talias\tensembl\nKLF1\tEKLF\tENSG00000105610\nGATA1\tERYF1|GF1\tENSG00000102145\n"
    .. "HBB\tbeta-globin\tENSG00000244734\n")
  local D = read({ x = { { 1, 2, 0 }, { 2, 9, 1 }, { 4, 0, 2 } }, genes = { "EKLF", "ENSG00000102145.7", "FOO" },
    obs = { { "perturbation", { "control", "EKLF", "GF1+EKLF" } } } }, { symbols = path })
  assert(table.concat(D.genes, " ") == "KLF1 GATA1 FOO" and names(D) == "control KLF1 GATA1+KLF1", names(D))
  assert(D.symbols.report.mapped == 2 and D.symbols.report.unmatched[1] == "FOO")
  assert(table.concat(D.notes, "\n"):find "symbols: 2 of 3 names mapped")
  local twice = read({ x = { { 1, 2 }, { 2, 9 } }, genes = { "EKLF", "KLF1" },
    obs = { { "perturbation", { "control", "EKLF" } } } }, { symbols = path })
  assert(table.concat(twice.genes, " ") == "EKLF KLF1")
  core.write_file(path .. ".csv", "perturbation,gene,value\nEKLF,ENSG00000244734,1\nERYF1,HBB,2\n")
  local ok, e = pcall(data.read, path .. ".csv", { symbols = path, kind = "effect" })
  os.remove(path)
  os.remove(path .. ".csv")
  assert(ok, tostring(e))
  assert(e.genes[1] == "ENSG00000244734" or e.genes[1] == "HBB")
  assert(names(e) == "KLF1 GATA1", names(e))
end)
