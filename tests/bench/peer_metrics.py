# SciPy's, NumPy's and scikit-learn's side of bench_metrics.lua: case<TAB>seconds (median of 3).
import time
import warnings
import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist
from sklearn.linear_model import TheilSenRegressor
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel

warnings.filterwarnings("ignore")

def measure(case, f):
    times = []
    for _ in range(3):
        t = time.perf_counter()
        f()
        times.append(time.perf_counter() - t)
    print(f"{case}\t{sorted(times)[1]:.9f}", flush=True)

rng = np.random.default_rng(1)
p, t = rng.standard_normal((250, 5000)), rng.standard_normal((250, 5000))
each = lambda f: [f(a, b) for a, b in zip(p, t)]
measure("pearson 250x5000", lambda: each(lambda a, b: stats.pearsonr(a, b)[0]))
measure("spearman 250x5000", lambda: each(lambda a, b: stats.spearmanr(a, b)[0]))
measure("r2 250x5000", lambda: each(lambda a, b: r2_score(b, a)))
measure("mae 250x5000", lambda: each(mean_absolute_error))
measure("distances 250x250x5000", lambda: cdist(p, t))
s, y = rng.standard_normal((250, 1000)), rng.random((250, 1000)) > .7
measure("auroc 250x1000", lambda: [roc_auc_score(y[:, j], s[:, j]) for j in range(1000)])
a, b = rng.standard_normal((300, 50)), rng.standard_normal((300, 50))
def edistance():
    u = lambda x: 2 * pdist(x).sum() / len(x) / (len(x) - 1)
    return 2 * cdist(a, b).mean() - u(a) - u(b)
measure("edistance 300+300x50", edistance)
def mmd():
    g = 1 / np.median(pdist(np.r_[a, b], "sqeuclidean"))
    return rbf_kernel(a, a, g).mean() + rbf_kernel(b, b, g).mean() - 2 * rbf_kernel(a, b, g).mean()
measure("mmd 300+300x50", mmd)
u, v, w = rng.standard_normal((3, 400))
measure("theil_sen 400 genes", lambda: TheilSenRegressor(fit_intercept=False, max_subpopulation=1e5, max_iter=1000).fit(
    np.c_[u, v], u + v + .3 * w))
m = rng.standard_normal((1000, 2))
def dcor():
    def centred(x):
        d = cdist(x, x)
        return d - d.mean(0) - d.mean(1)[:, None] + d.mean()
    x, z = centred(m), centred(2 * m)
    return np.sqrt((x * z).mean() / np.sqrt((x * x).mean() * (z * z).mean()))
measure("dcor 1000 genes", dcor)
