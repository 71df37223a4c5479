# Golden numbers of tests/lua/spectral_spec.lua: /usr/bin/python3 tests/golden/spectral.py > tests/golden/spectral.lua
# (NetworkX 2.8, SciPy 1.10): two known networks, a signed one, one in two pieces, and one too large for dense solvers.
import networkx as nx
import numpy as np
import scipy
from scipy.sparse.linalg import eigsh

def lua(x):
    if isinstance(x, dict):
        return "{ " + ", ".join(f"{k} = {lua(v)}" for k, v in x.items()) + " }"
    if isinstance(x, str):
        return f'"{x}"'
    return "{ " + ", ".join(repr(float(v)) for v in x) + " }"

def edges(g):
    return " ".join(f"{u},{v},{d.get('weight', 1)}" for u, v, d in g.edges(data=True))

def signed(g):
    a = nx.to_numpy_array(g)
    d = 1 / np.sqrt(abs(a).sum(1))
    return np.linalg.eigvalsh(np.eye(len(a)) - d[:, None] * a * d)

def case(g):
    adjacency = np.linalg.eigvalsh(nx.to_numpy_array(g))[::-1]
    return {"edges": edges(g), "laplacian": signed(g)[:12], "adjacency": adjacency[:12]}

karate = nx.karate_club_graph()
lesmis = nx.convert_node_labels_to_integers(nx.les_miserables_graph())
rng = np.random.default_rng(1)
pm = nx.gnm_random_graph(60, 180, seed=2)
for u, v in pm.edges():
    pm[u][v]["weight"] = int(rng.choice([-2, -1, 1, 3]))
pieces = nx.disjoint_union(nx.gnm_random_graph(20, 60, seed=4), nx.cycle_graph(9))
out = {"karate": case(karate), "lesmis": case(lesmis), "signed": case(pm), "pieces": case(pieces)}

# The ladder with n rungs and chords, made again by the spec: no edges need be stored.
n = 1500
big = nx.Graph()
for i in range(n):
    big.add_edge(i, (i + 1) % n, weight=1 + i % 3)
    big.add_edge(i, (i * i + 7) % n, weight=2) if i != (i * i + 7) % n else None
a = nx.to_scipy_sparse_array(big, nodelist=range(n), format="csr", dtype=float)
d = 1 / np.sqrt(a.sum(1))
s = scipy.sparse.diags(d) @ a @ scipy.sparse.diags(d)
out["big"] = {"laplacian": 1 - np.sort(eigsh(s, k=30, which="LA", tol=1e-13)[0])[::-1],
              "adjacency": np.sort(eigsh(a, k=30, which="LA", tol=1e-13)[0])[::-1]}
print(f"-- Made by tests/golden/spectral.py with NetworkX {nx.__version__} and SciPy {scipy.__version__}; do not edit.")
print("return {")
for key in sorted(out):
    print(f"  {key} = {lua(out[key])},")
print("}")
