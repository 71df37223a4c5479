# Golden numbers of tests/lua/array_spec.lua: python3 tests/golden/tensor.py > tests/golden/tensor.lua (NumPy 1.24).
import numpy as np

def lua(x):
    x = np.asarray(x, dtype=float)
    if x.ndim == 0:
        v = float(x)
        return "0 / 0" if v != v else ("1 / 0" if v > 0 else "-1 / 0") if abs(v) == np.inf else repr(v)
    return "{ " + ", ".join(lua(v) for v in x) + " }"

i = np.arange(24, dtype=float)
a = (np.sin(1.7 * i) * 3).reshape(2, 3, 4)
m = (np.cos(2.3 * np.arange(20) + 0.1 * np.arange(20) ** 2) * 2).reshape(5, 4)
sq = np.cos(np.arange(16) * 1.3 + 0.1 * np.arange(16) ** 2).reshape(4, 4)
d = np.array([3, 1, 2, 3, 1, 1, np.nan, 0, np.nan])
low = m[:, :2] @ m[:2, :]
out = {"a": a, "m": m, "sq": sq, "d": d, "low": low}
for k in (1, 2, 3):
    ax = k - 1
    out[f"std{k}"] = a.std(axis=ax, ddof=1)
    out[f"prod{k}"] = a.prod(axis=ax)
    out[f"logsumexp{k}"] = np.log(np.exp(a).sum(axis=ax))
    out[f"cumsum{k}"] = a.cumsum(axis=ax)
    out[f"sort{k}"] = np.sort(a, axis=ax)
    out[f"argsort{k}"] = np.argsort(a, axis=ax, kind="stable") + 1
    out[f"median{k}"] = np.median(a, axis=ax)
    out[f"quantile{k}"] = np.quantile(a, [0.1, 0.35, 1.0], axis=ax)
    out[f"max{k}"] = a.max(axis=ax)
    out[f"argmax{k}"] = a.argmax(axis=ax) + 1
    out[f"gather{k}"] = np.take_along_axis(a, np.argsort(a, axis=ax), axis=ax)
out["unique"] = np.unique(d[~np.isnan(d)])
out["permute"] = a.transpose(2, 0, 1)
out["einsum_bij"] = np.einsum("bij,bkj->bik", a, a)
out["einsum_three"] = np.einsum("ij,kj,kl->il", m, m, m)
out["einsum_mixed"] = np.einsum("bij,ik->kb", a, m[:3])
out["trace_like"] = np.einsum("ij,ij->", m, m)
out["pinv"] = np.linalg.pinv(m)
out["pinv_low"] = np.linalg.pinv(low, rcond=1e-12)
out["lstsq"] = np.linalg.lstsq(m, np.arange(5.0), rcond=None)[0]
out["lstsq_wide"] = np.linalg.lstsq(m.T, np.arange(4.0), rcond=None)[0]
w, v = np.linalg.eig(3 * sq)
out["expm"] = ((v * np.exp(w)) @ np.linalg.inv(v)).real
out["eig_re"], out["eig_im"] = np.sort(w.real), np.sort(w.imag)
out["var_columns"] = np.where(m > 0, m, 0).var(axis=0, ddof=1)
out["mean_rows"] = np.where(m > 0, m, 0).mean(axis=1)
print("-- Made by tests/golden/tensor.py with NumPy " + np.__version__ + "; do not edit.")
print("return {")
for k in sorted(out):
    print(f"  {k} = {lua(out[k])},")
print("}")
