# NumPy's side of bench_tensor.lua: case<TAB>seconds (median of 7). OMP_NUM_THREADS and OPENBLAS_NUM_THREADS are honoured.
import sys
import time
import numpy as np

def measure(f, seconds=0.1):
    f()
    times = []
    for _ in range(7):
        t, n = time.perf_counter(), 0
        while True:
            f()
            n += 1
            d = time.perf_counter() - t
            if d > seconds / 7:
                break
        times.append(d / n)
    return sorted(times)[3]

rng = np.random.default_rng(1)
for dtype, kind in ((np.float32, "float"), (np.float64, "double")):
    for n in [int(float(v)) for v in sys.argv[1].split(",")]:
        if n > 1e7 and kind == "double":
            continue
        a = rng.standard_normal(n).astype(dtype)
        b = rng.standard_normal(n).astype(dtype)
        m, row = a[: n // 100 * 100].reshape(-1, 100), b[:100].copy()
        idx = rng.permutation(n)
        for name, f in (
            ("add", lambda: a + b), ("exp", lambda: np.exp(a)), ("tanh", lambda: np.tanh(a)), ("sqrt", lambda: np.sqrt(np.abs(a))),
            ("add_row", lambda: m + row), ("where", lambda: np.where(a > 0, a, b)),
            ("sum", lambda: a.sum()), ("sum_rows", lambda: m.sum(1)), ("sum_cols", lambda: m.sum(0)), ("var", lambda: a.var()),
            ("max", lambda: a.max()), ("argmax", lambda: a.argmax()), ("max_cols", lambda: m.max(0)), ("std_cols", lambda: m.std(0)),
            ("cumsum", lambda: a.cumsum()), ("sort", lambda: np.sort(a)), ("argsort", lambda: np.argsort(a)),
            ("median", lambda: np.median(a)), ("gather", lambda: a[idx]),
        ):
            if n > 1e7 and name in ("sort", "argsort", "median"):
                continue
            print(f"{name}_{kind} n={n}\t{measure(f):.9f}", flush=True)
    for n in (256, 1024, 2048, 4096):
        a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
        print(f"gemm_{kind} n={n}\t{measure(lambda: a @ b, 0.5):.9f}", flush=True)
one, two = np.ones(1, np.float32), np.ones(1, np.float32)


def thousand():
    for _ in range(1000):
        one + two


print(f"small_add_float n=1\t{measure(thousand):.9f}", flush=True)
