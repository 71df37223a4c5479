-- Preparation; golden numbers from tests/golden/prepare.py (numpy, the published formulas) and from scanpy itself.
local core = require "dynamo.core"
local prepare = require "dynamo.prepare"

local N, G = 40, 60
local function counts()
  local rows = {}
  for i = 0, N - 1 do
    rows[i + 1] = {}
    for j = 0, G - 1 do
      local v = (i * 7 + j * j * 3 + i * j) % (j % 11 + 2)
      rows[i + 1][j + 1] = j == 5 and 0 or j == 6 and 4 or (i + j) % 3 > 0 and v or 0
    end
  end
  return core.sparse_from_dense(core.tensor(rows))
end

local function logs() return prepare.log1p(prepare.normalise(counts())) end

local function golden(score, want, tol)
  for k, v in pairs(want) do near(score[k + 1], v, tol) end
end

test("highly variable genes: seurat, cell_ranger as numpy computes the formulas", function()
  local x = logs()
  local s = prepare.hvg(x, { n = 10 })
  golden(s.score, { [0] = -0.46403797843, [3] = -1.78498227807, [10] = 0.669514099634, [33] = -1.15470053838,
    [59] = -1.62026357529 }, 1e-6)
  assert(#s.genes == 10 and #prepare.hvg(x, { max_mean = 20 }).genes > 0)
  local c = prepare.hvg(x, { flavour = "cell_ranger", n = 5 })
  golden(c.score, { [3] = -48.8503538339, [10] = 12.029492884, [33] = -31.4899277778 }, 1e-6)
  assert(#prepare.hvg(counts(), { flavour = "seurat_v3", n = 7, span = 0.5 }).genes == 7)
  raises("option 'flavour' must be one of seurat cell_ranger seurat_v3", prepare.hvg, x, { flavour = "scran" })
end)

test("normalising, filters", function()
  local x = counts()
  near(prepare.normalise(x, { target = 100 }):row_sums():get(3), 100, 1e-5)
  near(prepare.normalise(x, { target = "median" }):row_sums():get(1), prepare.normalise(x, { target = "median" })
    :row_sums():get(9), 1e-5)
  raises('a positive number or "median"', prepare.normalise, x, { target = "mean" })
  local y, kept = prepare.filter_genes(x, { min_cells = 1 })
  assert(#kept == y:size(2) and y:size(2) < G)
  raises("no gene is left", prepare.filter_genes, x, { min_cells = 1000 })
  local _, cells = prepare.filter_cells(x, { min_genes = 1 })
  assert(#cells == N)
  raises("no cell is left", prepare.filter_cells, x, { min_counts = 1e9 })
end)

test("principal components: variances of the singular values, orthogonal components", function()
  local p = prepare.pca(logs(), { dim = 3 })
  for k, v in ipairs { 165.571114294, 149.989395167, 21.1226546382 } do near(p.variance:get(k), v, 1e-5) end
  local gram = p.components:t():matmul(p.components)
  near(gram:get(1, 1), 1, 1e-10)
  near(gram:get(1, 2), 0, 1e-10)
  near(p.scores:sum(1):get(1), 0, 1e-6)
  near((p.scores:narrow(2, 1, 1):square():sum():item()) / (N - 1), p.variance:get(1), 1e-6)
end)

test("differential expression: groups against controls, G20 to G22", function()
  local x = core.sparse_from_dense(core.tensor { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 2, 0 }, { 2, 0 }, { 3, 0 },
    { 5, 0 }, { 6, 0 }, { 7, 7 } })
  local labels = { "A", "A", "A", "A", "control", "control", "control", "control", "control", "B" }
  local r, left = prepare.rank_genes(x, labels)
  assert(left[1] == "B" and #left == 1)
  near(r.A.score:get(1), -1.060112734235339, 1e-12)
  near(r.A.p:get(1), 0.32453429212421037, 1e-12)
  near(r.A.q:get(1), 0.64906858424842074, 1e-12)
  assert(r.A.p:get(2) == 1 and r.A.score:get(2) == 0)
  local w = prepare.rank_genes(x, labels, { test = "wilcoxon", groups = { "A" } })
  near(w.A.auc:get(1), 0.325, 1e-12)
  near(w.A.p:get(1), 0.38116022651163173, 1e-12)
  near(prepare.log2_fold(core.tensor({ 1.2 }, "double"), core.tensor({ 0.8 }, "double")):get(1), 0.9207788458837878, 1e-9)
  raises("0 cells are 'ctrl', the reference", prepare.rank_genes, x, labels, { reference = "ctrl" })
  local q = core.bh(core.tensor({ .01, .04, .03, .005, .5, 0 / 0 }, "double"))
  near(q:get(2), .06, 1e-14)
  near(q:get(6), 1, 1e-14)
end)

test("core: moments, loess, diffexpr check their arguments", function()
  local x = counts()
  local m = core.column_moments(x)
  near(m.mean:get(7), 4, 1e-12)
  near(m.variance:get(7), 0, 1e-12)
  raises("clip: a number per column", core.column_moments, x, { clip = core.tensor { 1 } })
  raises("as many y as x", core.loess, core.tensor { 1, 2 }, core.tensor { 1 })
  raises("one group per cell", core.diffexpr, x, { 1, 2 })
end)

-- ---- what scanpy computes ---------------------------------------------------------------------------------------------

local scanpy = dofile "tests/golden/scanpy.lua"

local function cells120()
  local rows, labels = {}, {}
  for i = 0, 119 do
    rows[i + 1], labels[i + 1] = {}, ({ [0] = "control", "A", "B", "C" })[i % 4]
    for j = 0, 89 do
      local v = (i * i * 31 + j * j * 17 + i * j * 7) % 101
      rows[i + 1][j + 1] = j == 5 and 0 or j == 6 and 4 or v < 10 + j * 13 % 60 and v % (j % 17 + 2) or 0
    end
  end
  return core.sparse_from_dense(core.tensor(rows)), labels
end

local function same(got, want, tol)
  got = type(got) == "table" and got or got:totable()
  assert(#got == #want, #got)
  for i, w in ipairs(want) do
    if w == w and got[i] == got[i] then near(got[i], w, tol or 1e-6) else assert(w ~= w and got[i] ~= got[i], i) end
  end
end

test("scanpy: normalisation and logarithms", function()
  local x = cells120()
  same(prepare.normalise(x, { target = "median" }):dense("double"):index(1, { 8 }):reshape(90), scanpy.median_total, 1e-6)
  same(prepare.log1p(prepare.normalise(x)):dense("double"):index(1, { 8 }):reshape(90), scanpy.log_cell, 1e-6)
end)

test("scanpy: highly variable genes of three flavours, by number and by bounds", function()
  local x = cells120()
  local log = prepare.log1p(prepare.normalise(x))
  for _, f in ipairs { "seurat", "cell_ranger" } do
    local h = prepare.hvg(log, { flavour = f, n = 20 })
    same(h.score, scanpy[f .. "_score"])
    same(h.genes, scanpy[f .. "_top"], 0)
  end
  same(prepare.hvg(log, { max_mean = 8 }).genes, scanpy.seurat_bounds, 0)
  local h = prepare.hvg(x, { flavour = "seurat_v3", n = 20 })
  same(h.score, scanpy.v3_score)
  same(h.genes, scanpy.v3_top, 0)
end)

test("scanpy: filters and principal components", function()
  local x = cells120()
  local _, genes = prepare.filter_genes(x, { min_cells = 30 })
  local _, cells = prepare.filter_cells(x, { min_genes = 36 })
  assert(#genes == scanpy.genes_kept[1] and #cells == scanpy.cells_kept[1])
  local p = prepare.pca(prepare.log1p(prepare.normalise(x)), { dim = 4 })
  same(p.variance, scanpy.pca_variance, 1e-5)
  same(p.share, scanpy.pca_share, 1e-5)
end)

test("scanpy: differential expression; its Wilcoxon has no correction for ties unless asked", function()
  local x, labels = cells120()
  local log = prepare.log1p(prepare.normalise(x))
  for _, c in ipairs { { "welch" }, { "overestim" }, { "wilcoxon", "wilcoxon", false }, { "ties", "wilcoxon", true } } do
    local r = prepare.rank_genes(log, labels, { groups = { "B" }, test = c[2] or c[1], ties = c[3] }).B
    same(r.score, scanpy[c[1] .. "_score"], 1e-5) -- float32 there
    same(r.p, scanpy[c[1] .. "_p"], 1e-6)
    same(r.q, scanpy[c[1] .. "_q"], 1e-6)
    same(r.log2fc, scanpy.log2fc, 1e-5)
  end
  local compat = prepare.rank_genes(log, labels, { groups = { "B" }, test = "wilcoxon", compat = "scanpy" }).B
  same(compat.p, scanpy.wilcoxon_p, 1e-6)
end)

test("scikit-misc: loess, interpolated between its vertices", function()
  local x, y = core.tensor(scanpy.loess_x, "double"), core.tensor(scanpy.loess_y, "double")
  same(core.loess(x, y, 0.3), scanpy.loess_fit, 1e-12)
  local direct = core.loess(x, y, 0.3, 0)
  assert((direct - core.loess(x, y, 0.3)):abs():max():item() > 1e-4)
  raises("a cell in [0, 1]", core.loess, x, y, 0.3, 2)
end)
