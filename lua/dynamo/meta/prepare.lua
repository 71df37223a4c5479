-- What src/bind/l_prepare.c registers; dynamo.prepare is the way to call it.
return {
  ["diffexpr"] = {
    sig = "core.diffexpr(x, group[, { test = 'welch', ties = true, continuity = false }]) -> table",
    doc = [[
A test per gene of cells of group 1 against those of group 2 (0: takes no part). x is Sparse (genes, cells), that is
transposed; values log1p. test: t-test (pooled), welch, overestim (n2 replaced by n1), wilcoxon (mid-ranks, normal).
Result: mean1, mean2, score (t or z), df, p (two-sided), auc (Wilcoxon), double tensors of one number per gene. Raises
EVALUE: fewer than two cells in a group. O(nnz log cells).]],
  },
  ["bh"] = { sig = "core.bh(p) -> Tensor double",
    doc = [[False discovery rates (Benjamini and Hochberg, 1995); NaN counts as p = 1 and stays in the number of tests.]] },
  ["column_moments"] = {
    sig = "core.column_moments(x[, { expm1 = false, clip = Tensor }]) -> { mean, variance, sum, squares, count }",
    doc = [[Moments of the columns of a Sparse, zeros included (variance with n - 1), of exp(v) - 1 with expm1, of min(v, clip)
with a number per column. Double tensors. Two passes, O(nnz).]],
  },
  ["loess"] = {
    sig = "core.loess(x, y[, span = 0.3[, cell = 0.2]]) -> Tensor double",
    doc = [[Local quadratic regression with tricube weights (Cleveland, 1979): fitted at medians that cut the line into pieces
of span n cell points, a cubic between them, as loess of R and scikit-misc; with cell = 0 at every x. Raises EVALUE. O(n
log n + n / cell); cell = 0: O(n^2 span).]],
  },
}
