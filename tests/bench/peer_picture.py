"""scikit-learn's t-SNE of the vectors x of an .npz, and the exact divergence of its picture and of ours (y)."""
import os
import sys
import time

import numpy as np
from sklearn.manifold import TSNE, trustworthiness
from sklearn.manifold._t_sne import _joint_probabilities_nn
from sklearn.neighbors import NearestNeighbors

threads = int(os.environ["OMP_NUM_THREADS"])
data = np.load(sys.argv[1])
x, ours = data["x"].astype(np.float32), data["y"]

start = time.time()
y = TSNE(init="pca", learning_rate="auto", n_jobs=threads).fit_transform(x)
seconds = time.time() - start

near = NearestNeighbors(n_neighbors=91).fit(x).kneighbors_graph(mode="distance")
near.data **= 2
p = _joint_probabilities_nn(near, 30, 0).tocoo()


def divergence(y):
    total = 0.0
    for lo in range(0, len(y), 500):
        d = ((y[lo:lo + 500, None, :] - y[None, :, :]) ** 2).sum(-1)
        total += (1 / (1 + d)).sum()
    total -= len(y)
    q = 1 / (1 + ((y[p.row] - y[p.col]) ** 2).sum(-1)) / total
    some = p.data > 0
    return (p.data[some] * np.log(p.data[some] / q[some])).sum()


rows = np.arange(min(len(x), 3000))
print("t-SNE divergence\t%g\t%g" % (seconds, divergence(y.astype(float))))
print("our divergence\t0\t%g" % divergence(ours))
print("t-SNE trustworthiness\t0\t%g" % trustworthiness(x[rows], y[rows], n_neighbors=10))
