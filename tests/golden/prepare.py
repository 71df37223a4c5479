# Golden numbers of tests/lua/prepare_spec.lua: the published formulas in numpy (as scanpy defines them; what
# scanpy itself computes is in from_scanpy.py).
import numpy as np
n, g = 40, 60
i, j = np.meshgrid(np.arange(n), np.arange(g), indexing="ij")
C = ((i * 7 + j * j * 3 + i * j) % (j % 11 + 2) * ((i + j) % 3 > 0)).astype(float)
C[:, 5] = 0
C[:, 6] = 4
def norm(C):
    s = C.sum(1); f = np.where(s > 0, 1e4 / np.where(s > 0, s, 1), 1); return C * f[:, None]
X = np.log1p(norm(C).astype("f4"))
def cut(v, edges):
    return np.minimum(np.searchsorted(edges, v, side="left"), len(edges) - 1)
def seurat(X, bins=20):
    Y = np.expm1(X.astype("f8")); m = Y.mean(0); v = Y.var(0, ddof=1)
    m[m == 0] = 1e-12; d = v / m; d[d == 0] = np.nan; d = np.log(d); m = np.log1p(m)
    e = np.linspace(m.min(), m.max(), bins + 1)[1:]; b = cut(m, e); s = np.full(g, np.nan)
    for k in set(b):
        w = b == k; x = d[w][~np.isnan(d[w])]
        if len(x) == 0: continue
        if len(x) == 1: mu, sd = 0, x[0]
        else: mu, sd = x.mean(), x.std(ddof=1)
        s[w] = (d[w] - mu) / sd
    return s
def cell_ranger(X):
    m = X.astype("f8").mean(0); v = X.astype("f8").var(0, ddof=1); m[m == 0] = 1e-12; d = v / m
    e = np.unique(np.percentile(m, np.arange(10, 105, 5))); b = cut(m, np.r_[e, np.inf]); s = np.zeros(g)
    for k in set(b):
        w = b == k; med = np.median(d[w]); mad = np.median(abs(d[w] - med)) / 0.6744897501960817
        with np.errstate(all="ignore"): s[w] = (d[w] - med) / mad
    return s
def show(s): return [float("%.12g" % s[k]) for k in (0, 3, 10, 33, 59)]
print("seurat", show(seurat(X))); print("cell_ranger", show(cell_ranger(X)))
P = X.astype("f8"); P = P - P.mean(0); w = np.linalg.svd(P, compute_uv=False) ** 2 / (n - 1)
print("pca", [float("%.12g" % t) for t in w[:3]])
