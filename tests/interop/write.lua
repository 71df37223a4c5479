-- write.lua FOLDER -- files of ours for anndata to open: dense, sparse, columns of every kind, layers, uns.
local core = require "dynamo.core"
local folder = arg[1]
local names = { obs = { "c1", "c2", "c3", "c4", "c5", "c6" }, var = { "TP53", "KLF1", "GATA1", "HBG1" } }

local function content(x, small)
  return {
    x = x, obs_names = names.obs, var_names = names.var,
    obs = small and {} or {
      { name = "condition", values = { "ctrl", "KLF1", "ctrl", "A+B", "A+B", "ctrl" }, categorical = true },
      { name = "note", values = { "x", "", "γδ", "x", "y z", "x" } },
      { name = "n", values = core.tensor({ 1, 2, 3, 4, 5, 600000 }, "double") },
      { name = "score", values = core.tensor({ 1.5, 0 / 0, -3, 4, 5, 6 }, "double") },
      { name = "control", values = core.tensor({ 1, 0, 1, 0, 0, 1 }, "double"), boolean = true },
    },
    var = small and {} or { { name = "gene_name", values = { "p", "q", "r", "s" } } },
    layers = small and {} or { delta = core.randn(2, 6, 4), sparse = core.sparse(6, 4, { 1, 6 }, { 4, 1 }) },
    obsm = small and {} or { X_pca = core.randn(4, 6, 3), flags = core.sparse(6, 2, { 1, 6 }, { 2, 1 }) },
    varm = small and {} or { PCs = core.randn(5, 4, 3, "double") },
    uns = small and {} or { dynamo = '{"version":"0.1.0"}' },
  }
end

local dense = core.tensor { { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12 }, { 0, 0, 0, 0 }, { -1, .5, 0, 1e-9 }, { 1, 1, 1, 1 } }
core.h5ad_write(folder .. "/dense.h5ad", content(dense))
core.h5ad_write(folder .. "/double.h5ad", content(core.tensor(dense:totable(), "double")))
core.h5ad_write(folder .. "/view.h5ad", content(core.tensor(dense:t():totable()):t()))
core.h5ad_write(folder .. "/csr.h5ad", content(core.sparse_from_dense(dense)))
core.h5ad_write(folder .. "/small.h5ad", content(core.sparse_from_dense(dense), true))
local none = content(core.zeros(0, 4), true)
none.obs_names = {}
core.h5ad_write(folder .. "/nobody.h5ad", none)
local n, m = 700, 900 -- several chunks
local big, cells, genes = core.randn(3, n, m), {}, {}
for i = 1, n do cells[i] = "cell" .. i end
for i = 1, m do genes[i] = "gene" .. i end
core.h5ad_write(folder .. "/big.h5ad", { x = core.sparse_from_dense(big), obs_names = cells, var_names = genes,
  layers = { dense = big } })
