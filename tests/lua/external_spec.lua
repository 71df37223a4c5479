-- Predictions of other programs: one set of genes and rows for all, what is missing is said.
local core = require "dynamo.core"
local evaluate = require "dynamo.evaluate"
local external = require "dynamo.external"
local responses = require "dynamo.responses"

local N, G = 10, 24

local function names(prefix, from, to)
  local out = {}
  for i = from, to do out[#out + 1] = ("%s%02d"):format(prefix, i) end
  return out
end

-- g01 .. g10 in context K; rows 1..5 train, 6..10 test.
local function screen()
  local rows = {}
  for i, p in ipairs(names("g", 1, N)) do rows[i] = { perturbation = p, context = "K" } end
  return responses.new { genes = names("g", 1, G), contexts = { "K" }, rows = rows, delta = core.randn(1, N, G, "double"),
    control = core.rand(2, 1, G, "double") + 3, file = "truth.h5ad" }
end

local TRAIN, TEST = { 1, 2, 3, 4, 5 }, { 6, 7, 8, 9, 10 }
local function index(list) local out = {} for k = #list, 1, -1 do out[#out + 1] = list[k] end return out end

-- A method that says truth + noise, its genes and rows backwards.
local function method(R, more)
  local order, genes, rows, columns = index(TEST), {}, {}, {}
  for j = G, 1, -1 do genes[#genes + 1], columns[#columns + 1] = R.genes[j], j end
  for k, i in ipairs(order) do rows[k] = R.rows[i].perturbation end
  local p = R.delta + core.randn(5, N, G, "double") * .5
  local m = { name = "backwards", genes = genes, rows = rows, values = p:index(1, order):index(2, columns) }
  for k, v in pairs(more or {}) do m[k] = v end
  return m, p:index(1, TEST)
end

test("external: genes and rows in any order, scored as evaluate.score does", function()
  local R = screen()
  local m, p = method(R)
  local t = evaluate.external(R, TEST, { m }, { train = TRAIN })
  local want = evaluate.score(R, TEST, p, { centroid = evaluate.centroid(R, TRAIN), train = TRAIN })
  assert(t.genes == G and t.left_out == 0 and #t.notes == 0 and #t.methods == 3 and t.names[1] == "K/g06")
  for key, list in pairs(want) do
    for k in ipairs(TEST) do near(t.methods[3].values[key][k], list[k]) end
  end
  assert(t.methods[1].name == "no_change" and t.methods[2].name == "mean")
  for k in ipairs(TEST) do
    assert(t.methods[2].values["pearson@centroid/all"][k] == 0 and t.methods[1].values["pearson@control/all"][k] == 0)
    near(t.methods[1].values["relerr@control/all"][k], 1)
  end
  -- expression in place of changes: the measured control comes off
  local columns = {}
  for j = G, 1, -1 do columns[#columns + 1] = j end
  local e = method(R, { values = m.values + R.control:index(2, columns), profile = true })
  near(evaluate.external(R, TEST, { e }).methods[2].values["mse@none/all"][2], want["mse@none/all"][2])
  local columns_, rows = external.table(t)
  assert(columns_[1] == "method" and rows[3][1] == "backwards" and rows[3][#rows[3]] == 5)
  assert(external.csv(t):find "\nbackwards,K/g06,mse@none/all,0%.%d+,\n")
end)

test("external: a gene that one method lacks leaves the table for all", function()
  local R = screen()
  local m = method(R)
  local genes = {}
  for j = 1, 20 do genes[j] = m.genes[j] end
  local few = { name = "few", genes = genes, rows = m.rows, values = m.values:narrow(2, 1, 20) }
  local t = evaluate.external(R, TEST, { m, few }, { train = TRAIN, metrics = { "mae@none/all" } })
  assert(t.genes == 20 and t.left_out == 4 and t.notes[1] == "4 of 24 genes are not in every method: left out for all")
  local own = R:take_genes(names("g", 5, 24))
  for k, i in ipairs(TEST) do
    local p = m.values:rows(6 - k, 6 - k)
    local want = 0
    for j = 1, 20 do want = want + math.abs(p:get(1, j) - own.delta:get(i, 21 - j)) / 20 end
    near(t.methods[3].values["mae@none/all"][k], want)
    near(t.methods[4].values["mae@none/all"][k], want)
  end
  raises("few has no prediction for gene 'g01' (4 of 24 genes are not in every method)", evaluate.external, R, TEST, { m, few },
    { strict = true })
  few.genes = names("x", 1, 20)
  raises("no gene is in every method", evaluate.external, R, TEST, { m, few })
end)

test("external: a perturbation that is missing is an error, or the training mean with a flag", function()
  local R = screen()
  local m = method(R)
  local rows = {}
  for k = 1, 4 do rows[k] = m.rows[k] end
  local short = { name = "short", genes = m.genes, rows = rows, values = m.values:rows(1, 4) }
  local ok, e = pcall(evaluate.external, R, TEST, { m, short }, { train = TRAIN })
  assert(not ok and tostring(e):find("short has no prediction for 'g06' in context 'K'", 1, true) and e.hint:find "missing")
  local t = evaluate.external(R, TEST, { m, short }, { train = TRAIN, missing = "mean" })
  local s = t.methods[4]
  assert(t.filled == 1 and s.flags[1] == "filled" and not s.flags[2] and t.notes[1] == "1 missing predictions are the training mean")
  assert(s.values["pearson@centroid/all"][1] == 0 and s.values["pearson@centroid/all"][2] ~= 0)
  assert(s.info.status["mse@none/all"][1] == "filled" and s.info.status["pearson@centroid/all"][1] == "const_pred")
  near(s.values["mse@none/all"][1], t.methods[2].values["mse@none/all"][1])
  raises("needs the training rows", evaluate.external, R, TEST, { short }, { missing = "mean" })
end)

test("external: what is not finite in one method counts for nobody, if asked", function()
  local R = screen()
  local m, other = method(R), method(R)
  m.values = m.values:clone()
  m.values:set(0 / 0, 1, 3) -- g10, gene g22
  raises("is not finite at gene 'g22'", evaluate.external, R, TEST, { m, other })
  local t = evaluate.external(R, TEST, { m, other }, { nonfinite = "mask", metrics = { "mae@none/all" } })
  assert(t.notes[1] == "1 entries are not finite in some method: masked for all")
  for k = 1, 5 do near(t.methods[2].values["mae@none/all"][k], t.methods[3].values["mae@none/all"][k]) end
  local all = evaluate.external(R, TEST, { other }, { metrics = { "mae@none/all" } }).methods[2].values["mae@none/all"]
  assert(math.abs(all[5] - t.methods[3].values["mae@none/all"][5]) > 1e-6)
  near(all[4], t.methods[3].values["mae@none/all"][4])
end)

test("external: wrong arguments, contexts that do not fit", function()
  local R = screen()
  local m = method(R)
  raises("a list of { name =, genes =, rows =, values = } expected", evaluate.external, R, TEST, {})
  raises("method 1 is no", evaluate.external, R, TEST, { { name = "x" } })
  raises("backwards: values are 5x24, expected 5 rows x 3 genes", evaluate.external, R, TEST, { method(R, { genes = { "a", "b", "c" } }) })
  raises("unknown option 'trian'", evaluate.external, R, TEST, { m }, { trian = TRAIN })
  local two = responses.join { R, responses.new { genes = R.genes, contexts = { "R" }, rows = { { perturbation = "g01", context = "R" } },
    delta = core.randn(3, 1, G, "double") } }
  raises("backwards: row 1 has no context; the truth has K, R", evaluate.external, two, TEST, { m })
end)

test("external: files as methods: layer delta, profiles, predicted cells, tables", function()
  local R = screen()
  local base = os.tmpname()
  local path = base .. ".h5ad"
  local m = method(R)
  local function write(x, labels, layers)
    local obs = {}
    for i in ipairs(labels) do obs[i] = "c" .. i end
    core.h5ad_write(path, { x = x:to "float", obs_names = obs, var_names = m.genes, layers = layers,
      obs = { { name = "perturbation", values = labels, categorical = true } } })
  end
  local want = evaluate.external(R, TEST, { m }, { train = TRAIN, baselines = false, metrics = { "mae@none/all" } }).methods[1].values
  local function score(file)
    local t = evaluate.external(R, TEST, { file }, { train = TRAIN, baselines = false, metrics = { "mae@none/all" } })
    for k in ipairs(TEST) do near(t.methods[1].values["mae@none/all"][k], want["mae@none/all"][k], 1e-5) end
    return file
  end
  local columns = {}
  for j = G, 1, -1 do columns[#columns + 1] = j end
  local control = R.control:index(2, columns)
  local profile = m.values + control
  local ok, e = pcall(function()
    write(profile, m.rows, { delta = m.values:to "float" })
    assert(not score(external.read(path)).profile)
    write(profile, m.rows)
    assert(score(external.read(path, { name = "p" })).name == "p")
    -- two cells of each, and control cells of its own that do not count
    local blocks, labels = { control * 2 }, { "control" }
    for k, p in ipairs(m.rows) do
      blocks[#blocks + 1], blocks[#blocks + 2] = profile:rows(k, k) + 1, profile:rows(k, k) - 1
      labels[#labels + 1], labels[#labels + 2] = p, p
    end
    write(core.cat(blocks, 1), labels)
    local file = score(external.read(path))
    assert(file.cells(1):size(1) == 2 and file.profile)
    local f = io.open(base .. ".tsv", "w")
    f:write("gene\t", table.concat(m.rows, "\t"), "\n")
    for j, g in ipairs(m.genes) do
      f:write(g)
      for k = 1, 5 do f:write(("\t%.9g"):format(m.values:get(k, j))) end
      f:write "\n"
    end
    f:close()
    score(external.read(base .. ".tsv", { rows = "genes" }))
  end)
  for _, p in ipairs { base, path, base .. ".tsv" } do os.remove(p) end
  if not ok then error(e, 0) end
end)
