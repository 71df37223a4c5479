# A large file, written some cells at a time: CELLS x GENES counts, DENSITY of them not zero, PERTURBED genes perturbed and
# every tenth cell a control. usage: make_large.py FILE [CELLS GENES DENSITY PERTURBED]
import sys

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

path = sys.argv[1]
cells, genes, density, perturbed = (float(v) if "." in v else int(v) for v in (sys.argv[2:] + ["1000000", "5000", "0.05", "200"][len(sys.argv) - 2:]))
STEP = 20000
rng = np.random.default_rng(0)
who = np.where(rng.random(cells) < 0.1, "control", np.char.add("G", rng.integers(1, perturbed + 1, cells).astype(str)))
obs = pd.DataFrame({"condition": pd.Categorical(who)}, index=["c%d" % i for i in range(cells)])
anndata.AnnData(sp.csr_matrix((cells, genes), dtype=np.float32), obs=obs, dtype=np.float32,
                var=pd.DataFrame(index=["G%d" % (i + 1) for i in range(genes)])).write_h5ad(path)
with h5py.File(path, "r+") as f:
    x = f["X"]
    for name in ("data", "indices", "indptr"):
        del x[name]
    options = dict(shape=(0,), maxshape=(None,), chunks=(65536,), compression="gzip", compression_opts=1, shuffle=True)
    data, indices = x.create_dataset("data", dtype="f4", **options), x.create_dataset("indices", dtype="i4", **options)
    indptr = [np.zeros(1, np.int64)]
    p = density * 2 * rng.random(genes).astype(np.float32)
    for lo in range(0, cells, STEP):
        n = min(STEP, cells - lo)
        # places by gaps of a geometric law of the largest p, thinned to each gene's own: a Bernoulli draw for every entry
        at = np.cumsum(rng.geometric(2 * density, int(n * genes * 2 * density * 1.02) + 1000)) - 1
        at = at[at < n * genes]
        at = at[rng.random(len(at), dtype=np.float32) * 2 * density < p[at % genes]]
        end = data.shape[0]
        for d, v in ((data, rng.geometric(0.6, len(at)).astype("f4")), (indices, (at % genes).astype("i4"))):
            d.resize((end + len(at),))
            d[end:] = v
        indptr.append(end + np.searchsorted(at, np.arange(1, n + 1) * genes))
    x.create_dataset("indptr", data=np.concatenate(indptr).astype(np.int64))
    print("%d entries, %.3f" % (data.shape[0], data.shape[0] / cells / genes))
