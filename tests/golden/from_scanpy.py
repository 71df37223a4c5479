# Golden numbers of tests/lua/prepare_spec.lua, computed by scanpy itself (1.11.5, scikit-misc 0.5.3, numpy 2.x):
#     python3 tests/golden/from_scanpy.py > tests/golden/scanpy.lua
# The counts are those of the spec: 120 cells x 90 genes with ties, an empty gene and a constant one.
import sys
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse
from skmisc.loess import loess

warnings.filterwarnings("ignore")
N, G = 120, 90
i, j = np.meshgrid(np.arange(N), np.arange(G), indexing="ij")
V = (i * i * 31 + j * j * 17 + i * j * 7) % 101
C = (V % (j % 17 + 2) * (V < 10 + j * 13 % 60)).astype("f4")
C[:, 5] = 0
C[:, 6] = 4
labels = np.where(i[:, 0] % 4 == 0, "control", np.where(i[:, 0] % 4 == 1, "A", np.where(i[:, 0] % 4 == 2, "B", "C")))


def data(x):
    a = ad.AnnData(sparse.csr_matrix(x.astype("f8")), obs=pd.DataFrame({"p": pd.Categorical(labels)}, index=list(map(str, range(N)))))
    a.var_names = ["g%d" % k for k in range(1, G + 1)]
    return a


def put(name, values):
    print("  %s = { %s }," % (name, ", ".join("0 / 0" if v != v else "%.15g" % v for v in np.asarray(values, "f8").ravel())))


def chosen(name, mask):
    put(name, np.flatnonzero(np.asarray(mask)) + 1)


print("-- Made by tests/golden/from_scanpy.py; see there.\nreturn {")
raw = data(C)
half = data(C)
sc.pp.normalize_total(half)
put("median_total", half.X.toarray()[7])
log = data(C)
sc.pp.normalize_total(log, target_sum=1e4)
sc.pp.log1p(log)
put("log_cell", log.X.toarray()[7])
for flavor in ("seurat", "cell_ranger"):
    h = sc.pp.highly_variable_genes(log, flavor=flavor, n_top_genes=20, inplace=False)
    put(flavor + "_score", h["dispersions_norm"])
    chosen(flavor + "_top", h["highly_variable"])
h = sc.pp.highly_variable_genes(log, flavor="seurat", inplace=False, max_mean=8)
chosen("seurat_bounds", h["highly_variable"])
h = sc.pp.highly_variable_genes(raw, flavor="seurat_v3", n_top_genes=20, inplace=False)
put("v3_score", h["variances_norm"])
chosen("v3_top", h["highly_variable"])
f = data(C)
put("genes_kept", [sc.pp.filter_genes(f, min_cells=30, inplace=False)[0].sum()])
put("cells_kept", [sc.pp.filter_cells(f, min_genes=36, inplace=False)[0].sum()])
sc.pp.pca(log, n_comps=4, svd_solver="arpack")
put("pca_variance", log.uns["pca"]["variance"])
put("pca_share", log.uns["pca"]["variance_ratio"])
for test, name, more in (("t-test", "welch", {}), ("t-test_overestim_var", "overestim", {}), ("wilcoxon", "wilcoxon", {}),
                         ("wilcoxon", "ties", {"tie_correct": True})):
    sc.tl.rank_genes_groups(log, "p", reference="control", groups=["B"], method=test, **more)
    t = sc.get.rank_genes_groups_df(log, "B").set_index("names").loc[log.var_names]
    put(name + "_score", t["scores"])
    put(name + "_p", t["pvals"])
    put(name + "_q", t["pvals_adj"])
put("log2fc", t["logfoldchanges"])
x = np.sort(np.round(np.sin(np.arange(60) * 1.7) * 3, 1))
y = np.cos(x) + 0.1 * np.sin(np.arange(60) * 5.1)
m = loess(x, y, span=0.3, degree=2)
m.fit()
put("loess_x", x)
put("loess_y", y)
put("loess_fit", m.outputs.fitted_values)
print("}")
