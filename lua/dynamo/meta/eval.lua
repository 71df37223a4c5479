-- What src/bind/l_eval.c registers: scores of rows, intervals, permutations.
local rows_doc = [[ Options: mask (n, G; 1 counts), exclude (per row a list of columns that do not), top (only the `top`
largest |truth|), reference (G; subtracted from both first), eps (precision of the source of the numbers, 1.2e-7:
smaller differences are none). NaN where a row cannot be scored: fewer than three genes, or a truth that is constant.
Two passes in double. O(n G), with `top` or ranks O(n G log G). Raises ESHAPE.]]

local M = {
  ["auroc_cols"] = {
    sig = [[core.auroc_cols(scores, labels[, mask]) -> Tensor double (G)]],
    doc = [[Area under the ROC curve of each column, with mid-ranks (Mann and Whitney, 1947); all are (n, G), labels 0 or 1;
NaN where only one class is observed. O(G n log n).]],
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
  cosine = "The cosine", mse = "The mean squared error" } do
  M[name .. "_rows"] = { sig = ("core.%s_rows(predicted, truth[, opts]) -> Tensor double (n)"):format(name),
    doc = what .. " of each row of two matrices (n, G)." .. rows_doc }
end
return M
