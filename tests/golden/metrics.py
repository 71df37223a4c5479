# Expected values of tests/lua/metrics_golden_spec.lua, by NumPy, SciPy and scikit-learn: a Lua table on standard output.
# Inputs are random, tied, constant, masked and tiny (few genes, small numbers).
import sys, warnings
import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.spatial.distance import cdist
from scipy.stats import norm, rankdata
from sklearn.linear_model import TheilSenRegressor
from sklearn.metrics import (average_precision_score, precision_recall_curve, mean_absolute_error, mean_squared_error, r2_score, roc_auc_score)
from sklearn.metrics.pairwise import rbf_kernel

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)
NAN = float("nan")

def lua(v):
    if isinstance(v, dict): return "{" + ",".join("[%r]=%s" % (str(k), lua(x)) for k, x in v.items()) + "}"
    if isinstance(v, (list, tuple, np.ndarray)): return "{" + ",".join(lua(x) for x in v) + "}"
    if isinstance(v, (bool, np.bool_)): return "true" if v else "false"
    if isinstance(v, str): return repr(v)
    v = float(v)
    return "(0/0)" if v != v else "%.17g" % v

# ---- metrics of rows ------------------------------------------------------------------------
def signs(p, t, want):
    moved = np.abs(t) > 1e-9
    s = lambda x: np.where(np.abs(x) > 1e-9, np.sign(x), 0)
    return np.mean(s(p)[moved] * s(t)[moved] == want) if moved.any() else NAN

def scores(p, t, w):
    r = {}
    flat_p, flat_t = np.ptp(p) == 0, np.ptp(t) == 0
    zero_p, zero_t = not p.any(), not t.any()
    def put(key, f, nothing, bad): r[key] = NAN if bad else 0 if nothing else f()
    put("pearson", lambda: stats.pearsonr(p, t)[0], flat_p, flat_t)
    put("spearman", lambda: stats.spearmanr(p, t)[0], flat_p, flat_t)
    put("cosine", lambda: 1 - cdist(p[None], t[None], "cosine")[0, 0], zero_p, zero_t)
    put("r2", lambda: r2_score(t, p), flat_p, flat_t)
    put("wr2", lambda: r2_score(t, p, sample_weight=w), flat_p, flat_t or w.sum() == 0)
    put("direction", lambda: signs(p, t, 1), zero_p, zero_t)
    put("opposite", lambda: signs(p, t, -1), zero_p, zero_t)
    r["mse"] = mean_squared_error(t, p)
    r["rmse"] = np.sqrt(r["mse"])
    r["mae"] = mean_absolute_error(t, p)
    r["l2"] = np.linalg.norm(p - t)
    r["wmse"] = mean_squared_error(t, p, sample_weight=w) if w.sum() > 0 else NAN
    r["relerr"] = NAN if zero_t else np.linalg.norm(p - t) / np.linalg.norm(t)
    if len(p) < 3:
        for key in ("pearson", "spearman", "cosine", "r2", "wr2", "direction", "opposite"): r[key] = NAN
    return r

def rows_case(name, p, t, mask, w):
    per = [scores(p[i][mask[i] > 0], t[i][mask[i] > 0], w[i][mask[i] > 0]) for i in range(len(p))]
    return {"name": name, "p": p, "t": t, "mask": mask, "w": w,
            "expected": {k: [r[k] for r in per] for k in per[0]}}

