# anndata's side of bench_io.lua, and libdeflate by itself: case<TAB>seconds (median of 3)<TAB>quality<TAB>peak of memory in MB.
# usage: peer_io.py FOLDER CELLS GENES; makes FOLDER/{gzip,lzf,none}_CELLSxGENES.h5ad if they are not there.
import ctypes
import os
import resource
import sys
import time
import warnings

import anndata
import h5py
import numpy as np
import scipy.sparse as sp

warnings.simplefilter("ignore")
folder, cells, genes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(folder, exist_ok=True)


def path(kind):
    return "%s/%s_%dx%d.h5ad" % (folder, kind, cells, genes)


def make():
    """log1p of counts of a gamma-Poisson model, 10 % of them not zero."""
    rng = np.random.default_rng(0)
    mean = rng.gamma(0.5, 1, genes)
    mean *= 0.125 / mean.mean()
    depth = rng.lognormal(0, 0.35, cells)
    parts = []
    for lo in range(0, cells, 2000):
        n = min(cells, lo + 2000) - lo
        c = sp.csr_matrix(rng.poisson(rng.gamma(0.8, mean[None, :] / 0.8, (n, genes)) * depth[lo:lo + n, None]).astype(np.float32))
        c.data = np.log1p(c.data * np.repeat(1e4 / np.maximum(np.asarray(c.sum(1)).ravel(), 1), np.diff(c.indptr))).astype(np.float32)
        parts.append(c)
    a = anndata.AnnData(sp.vstack(parts, "csr"), dtype=np.float32)
    for kind in ("gzip", "lzf", "none"):
        a.write_h5ad(path(kind), compression=None if kind == "none" else kind)


def median(f, runs=3):
    times = []
    for _ in range(runs):
        t = time.perf_counter()
        f()
        times.append(time.perf_counter() - t)
    return sorted(times)[runs // 2]


def raw_chunks(d):
    n = d.chunks[0]
    return [d.id.read_direct_chunk((lo,))[1] for lo in range(0, d.shape[0], n)]


def libdeflate_alone():
    """Chunks in memory inflated one after the other, into place in new memory: what no reader on one thread can beat."""
    lib = ctypes.CDLL("libdeflate.so.0")
    lib.libdeflate_alloc_decompressor.restype = ctypes.c_void_p
    z = ctypes.c_void_p(lib.libdeflate_alloc_decompressor())
    with h5py.File(path("gzip")) as f:
        parts = [(raw_chunks(f["X"][k]), f["X"][k].shape[0], f["X"][k].chunks[0] * 4) for k in ("data", "indices")]
    got = ctypes.c_size_t()
    edge = np.empty(max(p[2] for p in parts), "u1")

    def inflate():
        for chunks, n, size in parts:
            out = np.empty(4 * n, "u1")
            for i, c in enumerate(chunks):
                to = out.ctypes.data + i * size if (i + 1) * size <= 4 * n else edge.ctypes.data
                if lib.libdeflate_zlib_decompress(z, c, ctypes.c_size_t(len(c)), ctypes.c_void_p(to), ctypes.c_size_t(size), ctypes.byref(got)):
                    raise ValueError("libdeflate")

    return median(inflate, 5)


if not os.path.exists(path("none")):
    make()
print("libdeflate alone gzip\t%.6f" % libdeflate_alone(), flush=True)
for kind in ("gzip", "lzf", "none"):
    seconds = median(lambda: anndata.read_h5ad(path(kind)))
    print("read %s\t%.6f\t\t%.0f" % (kind, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), flush=True)
a = anndata.read_h5ad(path("gzip"))
out = folder + "/theirs.h5ad"
print("write gzip\t%.6f" % median(lambda: a.write_h5ad(out, compression="gzip"), 1), flush=True)
print("size gzip\t1\t%.3f" % (os.path.getsize(out) / 1e6), flush=True)
os.remove(out)
