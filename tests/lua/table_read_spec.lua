local core = require "dynamo.core"
local annotation = require "dynamo.annotation"

local DATA = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"

-- A test on a real file; skipped where the file is absent.
local function on(file, name, body)
  local path = DATA .. "/" .. file
  local f = io.open(path, "rb")
  if not f then print(("# skip %s: no %s"):format(name, path)) return end
  f:close()
  test(name, function() body(path) end)
end

-- Run body(path) on a temporary file with this text.
local function with(text, body)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  f:write(text) f:close()
  local ok, e = pcall(body, path)
  os.remove(path)
  if not ok then error(e, 0) end
end

local function index(list)
  local at = {}
  for i, v in ipairs(list) do at[v] = i end
  return at
end

test("edges: names, ids from 1, signed weights, counts", function()
  with("source,target,weight\nMYC,TERT,0.5\nA,B,-2\nA,A,1\nMYC,TERT,0.25\n", function(path)
    local g = core.read_edges(path)
    assert(#g.names == 4 and g.names[1] == "MYC" and g.signed and g.directed)
    assert(g.from:get(2) == 3 and g.to:get(2) == 4 and g.from:type() == "double")
    assert(g.weight:get(2) == -2 and g.weight:type() == "float" and g.sign:get(2) == -1)
    assert(g.lines == 4 and g.repeats == 1 and g.loops == 1 and g.conflicts == 0 and g.unknown_sign == 0)
    assert(core.read_edges(path, { loops = true }).from:size(1) == 3)
    assert(core.read_edges(path, { directed = false }).directed == false)
    assert(core.read_edges(path, { min_score = 1 }).below == 2)
    assert(core.read_edges(path, { from = "target", to = 1 }).names[1] == "TERT")
    raises("column 'sorce' not found (have: source, target, weight); did you mean 'source'?",
      core.read_edges, path, { from = "sorce" })
    raises("option 'from': string expected, got table", core.read_edges, path, { from = {} })
    raises("--max-memory", core.read_edges, path, { limit = 10 })
  end)
end)

test("edges: STRING ids get their names from a second file", function()
  with("protein1 protein2 combined_score\n9606.ENSP1 9606.ENSP2 900\n9606.ENSP2 9606.ENSP1 900\n", function(path)
    raises("nodes are STRING ids", core.read_edges, path)
    with("#string_protein_id\tpreferred_name\n9606.ENSP1\tTP53\n9606.ENSP2\tMDM2\n", function(names)
      local g = core.read_edges(path, { names = names })
      assert(g.names[1] == "TP53" and g.names[2] == "MDM2" and g.from:size(1) == 1 and not g.directed)
    end)
    raises("none.txt: No such file", core.read_edges, path, { names = "none.txt" })
  end)
end)

test("edges: what is wrong with a file is an error with code and place", function()
  with("source,target,weight\nA,B,high\n", function(path)
    local ok, e = pcall(core.read_edges, path)
    assert(not ok and e.code == "EFORMAT")
    assert(tostring(e):find(path .. ": line 2: weight 'high' is not a number", 1, true))
  end)
  local ok, e = pcall(core.read_edges, "no/such.csv")
  assert(not ok and e.code == "EIO" and tostring(e):find("no/such.csv: No such file", 1, true))
end)

test("gene sets: lists of names", function()
  with("A\tx\tG1\tG2\tG1\nB\tx\tG3\t\r\n", function(path)
    local sets, info = core.read_gmt(path)
    assert(#sets == 2 and sets[1].name == "A" and #sets[1].genes == 2 and sets[2].genes[1] == "G3")
    assert(info.repeats == 1 and info.empty == 0)
  end)
end)

test("annotation: several files, sizes, a name in two files", function()
  with("A\tx\tG1\tG2\nB\tx\tG3\n", function(one)
    with("A\tx\tG4\tG5\tG6\n", function(two)
      local s = annotation.read { one, two }
      assert(#s.sets == 3 and #s.files == 2 and #s:genes() == 6 and s:genes()[1] == "G1")
      assert(s.sets[1].name == "A" and s.sets[3].name:find("^A %(") and #s:find("B").genes == 1)
      assert(#annotation.read({ one, two }, { min_size = 2, max_size = 2 }).sets == 1)
      assert(tostring(s):find "3 gene sets over 6 genes, 2 files")
      raises("no gene set 'C'", s.find, s, "C")
      raises("unknown option 'min'", annotation.read, one, { min = 1 })
      raises("a path or a list of paths expected", annotation.read, 3)
    end)
  end)
end)

test("long tables: pairs, triplets, weights, splits", function()
  with("cell_line\tcondition\tsymbol\tlogFC\tw\tsplit\nK\tA\tX\t-1\t2\ttrain\nR\tA\tY\tNA\t1\ttrain\n"
    .. "R\tB\tX\t3\t\ttest\n", function(path)
      local r = core.read_long(path)
      assert(table.concat(r.perturbations, " ") == "A B" and table.concat(r.contexts, " ") == "K R")
      assert(#r.pairs == 3 and r.pairs[3][1] == 2 and r.pairs[3][2] == 2 and r.pairs[3][3] == "test")
      assert(r.rows:get(2) == 3 and r.cols:get(2) == 1 and r.values:get(2) == 3)
      assert(r.weights:get(1) == 2 and r.weights:get(2) == 0 and not r.binary and r.missing == 1)
      assert(r.columns.value == "logFC" and r.columns.context == "cell_line")
    end)
  with("pert,gene,label\nA,X,1\nA,X,0\n", function(path)
    raises("lines 2 and 3: A, X twice with different values", core.read_long, path)
    assert(core.read_long(path, { duplicates = "mean" }).values:get(1) == 0.5)
    raises("'error' or 'mean' expected", core.read_long, path, { duplicates = "first" })
  end)
  with("pert,gene,label,split\nKLF1,X,1,train\nKLF1,Y,0,test\n", function(path)
    raises("KLF1 is in both train and test", core.read_long, path)
  end)
end)

test("matrices, vectors and small tables", function()
  with("symbol\t0\t2\nMCM5\t1\tNA\nRAB35\t3\t4\n", function(path)
    local m = core.read_matrix(path)
    assert(m.rows[2] == "RAB35" and m.columns[2] == "2" and m.values:get(2, 1) == 3 and m.missing == 1)
    local x = m.values:get(1, 2)
    assert(x ~= x)
    local t = core.read_table(path)
    assert(t.n == 3 and t.data[1][2] == "MCM5") -- numbers above numbers are no header
  end)
  with("2 3\nA 1 2 3\nB 4 5 6\n", function(path)
    local v = core.read_vectors(path)
    assert(v.names[2] == "B" and v.values:get(2, 3) == 6 and v.values:type() == "float" and v.note == "word2vec text")
  end)
  with("p,q,r\n1,2,3\n4,5,6\n", function(path)
    assert(#core.read_vectors(path).names == 3 and #core.read_vectors(path, { transpose = false }).names == 2)
  end)
end)

test("what a file is", function()
  local function kind(text, want)
    with(text, function(path)
      local k, reason = core.sniff(path)
      if k ~= want then error(("%q is %s (%s), not %s"):format(text, k, reason, want)) end
    end)
  end
  kind("source,target\nA,B\n", "edges")
  kind("pert,gene,label\nA,B,1\n", "long")
  kind("2 3\nA 1 2 3\nB 1 2 3\n", "vectors")
  kind("S\thttp://x\tA\tB\n", "gmt")
  kind("", "empty")
  with("\128\4\149", function(path)
    local k, reason, hint = core.sniff(path)
    assert(k == "pickle" and reason:find "can run code" and hint:find "python")
  end)
  assert(core.sniff "." == "directory")
  raises("No such file", core.sniff, "no/such/file")
end)

test("reading survives any failed allocation and leaks nothing", function()
  with("source,target,weight\nA,B,1\nB,C,-1\n", function(path)
    local n = 0
    repeat
      core.fail_after(n)
      local ok, e = pcall(core.read_edges, path)
      core.fail_after(-1)
      if not ok then assert(e.code == "ENOMEM") end
      n = n + 1
    until ok
    assert(n > 10)
  end)
end)

-- ---- real files: the counts of the descriptions that came with them ------------------------------------------------

local function graph(file, want)
  on("graphs/" .. file, file, function(path)
    local g = core.read_edges(path)
    want.edges, want.nodes = want.edges or g.from:size(1), want.nodes or #g.names
    assert(g.from:size(1) == want.edges and #g.names == want.nodes and g.signed and g.directed)
    for k, v in pairs(want) do
      if k ~= "edges" and k ~= "nodes" and g[k] ~= v then error(("%s is %s, not %s"):format(k, g[k], v)) end
    end
  end)
end
graph("collectri.csv", { lines = 43178, edges = 42716, sources = 1186, targets = 6692, loops = 462, repeats = 0,
  conflicts = 0, unknown_sign = 0 })
graph("dorothea.tsv.gz", { lines = 32286, edges = 32286 })
graph("ensemble.tsv.gz", { lines = 74991, edges = 74991, nodes = 11840 })
graph("trrust_rawdata.human.tsv", { lines = 9396, columns = "column 1, column 2, column 3", sources = 795 })

for _, x in ipairs { { "c2.cp.reactome.v7.0", 1499 }, { "c3.tft.v7.0", 610 }, { "c5.bp.v6.2", 4436 },
  { "c5.cc.v7.0", 1001 }, { "c5.mf.v7.0", 1645 }, { "h.all.v7.0", 50 } } do
  on("annotation/" .. x[1] .. ".symbols.gmt.gz", x[1], function(path) assert(#annotation.read(path).sets == x[2]) end)
end

local function perturbqa(file, pairs_, perts, genes)
  on("responses/perturbqa/" .. file .. ".csv.gz", "perturbqa " .. file, function(path)
    local r = core.read_long(path)
    assert(r.values:size(1) == pairs_ and r.binary and #r.contexts == 1 and r.columns.perturbation == "pert")
    assert(not perts or #r.perturbations == perts and #r.genes == genes and #r.pairs == perts)
    assert(index(r.splits).train and index(r.splits).test)
  end)
end
perturbqa("k562-de", 157679, 1831, 4136)
perturbqa("rpe1-de", 187089, 2002, 4760)
perturbqa("k562-dir", 19980)
perturbqa("rpe1-dir", 26652)

on("embeddings/scgpt_subset.tsv.gz", "scGPT vectors: a gene per column", function(path)
  local v = core.read_vectors(path)
  assert(#v.names == 500 and v.values:size(2) == 512 and v.note:find "column")
  near(v.values:get(1, 1), 0.039752204, 1e-7)
  near(v.values:get(1, 2), 0.0003751107, 1e-7)
end)
on("embeddings/scfoundation_subset.tsv.gz", "scFoundation vectors: a gene per column", function(path)
  local v = core.read_vectors(path)
  assert(#v.names == 480 and v.values:size(2) == 768)
  near(v.values:get(2, 2), 0.23721491, 1e-7)
end)
on("expression/k562_timeseries.tsv.gz", "a time series: genes are rows", function(path)
  local m = core.read_matrix(path)
  assert(#m.rows == 12197 and #m.columns == 24 and m.columns[24] == "46" and m.missing == 0)
  near(m.values:get(1, 2), 112.279)
  assert(core.sniff(path) == "gzip:wide")
end)
on("annotation/gene_ids.tsv.gz", "a table of ids", function(path)
  local t = core.read_table(path)
  assert(t.n == 67661 and #t.names == 3 and t.data[3][1] == "ENSG00000121410")
end)
on("annotation/gene_summaries.tsv.gz", "a table of texts", function(path)
  assert(core.read_table(path).n == 14976)
end)
on("cells/norman_mcfaline_500genes.h5ad", "HDF5 is known by its content", function(path)
  assert(core.sniff(path) == "h5")
  raises("a file of type h5, not text", core.read_edges, path)
end)
