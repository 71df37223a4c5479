#!/usr/bin/python3
"""Peers of bench_embed.lua: SciPy's ARPACK on the normalised adjacency of an edge list, scikit-learn's brute-force
neighbours, and its TF-IDF with truncated SVD. usage: peer_embed.py spectral EDGES | knn N | text FILE
Prints "case<TAB>seconds[<TAB>quality]": the largest residual of unit vectors and their
Rayleigh quotients, in double; or nothing."""
import gzip
import sys
import time

import numpy as np


def spectral(path):
    import scipy.sparse as sp
    from scipy.sparse.linalg import eigsh

    ends = np.loadtxt(path, dtype=np.int64)
    _, ends = np.unique(ends, return_inverse=True)
    ends = ends.reshape(-1, 2)
    n = ends.max() + 1
    a = sp.coo_matrix((np.ones(len(ends)), ends.T), shape=(n, n))
    a = ((a + a.T) > 0).astype(float).tocsr()
    scale = sp.diags(1 / np.sqrt(np.asarray(a.sum(1)).ravel()))
    s = (scale @ a @ scale).tocsr()
    for k in (64, 128):
        f = s.astype(np.float32)
        for name, matrix, tol in (("float", f, 1e-3), ("float", f, 1e-4), ("double", s, 1e-3)):
            times = []
            while len(times) < 5 and sum(times) < 8:
                start = time.time()
                _, v = eigsh(matrix, k=k + 1, which="LA", tol=tol)
                times.append(time.time() - start)
            v = v.astype(float)
            v /= np.linalg.norm(v, axis=0)
            sv = s @ v
            residual = np.linalg.norm(sv - v * (v * sv).sum(0), axis=0).max()
            print(f"{name} tol={tol:g} k={k}\t{np.median(times):.4f}\t{residual:.3g}", flush=True)



def knn(n):
    from sklearn.neighbors import NearestNeighbors

    x = np.random.default_rng(0).standard_normal((int(n), 512)).astype(np.float32)
    for metric in ("cosine", "euclidean"):
        start = time.time()
        NearestNeighbors(n_neighbors=51, algorithm="brute", metric=metric).fit(x).kneighbors(x)
        print(f"knn {metric}\t{time.time() - start:.4f}", flush=True)


def text(path):
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [line.rstrip("\n").split("\t")[-1] for line in gzip.open(path, "rt")][1:]
    start = time.time()
    m = TfidfVectorizer(stop_words="english", min_df=3, max_df=0.2, sublinear_tf=True).fit_transform(texts)
    TruncatedSVD(256, random_state=0).fit_transform(m)
    print(f"text\t{time.time() - start:.4f}", flush=True)


{"spectral": spectral, "knn": knn, "text": text}[sys.argv[1]](sys.argv[2])
