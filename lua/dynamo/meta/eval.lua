-- What src/bind/l_eval.c registers: scores of rows, intervals, permutations.
local rows_doc = [[ Options: mask (n, G; 1 counts), exclude (per row a list of columns that do not), top (only the `top`
largest |rank|, rank (n, G), default: the truth), reference (G or n, G; subtracted from both first), weight (n, G), eps
(precision of the source of the numbers, 1.2e-7: smaller differences are none), tau (direction: changes up to it are none).
Second result: { [row] = status } of rows that are not scored as usual: few_genes, const_true, no_weights (NaN), const_pred
(0: the prediction says nothing). Two passes in double. O(n G), with `top` or ranks O(n G log G). Raises ESHAPE.]]

local M = {
  ["auroc_cols"] = {
    sig = [[core.auroc_cols(scores, labels[, mask]) -> Tensor double (G)]],
    doc = [[Area under the ROC curve of each column, with mid-ranks (Mann and Whitney, 1947); all are (n, G), labels 0 or 1;
NaN where only one class is observed. O(G n log n).]],
  },
  ["precision_cols"] = {
    sig = [[core.precision_cols(scores, labels[, mask]) -> Tensor double (G)]],
    doc = [[Average precision of each column, the same way: the sum over thresholds of (recall - recall before) precision, equal
scores at one threshold, nothing interpolated. Chance is the share of ones. O(G n log n).]],
  },
  ["pair_sums"] = {
    sig = [[core.pair_sums(x, y[, { kind = "distance", gamma = 1 }]) -> between, within_x, within_y]],
    doc = [[Sums over pairs of rows of x (n, d) and y (m, d): the n m pairs between them, the pairs of different rows within x,
and within y. kind: distance (Euclidean), squared, rbf (exp(-gamma d^2)). dynamo.populations makes energy distances and MMD of
them. O((n + m)^2 d).]],
  },
  ["pair_median"] = {
    sig = [[core.pair_median(x, y) -> number]],
    doc = [[Median of the squared distances of all pairs of different rows of x and y together. Memory O((n + m)^2).]],
  },
  ["energy_test"] = {
    sig = [[core.energy_test(distances, n[, { draws = 999, seed = 1 }]) -> p]],
    doc = [[Permutation test of the unbiased energy distance: distances (N, N) of all cells, the first n of them one group;
(1 + #{E* >= E}) / (1 + draws). Raises EVALUE: a group below two cells. O(draws N^2).]],
  },
  ["wasserstein_cols"] = {
    sig = [[core.wasserstein_cols(x, y[, p = 1]) -> Tensor double (d)]],
    doc = [[For each column the p-th power of the Wasserstein-p distance (p 1 or 2) between the values of x (n, d) and y (m, d).]],
  },
  ["theil_sen"] = {
    sig = [[core.theil_sen(a, b, y[, { pairs = 1e5, steps = 1000, tol = 1e-3, seed = 1 }]) -> c1, c2, steps]],
    doc = [[y = c1 a + c2 b over genes, without intercept: the spatial median of the solutions for all pairs of genes, or for
`pairs` drawn ones (Theil, 1950; Sen, 1968; the median by Vardi and Zhang, PNAS 2000, until a step is shorter than tol).
Raises EVALUE, ENOCONV.]],
  },
  ["distance_correlation"] = {
    sig = [[core.distance_correlation(x, y) -> number]],
    doc = [[Distance correlation of the rows of x (n, d) and y (n, k) (Szekely, Rizzo and Bakirov, Ann. Stat. 2007); 0 if one
does not vary. O(n^2 (d + k)), memory O(n).]],
  },
  ["crps"] = {
    sig = [[core.crps(mu, sd, y) -> crps, pit]],
    doc = [[Continuous ranked probability score of Gaussian predictions and F((y - mu) / sd), element by element (Gneiting and
Raftery, JASA 2007); with sd 0 the score is |y - mu|. Tensors of one shape. Raises EVALUE: sd < 0.]],
  },
  ["bootstrap_mean"] = {
    sig = [[core.bootstrap_mean(v[, { draws = 2000, level = 0.95, seed = 1 }]) -> mean, lo, hi, n]],
    doc = [[Percentile interval of the mean of a vector; NaN left out, n is how many were not. (Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, ch. 13.) Raises EVALUE: no value. O(draws n).]],
  },
  ["paired"] = {
    sig = [[core.paired(x, y[, { draws = 2000, level = 0.95, seed = 1 }]) -> table]],
    doc = [[The mean of x - y: { mean, lo, hi, p, n, wins }. p is two-sided, from random flips of signs; wins counts x > y.
Pairs with a NaN are left out.]],
  },
  ["permutation"] = {
    sig = [[core.permutation(n, seed, purpose) -> list]],
    doc = [[1 .. n in random order, from the stream of `seed` that is named `purpose`: draws for one purpose move nothing
elsewhere.]],
  },
}
for name, what in pairs { pearson = "Pearson's correlation", spearman = "Spearman's rank correlation (mid-ranks)",
  cosine = "The cosine", mse = "The mean squared error", rmse = "Its square root", mae = "The mean absolute error",
  l2 = "The norm of the difference", relerr = "The norm of the difference over that of the truth", r2 =
  "1 - residual over total sum of squares", wmse = "The mean squared error with weights", wr2 = "R2 with weights",
  direction = "The share of the genes that moved whose sign is right", opposite =
  "The share of the genes that moved whose sign is the other one" } do
  M[name .. "_rows"] = { sig = ("core.%s_rows(predicted, truth[, opts]) -> Tensor double (n), table"):format(name),
    doc = what .. " of each row of two matrices (n, G)." .. rows_doc }
end
return M