def rows_cases():
    out = []
    for name, n, g in (("random", 6, 50), ("tiny", 5, 3), ("pairs", 3, 2)):
        p, t = rng.normal(size=(n, g)), rng.normal(size=(n, g))
        out.append(rows_case(name, p, t + .5 * p, np.ones((n, g)), rng.random((n, g))))
    p, t = rng.normal(size=(5, 40)).round(0), rng.normal(size=(5, 40)).round(0)
    out.append(rows_case("tied", p, t, np.ones((5, 40)), (rng.random((5, 40)) > .5).astype(float)))
    p, t = rng.normal(size=(2, 900)).round(1), rng.normal(size=(2, 900)) # long ones are sorted in another way
    p[:, 5:9], t[0, :40] = -0.0, 1e-300
    out.append(rows_case("long", p, t, np.ones((2, 900)), rng.random((2, 900))))
    p, t = rng.normal(size=(6, 20)), rng.normal(size=(6, 20))
    p[0], t[1], p[2], t[3], p[4], t[4] = 0, 0, 2.5, -1.5, 1, 1
    w = rng.random((6, 20)); w[5] = 0
    out.append(rows_case("constant", p, t, np.ones((6, 20)), w))
    mask = (rng.random((6, 30)) > .4).astype(float); mask[5] = 0; mask[5, :4] = 1
    out.append(rows_case("masked", rng.normal(size=(6, 30)), rng.normal(size=(6, 30)), mask, rng.random((6, 30))))
    out.append(rows_case("small numbers", 1e-6 * rng.normal(size=(4, 30)), 1e-6 * rng.normal(size=(4, 30)),
                         np.ones((4, 30)), rng.random((4, 30))))
    return out

# ---- classes, retrieval ---------------------------------------------------------------------
def classes_case():
    y = (rng.random((25, 8)) > .6).astype(float)
    s = rng.normal(size=(25, 8)) + y
    s[:, 2:5] = s[:, 2:5].round(0)
    s[:, 5] = 1
    y[:, 6] = 1
    y[:, 7] = 0; y[3, 7] = 1
    two = lambda f, j: f(y[:, j], s[:, j]) if 0 < y[:, j].sum() < len(y) else NAN
    return {"y": y, "s": s, "auroc": [two(roc_auc_score, j) for j in range(8)],
            "ap": [two(average_precision_score, j) for j in range(8)]}

def places(D):
    return np.array([rankdata(D[i], "average")[i] - 1 for i in range(len(D))])

def retrieval_case(name, p, t):
    n = len(p)
    D = {k: cdist(p, t, m) for k, m in (("l1", "cityblock"), ("l2", "euclidean"), ("cosine", "cosine"),
                                       ("pearson", "correlation"))}
    e = {"pds_" + k: 1 - places(D[v]) / n for k, v in (("l1", "l1"), ("l2", "l2"), ("cos", "cosine"))}
    e["nir"] = (n - 1 - places(D["l2"])) / (n - 1)
    e["nir_strict"] = [(n - 1 - sum(D["l2"][i, j] <= D["l2"][i, i] for j in range(n) if j != i)) / (n - 1) for i in range(n)]
    e["rank"], e["rank_cos"] = places(D["l2"].T) / n, places(D["cosine"].T) / n
    e["retrieval"] = (n - 1 - places(D["pearson"])) / n
    return {"name": name, "p": p, "t": t, "distances": D, "expected": e}

def retrieval_cases():
    t = rng.normal(size=(12, 20))
    grid = rng.integers(-1, 2, size=(8, 6)).astype(float) + np.eye(8, 6) * .5
    return [retrieval_case("random", t + 2 * rng.normal(size=t.shape), t), retrieval_case("two", t[:2] + 1, t[:2]),
            retrieval_case("ties", grid[::-1].copy(), grid + np.arange(6) * .25)]

# ---- cells --------------------------------------------------------------------------------------
def w2(a, b):
    q = np.unique(np.r_[np.arange(1, len(a) + 1) / len(a), np.arange(1, len(b) + 1) / len(b)].round(14))
    m = np.diff(np.r_[0, q]); mid = np.r_[0, q][:-1] + m / 2
    at = lambda v: np.sort(v)[np.minimum((mid * len(v)).astype(int), len(v) - 1)]
    return np.sqrt((m * (at(a) - at(b)) ** 2).sum())

