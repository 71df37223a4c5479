--- Preparation of counts: library size, log1p, filters, highly variable genes, principal components, differential
-- expression. Matrices are Sparse, cells x genes.
--
-- normalise, log1p, filter_cells, filter_genes, hvg and de_genes with one table of options give a step for the `prepare` of an
-- experiment (see dynamo.preparation): `dynamo.prepare.hvg { n = 2000 }`.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"
local recipe = require "dynamo.recipe"

local M = { schema = {} }

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

-- f(x, opts), or with a table in place of x the step of that name.
local function step(name, x)
  return type(x) == "table" and recipe.new("preparation", "prepare", name, x, M.schema[name], {}) or nil
end

local function sparse(x) return core.is_sparse(x) and x or core.sparse_from_dense(x) end

-- ---- scaling ------------------------------------------------------------------------------------

M.schema.normalise = {
  target = { type = "number|string", default = 1e4, help = "total of a cell afterwards; \"median\": of the cells before" },
}

local function median(list)
  local v = {}
  for i, x in ipairs(list) do v[i] = x end
  table.sort(v)
  local n = #v
  return n % 2 == 1 and v[(n + 1) / 2] or (v[n / 2] + v[n / 2 + 1]) / 2
end

--- The median total of the cells that have a count. Raises EVALUE where none has.
---@param x userdata counts (cells, genes)
---@return number
function M.median_total(x)
  local some = {}
  for _, v in ipairs(sparse(x):row_sums():totable()) do if v > 0 then some[#some + 1] = v end end
  if #some == 0 then raise "prepare.normalise: no cell has a count" end
  return median(some)
end

--- Each cell scaled to the same total (cells without a count stay as they are).
---@param x userdata counts (cells, genes)
---@param opts? table see prepare.schema.normalise
---@return userdata Sparse
function M.normalise(x, opts)
  if step("normalise", x) then return step("normalise", x) end
  local o = options.check("prepare.normalise", opts, M.schema.normalise)
  x = sparse(x)
  local sums, target = x:row_sums(), o.target
  if target == "median" then
    target = M.median_total(x)
  elseif type(target) ~= "number" or target <= 0 then
    err.raise { code = "EOPTION", message = "prepare.normalise: option 'target' must be a positive number or \"median\"" }
  end
  local factor = {}
  for i, v in ipairs(sums:totable()) do factor[i] = v > 0 and target / v or 1 end
  return x:scale_rows(core.tensor(factor, "double"))
end

--- log(1 + x), natural.
---@param x userdata (cells, genes)
---@return userdata Sparse
function M.log1p(x) return step("log1p", x) or sparse(x):log1p() end
M.schema.log1p = {}

M.schema.match_controls = {
  by = { default = "batch", values = { "batch" }, help = "what cells and their controls share, beside the context" },
}

--- A step: hold each perturbation against the controls of its own batches and context (see preparation.match).
---@param opts? table
---@return table step
function M.match_controls(opts) return step("match_controls", opts or {}) end

M.schema.de_genes = {
  n = { type = "integer", default = 50, min = 1, help = "genes of each training perturbation" },
  test = { default = "welch", values = { "t-test", "welch", "overestim", "wilcoxon" }, help = "against the context's controls" },
}

--- A step: keep the genes that are among the n with the largest |score| of any training perturbation against the controls of
--- its context (log1p values). A list from all cells would have seen what is tested.
---@param opts? table see prepare.schema.de_genes
---@return table step
function M.de_genes(opts) return step("de_genes", opts or {}) end

M.schema.pseudobulk = {
  how = { default = "mean", values = { "mean", "sum" }, help = "of the cells of a label" },
}

--- Cells of one label as one profile: (labels, genes), the labels sorted, and the number of cells of each. Cells without a
--- label ("") are left out.
---@param x userdata (cells, genes)
---@param labels string[] one per cell
---@param opts? table see prepare.schema.pseudobulk
---@return userdata Tensor double
---@return string[] labels
---@return integer[] cells
function M.pseudobulk(x, labels, opts)
  local o = options.check("prepare.pseudobulk", opts, M.schema.pseudobulk)
  x = sparse(x)
  if #labels ~= x:size(1) then raise(("prepare.pseudobulk: %d labels for %d cells"):format(#labels, x:size(1))) end
  local n, at, codes, cells = {}, {}, {}, {}
  for _, l in ipairs(labels) do n[l] = (n[l] or 0) + 1 end
  n[""] = nil
  local names = require("dynamo.label").sorted_keys(n)
  for k, name in ipairs(names) do at[name], cells[k] = k, n[name] end
  for i, l in ipairs(labels) do codes[i] = at[l] or 0 end
  local out = x:group_means(codes, #names)
  if o.how == "sum" then out = out * core.tensor(cells, "double"):reshape(#cells, 1) end
  return out, names, cells
end

-- ---- filters ------------------------------------------------------------------------------------

M.schema.filter_cells = {
  min_counts = { type = "number", min = 0, help = "smallest total" },
  max_counts = { type = "number", min = 0, help = "largest total" },
  min_genes = { type = "integer", min = 0, help = "fewest genes with a count" },
  max_genes = { type = "integer", min = 0, help = "most genes with a count" },
}
M.schema.filter_genes = {
  min_counts = { type = "number", min = 0, help = "smallest total" },
  max_counts = { type = "number", min = 0, help = "largest total" },
  min_cells = { type = "integer", min = 0, help = "fewest cells with a count" },
  max_cells = { type = "integer", min = 0, help = "most cells with a count" },
}

-- Indices whose total and count are within bounds.
local function within(sums, counts, o, few, many)
  local keep = {}
  for i, s in ipairs(sums) do
    local c = counts[i]
    if s >= (o.min_counts or 0) and s <= (o.max_counts or math.huge) and c >= (o[few] or 0) and
      c <= (o[many] or math.huge) then keep[#keep + 1] = i end
  end
  return keep
end

--- Cells within bounds of counts and genes.
---@param x userdata counts (cells, genes)
---@param opts table see prepare.schema.filter_cells
---@return userdata Sparse, the cells kept
---@return integer[] which
function M.filter_cells(x, opts)
  if step("filter_cells", x) then return step("filter_cells", x) end
  local o = options.check("prepare.filter_cells", opts, M.schema.filter_cells)
  x = sparse(x)
  local m = core.column_moments(x:t())
  local keep = within(m.sum:totable(), m.count:totable(), o, "min_genes", "max_genes")
  if #keep == 0 then raise "prepare.filter_cells: no cell is left" end
  return x:rows(keep), keep
end

--- Genes within bounds of counts and cells.
---@param x userdata counts (cells, genes)
---@param opts table see prepare.schema.filter_genes
---@return userdata Sparse, the genes kept
---@return integer[] which
function M.filter_genes(x, opts)
  if step("filter_genes", x) then return step("filter_genes", x) end
  local o = options.check("prepare.filter_genes", opts, M.schema.filter_genes)
  x = sparse(x)
  local m = core.column_moments(x)
  local keep = within(m.sum:totable(), m.count:totable(), o, "min_cells", "max_cells")
  if #keep == 0 then raise "prepare.filter_genes: no gene is left" end
  return x:cols(keep), keep
end

-- ---- highly variable genes ------------------------------------------------------------------------

M.schema.hvg = {
  flavour = { default = "seurat", values = { "seurat", "cell_ranger", "seurat_v3" },
    help = "seurat and cell_ranger take log1p values, seurat_v3 counts" },
  n = { type = "integer", min = 1, help = "how many genes; default: by the bounds below (seurat_v3: 2000)" },
  bins = { type = "integer", default = 20, min = 1, max = 1000, help = "seurat: bins of mean expression" },
  span = { type = "number", default = 0.3, min = 0.01, max = 1, help = "seurat_v3: share of genes in a local fit" },
  min_mean = { type = "number", default = 0.0125, help = "bounds, where n is not given" },
  max_mean = { type = "number", default = 3, help = "bounds, where n is not given" },
  min_dispersion = { type = "number", default = 0.5, help = "bounds, where n is not given" },
}

local NAN = 0 / 0
local function log10(v) return math.log(v) / math.log(10) end

-- Percentile of a sorted list, linear between neighbours.
local function percentile(sorted, p)
  local at = (#sorted - 1) * p / 100
  local lo = math.floor(at)
  local a, b = sorted[lo + 1], sorted[math.min(lo + 2, #sorted)]
  return a + (b - a) * (at - lo)
end

-- Right ends of the bins; as pandas.cut does, the first bin also has its left end.
local function equal_edges(means, bins)
  local lo, hi = math.huge, -math.huge
  for _, v in ipairs(means) do lo, hi = math.min(lo, v), math.max(hi, v) end
  if lo == hi then
    local more = lo ~= 0 and 0.001 * math.abs(lo) or 0.001
    lo, hi = lo - more, hi + more
  end
  local edges = {}
  for k = 1, bins do edges[k] = k == bins and hi or lo + k * ((hi - lo) / bins) end
  return edges
end

local function percentile_edges(means)
  local sorted, edges = {}, {}
  for i, v in ipairs(means) do sorted[i] = v end
  table.sort(sorted)
  for p = 10, 100, 5 do
    local v = percentile(sorted, p)
    if v ~= edges[#edges] then edges[#edges + 1] = v end
  end
  edges[#edges + 1] = math.huge
  return edges
end

-- The dispersions of each bin, and the bin of each gene.
local function binned(means, dispersion, edges)
  local groups, bin = {}, {}
  for i, v in ipairs(means) do
    local k = 1
    while k < #edges and v > edges[k] do k = k + 1 end
    bin[i] = k
    groups[k] = groups[k] or {}
    local d = dispersion[i]
    if d == d then table.insert(groups[k], d) end
  end
  return groups, bin
end

-- Mean and standard deviation; a bin of one gene gives that gene 1.
local function mean_and_sd(list)
  local n, sum, squares = #list, 0, 0
  if n == 0 then return NAN, NAN end
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / n
  if n == 1 then return 0, mean end
  for _, v in ipairs(list) do squares = squares + (v - mean) ^ 2 end
  return mean, math.sqrt(squares / (n - 1))
end

local function median_and_mad(list)
  if #list == 0 then return NAN, NAN end
  local m, away = median(list), {}
  for i, v in ipairs(list) do away[i] = math.abs(v - m) end
  return m, median(away) / 0.6744897501960817
end

-- Genes by falling score, ties by place; NaN counts as 0 unless dropped.
local function ranked(score)
  local order = {}
  for i, v in ipairs(score) do if v == v then order[#order + 1] = i end end
  table.sort(order, function(a, b) return score[a] > score[b] or score[a] == score[b] and a < b end)
  return order
end

local function top(score, n)
  local order = ranked(score)
  local cut = score[order[math.min(n, #order)]]
  local chosen = {}
  for i, v in ipairs(score) do if (v == v and v or 0) >= cut then chosen[#chosen + 1] = i end end
  return chosen
end

local function by_bounds(means, score, o)
  local chosen = {}
  for i, v in ipairs(score) do
    local s = v == v and v or 0
    if means[i] > o.min_mean and means[i] < o.max_mean and s > o.min_dispersion then chosen[#chosen + 1] = i end
  end
  return chosen
end

local function by_dispersion(x, o)
  local seurat = o.flavour == "seurat"
  local m = core.column_moments(x, { expm1 = seurat })
  local means, var = m.mean:totable(), m.variance:totable()
  local dispersion, score = {}, {}
  for i, mean in ipairs(means) do
    mean = mean == 0 and 1e-12 or mean
    local d = var[i] / mean
    if seurat then d, mean = d == 0 and NAN or math.log(d), math.log(1 + mean) end
    dispersion[i], means[i] = d, mean
  end
  local groups, bin = binned(means, dispersion, seurat and equal_edges(means, o.bins) or percentile_edges(means))
  local centre, width = {}, {}
  for k, list in pairs(groups) do
    centre[k], width[k] = (seurat and mean_and_sd or median_and_mad)(list)
  end
  for i, d in ipairs(dispersion) do score[i] = (d - centre[bin[i]]) / width[bin[i]] end
  local chosen
  if o.n then chosen = top(score, o.n) else chosen = by_bounds(means, score, o) end
  return { genes = chosen, means = means, dispersion = dispersion, score = score }
end

local function by_regression(x, o)
  local n = x:size(1)
  local m = core.column_moments(x)
  local means, var = m.mean:totable(), m.variance:totable()
  local lx, ly, at, sd, clip = {}, {}, {}, {}, {}
  for i, v in ipairs(var) do
    if v > 0 then at[#at + 1], lx[#lx + 1], ly[#ly + 1] = i, log10(means[i]), log10(v) end
    sd[i] = 1
  end
  if #at < 4 then raise "prepare.hvg: fewer than four genes vary" end
  local fit = core.loess(core.tensor(lx, "double"), core.tensor(ly, "double"), o.span)
  for k, i in ipairs(at) do sd[i] = math.sqrt(10 ^ fit:get(k)) end
  for i, mean in ipairs(means) do clip[i] = sd[i] * math.sqrt(n) + mean end
  local c, score = core.column_moments(x, { clip = core.tensor(clip, "double") }), {}
  local sum, squares = c.sum:totable(), c.squares:totable()
  for i, mean in ipairs(means) do
    score[i] = (n * mean ^ 2 + squares[i] - 2 * sum[i] * mean) / ((n - 1) * sd[i] ^ 2)
  end
  local order, chosen = ranked(score), {}
  for k = 1, math.min(o.n or 2000, #order) do chosen[k] = order[k] end
  table.sort(chosen)
  return { genes = chosen, means = means, dispersion = var, score = score }
end

--- Highly variable genes: { genes = indices, means =, dispersion =, score = } (lists per gene; score is the normalised
--- dispersion or variance).
---
--- seurat (Satija et al. 2015) and cell_ranger (Zheng et al. 2017) as scanpy computes them: dispersions within bins of
--- mean expression. seurat_v3 (Stuart et al. 2019): variance of counts, standardised by a local regression and clipped;
--- all three equal scanpy's to 1e-6. Raises EOPTION, EVALUE.
---@param x userdata (cells, genes): log1p values, for seurat_v3 counts
---@param opts? table see prepare.schema.hvg
---@return table
function M.hvg(x, opts)
  if step("hvg", x) then return step("hvg", x) end
  local o = options.check("prepare.hvg", opts, M.schema.hvg)
  x = sparse(x)
  local rows, columns = x:size()
  if rows < 2 or columns < 1 then raise "prepare.hvg: at least two cells are needed" end
  if o.flavour == "seurat_v3" then return by_regression(x, o) end
  return by_dispersion(x, o)
end

-- ---- principal components ---------------------------------------------------------------------------

M.schema.pca = { dim = { type = "integer", default = 50, min = 1, max = 5000, help = "components" } }

--- Principal components of centred expression: { scores (cells, dim), components (genes, dim), variance (dim), share
--- (dim) }, exact, from the covariance of the genes; the largest entry of a component is positive. O(nnz genes +
--- genes^3). Raises EVALUE: more than 5,000 genes.
---@param x userdata (cells, genes)
---@param opts? table see prepare.schema.pca
---@return table
function M.pca(x, opts)
  local o = options.check("prepare.pca", opts, M.schema.pca)
  x = sparse(x)
  local n, g = x:size()
  if n < 2 then raise "prepare.pca: at least two cells are needed" end
  if g > 5000 then raise(("prepare.pca: %d genes; at most 5000"):format(g), "choose genes first: prepare.hvg") end
  local k = math.min(o.dim, g, n - 1)
  local mean = core.column_moments(x).mean:reshape(g, 1)
  local gram = x:tmatmul(x:dense "double") - mean:matmul(mean:t()) * n
  local w, v = core.eigh(gram * (1 / (n - 1)))
  local order = {}
  for j = 1, k do order[j] = g + 1 - j end
  local components, variance = v:index(2, order), w:index(1, order)
  local scores = x:matmul(components) - mean:t():matmul(components)
  return { scores = scores, components = components, variance = variance, share = variance / w:sum():item() }
end

-- ---- differential expression --------------------------------------------------------------------------

M.schema.rank_genes = {
  reference = { type = "string", default = "control", help = "the label of the cells to compare with; \"rest\": all others" },
  groups = { type = "table", item = "string", help = "labels to test; default: all but the reference" },
  test = { default = "welch", values = { "t-test", "welch", "overestim", "wilcoxon" },
    help = "overestim: Welch with the reference as small as the group, scanpy's t-test_overestim_var" },
  ties = { type = "boolean", default = true, help = "Wilcoxon: correct the variance for ties (scanpy's default does not)" },
  compat = { type = "string", values = { "scanpy" }, help = "as scanpy.tl.rank_genes_groups: Wilcoxon without ties" },
  continuity = { type = "boolean", default = false, help = "Wilcoxon: half a rank towards the middle" },
}

--- log2 of the ratio of mean expression, as scanpy: log2((expm1(m1) + 1e-9) / (expm1(m2) + 1e-9)) of means of log1p.
---@param m1 userdata
---@param m2 userdata
---@return userdata
function M.log2_fold(m1, m2)
  local a, b = m1:expm1() + 1e-9, m2:expm1() + 1e-9
  return (a / b):log() * (1 / math.log(2))
end

local function group_codes(labels, name, reference)
  local codes, n, other = {}, 0, 0
  for i, l in ipairs(labels) do
    local is = l == name
    local ref = not is and (reference == "rest" or l == reference)
    codes[i] = is and 1 or ref and 2 or 0
    n, other = n + (is and 1 or 0), other + (ref and 1 or 0)
  end
  return codes, n, other
end

local function labels_of(labels, o)
  if o.groups then return o.groups end
  local seen = {}
  for _, l in ipairs(labels) do if l ~= o.reference then seen[l] = true end end
  return require("dynamo.label").sorted_keys(seen)
end

--- Differential expression of each group of cells against the reference, gene by gene (Student 1908; Welch 1947;
--- Wilcoxon 1945, mid-ranks and ties; Benjamini and Hochberg 1995): a table from group to { score, p, q, log2fc, mean1,
--- mean2, df, auc } (double tensors, one number per gene; df and auc where they exist).
---
--- Groups of fewer than two cells are left out and named in the second result. Raises EVALUE (no reference), EOPTION.
---@param x userdata log1p values (cells, genes)
---@param labels string[] one per cell
---@param opts? table see prepare.schema.rank_genes
---@return table<string, table>
---@return string[] groups left out
function M.rank_genes(x, labels, opts)
  local o = options.check("prepare.rank_genes", opts, M.schema.rank_genes)
  x = sparse(x)
  if #labels ~= x:size(1) then raise(("prepare.rank_genes: %d labels for %d cells"):format(#labels, x:size(1))) end
  local columns, out, left = x:t(), {}, {}
  for _, name in ipairs(labels_of(labels, o)) do
    local codes, n, other = group_codes(labels, name, o.reference)
    if other < 2 then
      raise(("prepare.rank_genes: %d cells are '%s', the reference"):format(other, o.reference), 'reference="LABEL" or "rest"')
    end
    if n < 2 then
      left[#left + 1] = name
    else
      local r = core.diffexpr(columns, codes, { test = o.test, ties = o.ties and not o.compat, continuity = o.continuity })
      r.q, r.log2fc = core.bh(r.p), M.log2_fold(r.mean1, r.mean2)
      out[name] = r
    end
  end
  return out, left
end

return M
