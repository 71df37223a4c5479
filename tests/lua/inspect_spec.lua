local core = require "dynamo.core"
local data = require "dynamo.data"
local inspect = require "dynamo.inspect"

-- describe with a sniffer that says `kind` and readers that give `t`; the file exists
local function described(kind, functions)
  local old, sniff = {}, data._sniff
  for k, f in pairs(functions or {}) do
    old[k] = core[k] or false
    core[k] = f
  end
  data._sniff = function() return kind, "because" end
  local ok, lines = pcall(inspect.describe, arg[0])
  data._sniff = sniff
  for k, f in pairs(old) do core[k] = f or nil end
  if not ok then error(lines, 0) end
  return table.concat(lines, "\n")
end

local function has(text, part) return text:find(part, 1, true) or error(("%q is not in:\n%s"):format(part, text), 2) end

test("inspect: networks, gene sets, vectors, tables say what they hold and how to read them", function()
  local text = described("edges", { read_edges = function()
    return { names = { "A", "B", "C" }, from = core.tensor { 1, 2 }, to = core.tensor { 2, 3 }, signed = true,
      lines = 4, repeats = 1, loops = 1, conflicts = 0 }
  end })
  has(text, "a network, 2 edges between 3 genes, signed")
  has(text, "4; 1 repeats merged, 1 self-loops dropped")
  has(text, "dynamo.graph.read \"")
  text = described("gzip:gmt", { read_gmt = function() return { { name = "S", genes = { "A", "B" } }, { name = "T",
    genes = { "B" } } } end })
  has(text, "gene sets, 2 sets of 1 to 2 genes, 2 genes")
  has(text, "dynamo.annotation.read")
  text = described("vectors", { read_vectors = function() return { names = { "A", "B" }, values = core.tensor { { 1,
    2, 3 }, { 4, 5, 6 } }, note = "transposed" } end })
  has(text, "gene vectors, 2 genes x 3")
  has(text, "transposed")
  text = described("long", { read_long = function()
    return { perturbations = { "A" }, genes = { "x", "y" }, rows = core.tensor { 1 }, cols = core.tensor { 1 },
      values = core.tensor { 1 }, binary = true,
      pairs = { { 1, 1, "test" } }, columns = { perturbation = "pert" } }
  end })
  has(text, "1 values, 1 perturbations x 2 genes")
  has(text, "labels, 100.0% are 1")
  has(text, "1 test")
end)

test("inspect: formats that are not read name the way out", function()
  raises("can run code when loaded; not opened (try: in Python", described, "pickle")
  raises("parquet is not read (try: in Python: pandas.read_parquet(f)", described, "parquet")
  raises("no such file", inspect.describe, "nowhere.h5ad")
  has(described("text", { read_table = function() return { names = { "a", "b" }, n = 3 } end }), "columns       a, b")
end)

-- Lines about a file of cells with these obs columns.
local function of_cells(obs)
  local path, names = os.tmpname() .. ".h5ad", {}
  for i = 1, 4 do names[i] = "c" .. i end
  core.h5ad_write(path, { x = core.sparse_from_dense(core.full(1, 4, 2)), obs_names = names, var_names = { "A", "B" }, obs = obs })
  local ok, lines = pcall(inspect.describe, path)
  os.remove(path)
  if not ok then error(lines, 0) end
  return (table.concat(lines, "\n"):gsub(path:gsub("%p", "%%%0"), "F"))
end

test("inspect: a file without perturbations gets lines that run, and its columns are listed once", function()
  local text = of_cells { { name = "batch", values = { "a", "", "a", "" } } }
  has(text, "batch (2: '' 2, a 2)")
  has(text, "not read      no perturbation column\n")
  has(text, '\n  read          dynamo.data.read("F", { perturbation = false }) -- if every cell is a control')
  text = of_cells { { name = "perturbation_kind", values = { "i", "i", "i", "i" } },
    { name = "my_perturbation_id", values = { "A-1", "B-1", "NTC", "A-1" } } }
  has(text, 'dynamo.data.read("F", { perturbation="my_perturbation_id" }) -- perhaps')
  assert(not text:find("obs has", 1, true))
  text = of_cells { { name = "perturbation", values = { "x", "y", "z", "negative" } } }
  has(text, 'dynamo.data.read("F", { control="negative" })')
end)

test("inspect: missing numbers are missing, not nan", function()
  local nan = 0 / 0
  local text = of_cells { { name = "n", values = core.tensor({ 1, nan, 3, 4 }, "double") },
    { name = "m", values = core.tensor({ nan, nan, nan, nan }, "double") } }
  has(text, "n (numbers 1 .. 4, 1 missing)")
  has(text, "m (all missing)")
end)

test("inspect: tables say what they are for; samples named by numbers are columns", function()
  local path = os.tmpname()
  local function of(content)
    core.write_file(path, content)
    return (table.concat(inspect.describe(path), "\n"):gsub(path:gsub("%p", "%%%0"), "F"))
  end
  has(of "symbol\tprev_symbol\nA\tOLDA\nB\tOLDB\n", 'dynamo.data.read(FILE, { symbols = "F" })')
  has(of "symbol\tentrez\tsummary\nA\t12\ta long text about it\nB\t13\tanother text here\n", 'dynamo.embed.text { texts = "F" }')
  local text = of "gene\t0\t2\t4\nA\t1.5\t2\t3\nB\t1\t2.5\t3\nC\t2\t2\t2\n"
  has(text, 'dynamo.embed.coexpression { expression = "F" }')
  has(text, 'dynamo.data.read("F", { rows = "genes" })')
  has(of "# Notes\n\nwords, and more\nand more words, here, and\n", "that is no table")
  os.remove(path)
end)

local folder = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"
local path = folder .. "/cells/norman_mcfaline_500genes.h5ad"
if core.h5_open and core.stat(path) then
  test("inspect: a real file of cells", function()
    local text = table.concat(inspect.describe(path), "\n")
    has(text, "5,961 cells x 500 genes")
    has(text, "18 singles, 15 doubles")
    has(text, 'dynamo.data.read "')
  end)
else
  print("# skip inspect of real files: not here")
end