def cells_case(name, x, y):
    n, m = len(x), len(y)
    def forms(K, own):
        xy, xx, yy = K(x, y), K(x, x), K(y, y)
        u = lambda k, c: (k.sum() - c * own) / (c * (c - 1))
        return xy.mean(), (xx.mean(), yy.mean()), (u(xx, n), u(yy, m))
    a, v, u = forms(lambda a, b: cdist(a, b), 0)
    e = {"edistance_v": 2 * a - sum(v), "edistance": 2 * a - sum(u)}
    a, v, u = forms(lambda a, b: cdist(a, b, "sqeuclidean"), 0)
    e["squared_v"], e["squared"] = 2 * a - sum(v), 2 * a - sum(u)
    pooled = np.r_[x, y]
    med = np.median(cdist(pooled, pooled, "sqeuclidean")[np.triu_indices(n + m, 1)])
    a, v, u = forms(lambda a, b: rbf_kernel(a, b, gamma=1 / med), 1)
    e["median"], e["mmd_v"], e["mmd"] = med, sum(v) - 2 * a, sum(u) - 2 * a
    e["linear_v"] = ((x.mean(0) - y.mean(0)) ** 2).sum()
    e["wasserstein"] = np.mean([stats.wasserstein_distance(x[:, j], y[:, j]) for j in range(x.shape[1])])
    e["wasserstein2"] = np.mean([w2(x[:, j], y[:, j]) for j in range(x.shape[1])])
    if x.shape[1] == 1: e["scipy_energy"] = stats.energy_distance(x[:, 0], y[:, 0]) ** 2
    return {"name": name, "x": x, "y": y, "expected": e}

def cells_cases():
    return [cells_case("random", rng.normal(size=(40, 5)), rng.normal(size=(31, 5)) + .3),
            cells_case("one column", rng.normal(size=(17, 1)), rng.normal(size=(23, 1)) * 2),
            cells_case("ties", rng.integers(0, 3, (20, 3)).astype(float), rng.integers(0, 3, (12, 3)).astype(float)),
            cells_case("tiny", np.array([[0., 0], [2, 0]]), np.array([[0., 1], [2, 1], [1, 3]])),
            cells_case("constant", np.ones((6, 2)), np.ones((4, 2)) * 2)]

# Significant and called genes by Welch, BH and log2 fold changes of cells, and what is made of them
def de_case():
    n, g, cells = 7, 30, 25
    control = abs(rng.normal(size=(40, g))) + .5
    def group(size): return [np.clip(abs(rng.normal(size=(cells, g))) + .5 + size * e, 0, None) for e in effects]
    effects = rng.normal(size=(n, g)) * (rng.random((n, g)) < .4) * rng.random((n, 1))
    def test(x):
        p = stats.ttest_ind(x, control, equal_var=False).pvalue
        o = np.argsort(p); q = np.empty(g)
        q[o] = np.minimum.accumulate((p[o] * g / np.arange(1, g + 1))[::-1])[::-1]
        fold = np.log2((np.expm1(x.mean(0)) + 1e-9) / (np.expm1(control.mean(0)) + 1e-9))
        order = np.argsort(-abs(fold), kind="stable")
        return np.minimum(q, 1), fold, [j for j in order if q[j] < .05]
    real, pred = group(1), group(.7)
    T, P = [test(x) for x in real], [test(x) for x in pred]
    out = {k: [] for k in ("precision_n", "recall_sig", "jaccard_sig", "overlap_n", "ppv_3", "precision_3", "auroc_de", "ap_de", "lfc_spearman")}
    for (q, f, R), (pq, pf, Q) in zip(T, P):
        top = lambda X, k: set(X[:k])
        m, y, s = len(R), q < .05, -np.log10(np.maximum(pq, 1e-10))
        put = lambda k, v: out[k].append(v if m else NAN)
        put("precision_n", len(top(R, len(Q)) & set(Q)) / len(Q) if Q else 0)
        put("recall_sig", len(set(R) & set(Q)) / max(m, 1))
        put("jaccard_sig", len(set(R) & set(Q)) / max(len(set(R) | set(Q)), 1))
        put("overlap_n", len(set(R) & top(Q, m)) / max(m, 1))
        put("ppv_3", len(set(R) & top(Q, 3)) / 3)
        k = min(3, len(Q)); put("precision_3", len(top(R, k) & top(Q, k)) / k if k else 0)
        put("auroc_de", roc_auc_score(y, s) if 0 < m < g else NAN)
        put("ap_de", average_precision_score(y, s) if 0 < m < g else NAN)
        put("lfc_spearman", stats.spearmanr(f[R], pf[R])[0] if m > 2 else NAN)
    return {"control": control, "real": real, "pred": pred, "expected": out,
            "nsig": stats.spearmanr([len(t[2]) for t in T], [len(p[2]) for p in P])[0]}

