-- One small file per convention of writing perturbation data: each is recognised and read without being told how.
local core = require "dynamo.core"
local data = require "dynamo.data"
local inspect = require "dynamo.inspect"

local ENSEMBL = { "ENSG00000105610", "ENSG00000034152", "ENSG00000102145" }
local SYMBOLS = { "KLF1", "MAP2K3", "GATA1" }

-- Columns from lists: text, or numbers.
local function columns(list)
  local out = {}
  for i, c in ipairs(list or {}) do
    out[i] = { name = c[1], values = type(c[2][1]) == "number" and core.tensor(c[2], "double") or c[2] }
  end
  return out
end

local function with(t, f)
  local base = os.tmpname()
  local path, x, names = base .. ".h5ad", {}, {}
  for i in ipairs(t.obs[1][2]) do x[i], names[i] = { i % 3, 1 + i % 2, 2 }, "c" .. i end
  core.h5ad_write(path, { x = core.sparse_from_dense(core.tensor(x)), obs_names = names, var_names = t.genes or SYMBOLS,
    obs = columns(t.obs), var = columns(t.var) })
  local ok, e = pcall(f, path)
  os.remove(path)
  os.remove(base)
  if not ok then error(e, 0) end
end

-- What is read: perturbations, contexts, genes; and who is said to write so.
local function check(t, who, perturbations, contexts)
  with(t, function(path)
    local D = data.read(path, t.options)
    local R, seen = D:responses(), {}
    for i, row in ipairs(R.rows) do seen[i] = row.perturbation end
    assert(table.concat(seen, " ") == perturbations, table.concat(seen, " "))
    assert(table.concat(R.contexts, " ") == contexts, table.concat(R.contexts, " "))
    assert(table.concat(D.genes, " ") == table.concat(SYMBOLS, " "), table.concat(D.genes, " "))
    local text = table.concat(inspect.describe(path), "\n")
    assert(text:find("written +as files of " .. who), text)
  end)
end

test("GEARS: condition with ctrl in singles, Ensembl index, gene_name", function()
  check({ genes = ENSEMBL, var = { { "gene_name", SYMBOLS } }, obs = {
    { "condition", { "ctrl", "KLF1+ctrl", "ctrl+GATA1", "KLF1+GATA1", "ctrl" } },
    { "cell_type", { "A549", "A549", "A549", "A549", "A549" } },
    { "dose_val", { "1", "1+1", "1+1", "1+1", "1" } }, { "control", { 1, 0, 0, 0, 1 } } } }, "GEARS",
    "GATA1 GATA1+KLF1 KLF1", "A549")
end)

test("scPerturb: perturbation with A_B, cell_line", function()
  check({ obs = { { "perturbation", { "control", "KLF1", "GATA1", "KLF1_GATA1", "control" } },
    { "cell_line", { "K562", "K562", "K562", "K562", "K562" } }, { "nperts", { 0, 1, 1, 2, 0 } },
    { "perturbation_type", { "CRISPR", "CRISPR", "CRISPR", "CRISPR", "CRISPR" } } } }, "scPerturb",
    "GATA1 GATA1+KLF1 KLF1", "K562")
end)

test("PerturBench: condition with control, A+B, cell_type, treatment", function()
  check({ obs = { { "condition", { "control", "KLF1", "KLF1+GATA1", "control", "KLF1" } },
    { "cell_type", { "A172", "A172", "A172", "T98G", "T98G" } },
    { "treatment", { "none", "none", "none", "none", "none" } } } }, "PerturBench",
    "GATA1+KLF1 KLF1 KLF1", "A172 T98G")
end)

test("State and cell-eval: target_gene with non-targeting, batch", function()
  check({ obs = { { "target_gene", { "non-targeting", "KLF1", "GATA1", "non-targeting" } },
    { "cell_type", { "H1", "H1", "H1", "H1" } }, { "batch", { "b1", "b1", "b2", "b2" } },
    { "guide_id", { "n1", "k1", "g1", "n2" } } } }, "State", "GATA1 KLF1", "H1")
end)

test("Replogle's own: gene, gem_group, Ensembl index with gene_name", function()
  check({ genes = ENSEMBL, var = { { "gene_name", SYMBOLS } }, obs = { { "gene", { "non-targeting", "KLF1", "GATA1" } },
    { "gem_group", { 1, 1, 2 } }, { "gene_transcript", { "n", "k", "g" } }, { "sgID_AB", { "a", "b", "c" } } } },
    "Replogle et al%.", "GATA1 KLF1", "all")
end)

test("CELLxGENE: no perturbation, feature_name, ontology columns: all cells are controls", function()
  with({ genes = ENSEMBL, var = { { "feature_name", SYMBOLS } }, obs = { { "cell_type", { "T cell", "B cell", "T cell" } },
    { "cell_type_ontology_term_id", { "CL:1", "CL:2", "CL:1" } }, { "assay_ontology_term_id", { "E:1", "E:1", "E:1" } },
    { "donor_id", { "d1", "d1", "d2" } } } }, function(path)
    raises("no perturbation column", data.read, path)
    local D = data.read(path, { perturbation = false })
    assert(D:perturbation_of(1) == "control" and D.genes[1] == "KLF1" and D.batch == "donor_id")
    local text = table.concat(inspect.describe(path), "\n")
    assert(text:find "as files of CELLxGENE" and text:find("perturbation = false", 1, true), text)
  end)
end)

test("inspect --graph: how many genes and perturbed genes are nodes", function()
  with({ obs = { { "perturbation", { "control", "KLF1", "HBB" } } } }, function(path)
    local graph = os.tmpname()
    core.write_file(graph, "source,target,weight\nKLF1,HBB,1\nGATA1,KLF1,1\n")
    local text = table.concat(inspect.describe(path, { graph }), "\n")
    os.remove(graph)
    assert(text:find("2 of 3 genes and 2 of 2 perturbed genes are in it", 1, true), text)
  end)
end)