# ---- doubles -----------------------------------------------------------------------------------------
def dcor(x, y):
    def centred(d): return d - d.mean(0) - d.mean(1)[:, None] + d.mean()
    a, b = centred(cdist(x, x)), centred(cdist(y, y))
    return np.sqrt((a * b).mean() / np.sqrt((a * a).mean() * (b * b).mean()))

def doubles_case(a, b, y):
    f = TheilSenRegressor(fit_intercept=False, max_subpopulation=1e5, max_iter=1000, random_state=0)
    f.fit(np.c_[a, b], y)
    c1, c2 = f.coef_
    ay, by = dcor(a[:, None], y[:, None]), dcor(b[:, None], y[:, None])
    return {"a": a, "b": b, "y": y, "c1": c1, "c2": c2, "fit_corr": np.corrcoef(c1 * a + c2 * b, y)[0, 1],
            "magnitude": np.hypot(c1, c2), "dominance": abs(np.log10(abs(c1 / c2))),
            "similarity": dcor(np.c_[a, b], y[:, None]), "singles": dcor(a[:, None], b[:, None]),
            "equality": min(ay, by) / max(ay, by)}

def doubles_cases():
    out = [doubles_case(np.array([1, 0, -.5, .2, .8]), np.array([0, 1, .5, -.4, .6]), np.array([1.1, .7, .1, 0, 1.5]))]
    for n in (4, 60):
        a, b = rng.normal(size=n), rng.normal(size=n)
        out.append(doubles_case(a, b, .7 * a + 1.3 * b + .2 * rng.normal(size=n)))
    a, b = rng.integers(-2, 3, 30).astype(float), rng.integers(-2, 3, 30).astype(float)  # singular pairs
    out.append(doubles_case(a, b, a + b + .1 * rng.normal(size=30)))
    return out

# Efron's local fdr with central matching, and how predicted deviations rank the calls
def null_case(name, v, level=.05, bins=120, degree=7, width=10):
    q1, med, q3 = np.quantile(v, [.25, .5, .75])
    s = (q3 - q1) / 1.349
    lo, hi = max(v.min(), med - width * s), min(v.max(), med + width * s)
    y, edges = np.histogram(v, bins, (lo, hi))
    x = (edges[1:] + edges[:-1]) / 2
    X = np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, 2 * bins + 1)[1::2], degree)
    eta = np.log(y + .5)
    for _ in range(300):
        mu = np.exp(eta); root = np.sqrt(mu)
        eta = X @ np.linalg.lstsq(root[:, None] * X, root * (eta + (y - mu) / mu), rcond=None)[0]
    c2, c1, c0 = np.polyfit(x[(x > q1) & (x < q3)] - med, eta[(x > q1) & (x < q3)], 2)
    own = np.exp(c0 + c1 * (x - med) + c2 * (x - med) ** 2)
    fdr = np.minimum(1, own / np.exp(eta))
    peak = np.argmin(abs(x - med))
    k = peak + np.argmax(fdr[peak + 1:] <= level)
    top = np.interp(-level, -fdr[k:k + 2], x[k:k + 2])
    j = peak - np.argmax(fdr[:peak][::-1] <= level)
    bottom = np.interp(level, fdr[[j - 1, j]], x[[j - 1, j]])
    return {"name": name, "v": v, "mean": med - c1 / (2 * c2), "sd": 1 / np.sqrt(-2 * c2), "lo": bottom, "hi": top,
            "share": min(1, own.sum() / np.exp(eta).sum())}

def calls_case():
    n, g = 8, 60
    a, b, e = rng.normal(size=(3, n, g))
    e *= .1; e[rng.random((n, g)) < .1] *= 12
    null = null_case("calls", e.ravel())
    is_ = (e > null["hi"]) | (e < null["lo"])
    p = e + .3 * rng.normal(size=(n, g)); p[:, :5] = 0
    prec, rec, _ = precision_recall_curve(is_.ravel(), abs(p).ravel())
    return {"a": a, "b": b, "e": e, "p": p, "hi": null["hi"], "lo": null["lo"], "count": is_.sum(),
            "auprc": average_precision_score(is_.ravel(), abs(p).ravel()),
            "tpr": [rec[:-1][1 - prec[:-1] <= q].max(initial=0) for q in (.1, .2, .5)]}

def null_cases():
    mixed = np.r_[rng.normal(size=6000) * .07 + .01, rng.normal(size=400) * .5]
    skewed = np.r_[rng.normal(size=3000), rng.exponential(size=300) * 2 + 2, -3 - rng.random(60)]
    return [null_case("mixed", mixed), null_case("skewed", skewed)]

# ---- intervals, tests ------------------------------------------------------------------------------------
def crps_case():
    mu, s, y = rng.normal(size=20), rng.random(20) + .1, rng.normal(size=20)
    z = (y - mu) / s
    value = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    by_definition = [quad(lambda x: norm.cdf(x, mu[i], s[i]) ** 2, -20, y[i])[0]
                     + quad(lambda x: (1 - norm.cdf(x, mu[i], s[i])) ** 2, y[i], 20)[0] for i in range(3)]
    levels = [.5, .8, .9, .95]
    lo = [mu - norm.ppf((1 + q) / 2) * s for q in levels]; hi = [mu + norm.ppf((1 + q) / 2) * s for q in levels]
    cover = [np.mean((y >= a) & (y <= b)) for a, b in zip(lo, hi)]
    score = [np.mean(b - a + 2 / (1 - q) * (np.maximum(a - y, 0) + np.maximum(y - b, 0))) for a, b, q in zip(lo, hi, levels)]
    return {"mu": mu, "s": s, "y": y, "crps": value, "pit": norm.cdf(z), "definition": by_definition, "coverage": cover,
            "score": score, "error": np.mean(np.abs(np.array(cover) - levels))}

def wilcoxon_cases():
    x = rng.normal(size=30) + .3
    tied = np.r_[rng.integers(-4, 6, 78), 0, 0].astype(float)
    out = []
    for d in (x, x[:6], tied):
        out.append({"d": d, "p": stats.wilcoxon(d).pvalue})
    return out

def enrichment_case():
    n, out = 200, []
    v = np.r_[rng.normal(size=150), rng.integers(-2, 3, 50)].astype(float)
    top = np.argsort(-v, kind="stable")[:30]
    for size in (5, 12, 60):
        at = np.sort(rng.choice(n, size, replace=False))
        rest = np.setdiff1d(np.arange(n), at)
        u, p = stats.mannwhitneyu(v[at], v[rest], use_continuity=False, alternative="two-sided", method="asymptotic")
        k = len(np.intersect1d(at, top))
        out.append({"at": at + 1, "auc": u / size / (n - size), "p": p, "overlap": k,
                    "hyper": stats.hypergeom.sf(k - 1, n, size, 30)})
    return {"v": v, "top": top + 1, "sets": out}

sys.stdout.write("return " + lua({"rows": rows_cases(), "classes": classes_case(), "retrieval": retrieval_cases(),
                                  "cells": cells_cases(), "doubles": doubles_cases(), "crps": crps_case(),
                                  "wilcoxon": wilcoxon_cases(), "enrichment": enrichment_case(),
                                  "nulls": null_cases(), "de": de_case(), "calls": calls_case()}) + "\n")
