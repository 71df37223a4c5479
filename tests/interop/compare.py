#!/usr/bin/python3
"""Our reader against anndata 0.8, and anndata against our writer. For the tests only.

    compare.py [PROGRAM]      PROGRAM runs Lua scripts (default build/dynamo); from the root of the tree
"""
import os
import subprocess
import sys
import tempfile
import warnings

try:
    import anndata
    import h5py
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp
except ImportError as e:
    print("# skip: %s (apt-get install python3-anndata)" % e)
    print("0 passed, 0 failed")
    sys.exit(0)

warnings.simplefilter("ignore")
PROGRAM = (sys.argv[1:] or ["build/dynamo"])[0]
DATA = os.environ.get("DYNAMO_TEST_DATA", "../shared/data")
HERE = os.path.dirname(os.path.abspath(__file__))
passed = failed = 0


def ok(good, what, why=""):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    print("%sok - %s" % ("" if good else "not ", what))
    if not good and why:
        print("# " + str(why).replace("\n", "\n# "))


def run(script, *args):
    subprocess.run([PROGRAM, os.path.join(HERE, script), *args], check=True)


def text(v):
    return v.decode() if isinstance(v, bytes) else str(v)


def dense(x):
    x = x.toarray() if sp.issparse(x) else np.asarray(x)
    return x.astype(np.float32)


def same_numbers(ours, theirs):
    """Exactly, but for repeats of a place, which others add in another order."""
    repeats = sp.issparse(theirs) and not theirs.has_canonical_format
    theirs = dense(theirs).reshape(ours.shape)
    if repeats:
        return np.allclose(ours, theirs, rtol=1e-6, atol=0, equal_nan=True)
    return ours.shape == theirs.shape and np.array_equal(ours, theirs, equal_nan=True)


def same_column(at, theirs):
    kind = text(at["kind"][()])
    if kind == "text":
        got = [text(v) for v in at["text"][()]]
        want = ["<missing>" if pd.isna(v) else v for v in theirs]
        return all(g == str(w) or (not isinstance(w, str) and float(g) == float(w)) for g, w in zip(got, want)), (got[:9], want[:9])
    if kind == "other":
        return True, ""
    got = at["value"][()]
    want = pd.array(theirs).astype("Float64" if pd.api.types.is_extension_array_dtype(theirs) else float)
    want = np.array([np.nan if pd.isna(v) else float(v) for v in want])
    is_bool = pd.api.types.is_bool_dtype(theirs)
    return np.array_equal(got, want, equal_nan=True) and (kind == "boolean") == is_bool, (kind, theirs.dtype, got[:9], want[:9])


def columns(f, axis):
    return [f[axis][k] for k in sorted(f[axis]) if k != "names" and k.isdigit()]


def compare_frame(f, axis, frame):
    names = [text(v) for v in f[axis]["names"][()]]
    if names != list(map(str, frame.index)):
        return "%s names: %s, expected %s" % (axis, names[:5], list(frame.index[:5]))
    cols = columns(f, axis)
    got = [text(c["name"][()]) for c in cols]
    if got != list(map(str, frame.columns)):
        return "%s columns: %s, expected %s" % (axis, got, list(frame.columns))
    for c, name in zip(cols, frame.columns):
        good, why = same_column(c, frame[name])
        if not good:
            return "%s column %s: %s" % (axis, name, why)
    return ""


def compare(f, a):
    """What is wrong with our view f (h5py) of a (AnnData), or ''."""
    if "error" in f:
        return text(f["error"][()])
    why = compare_frame(f, "obs", a.obs) or compare_frame(f, "var", a.var)
    if why:
        return why
    if not same_numbers(f["X"][()], a.X):
        return "X differs"
    if sp.issparse(a.X) != (text(f["X_is"][()]) == "sparse"):
        return "X: sparse or not?"
    if a.raw is not None:
        why = compare_frame(f, "raw", a.raw.var)
        if why or not same_numbers(f["raw/X"][()], a.raw.X):
            return why or "raw/X differs"
    layers = [text(v) for v in f["layers"][()]]
    if layers != sorted(a.layers):
        return "layers %s, expected %s" % (layers, sorted(a.layers))
    for i, name in enumerate(layers):
        if not same_numbers(f["layer/%03d" % (i + 1)][()], a.layers[name]):
            return "layer %s differs" % name
    for i, v in enumerate(f["obsm"][()]):
        key = "obsm_/%03d" % (i + 1)
        value = a.obsm[text(v)]
        if isinstance(value, pd.DataFrame):
            if key in f:
                return "obsm %s: a data frame was read as a matrix" % text(v)
        elif key not in f or not same_numbers(f[key][()], value):
            return "obsm %s differs" % text(v)
    x = dense(a.X)
    fin = x[np.isfinite(x)]
    want = (x.size - fin.size, bool((fin == np.floor(fin)).all()), bool((fin < 0).any()))
    got = text(f["X_info"][()]).split()
    if (int(got[0]), got[1] == "true", got[2] == "true") != want:
        return "info %s, expected %s" % (got, want)
    return ""


def tenx(path):
    """A 10x file as AnnData, by hand."""
    with h5py.File(path) as f:
        new = "matrix" in f
        g = f["matrix"] if new else f[list(f)[0]]
        shape = g["shape"][()]
        x = sp.csc_matrix((g["data"][()], g["indices"][()], g["indptr"][()]), shape=shape).T.tocsr()
        s = lambda k: [text(v) for v in g[k][()]]
        if not new:
            return anndata.AnnData(x, dtype=np.float32, obs=pd.DataFrame(index=s("barcodes")),
                                   var=pd.DataFrame({"gene_ids": s("genes")}, index=s("gene_names")))
        cols = {"feature_type": "feature_types", "id": "gene_ids"}
        keep = [k for k in sorted(g["features"]) if k != "name" and not k.startswith("_")]
        var = pd.DataFrame({cols.get(k, k): s("features/" + k) for k in keep}, index=s("features/name"))
        return anndata.AnnData(x, dtype=np.float32, obs=pd.DataFrame(index=s("barcodes")), var=var)


def read_all(paths, where):
    run("dump.lua", where + "/dump", *paths)
    for i, p in enumerate(paths):
        with h5py.File("%s/dump.%d" % (where, i + 1)) as f:
            yield p, f


def corpus(where):
    folder = DATA + "/h5ad_corpus"
    if not os.path.isdir(folder):
        print("# skip the corpus: no folder " + folder)
        return
    paths = [os.path.join(folder, p) for p in sorted(os.listdir(folder))]
    paths += [DATA + "/cells/norman_mcfaline_500genes.h5ad", DATA + "/responses/replogle_ranks.h5ad"]
    for p, f in read_all(paths, where):
        why = compare(f, anndata.read_h5ad(p) if p.endswith(".h5ad") else tenx(p))
        ok(not why, "reads " + os.path.basename(p), why)


def example(n=6, m=4):
    x = sp.random(n, m, 0.5, format="csr", dtype=np.float32, random_state=0)
    part = lambda v: (v * (n // len(v) + 1))[:n]
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(part(["ctrl", "KLF1+ctrl", "KLF1+GATA1", "ctrl", "GATA1+ctrl", None])),
            "phase": pd.Categorical(part(["G1", "S", "G2M"]), ["G1", "S", "G2M"], ordered=True),
            "batch": pd.Categorical(part([3, 1, 2])),
            "dose": pd.Categorical(part([0.5, 0.1, 1e-9])),
            "n_counts": np.arange(n),
            "u8": np.arange(n).astype("u1"),
            "f4": np.linspace(0, 1, n).astype("f4"),
            "is_control": np.array(part([True, False])),
            "nullable_int": pd.array(part([1, None, 3]), dtype="Int64"),
            "nullable_bool": pd.array(part([True, None, False]), dtype="boolean"),
        },
        index=["cell%d" % i for i in range(n)],
    )
    obs["nan"] = np.nan
    obs["text é"] = [str(i % 300) for i in range(n)]
    var = pd.DataFrame({"gene_name": ["g%d" % i for i in range(m)]}, index=["ENSG%011d" % i for i in range(m)])
    a = anndata.AnnData(x, obs=obs, var=var, dtype=np.float32)
    a.raw = a
    a.layers["counts"] = sp.csc_matrix(x)
    a.layers["half"] = x.toarray().astype("f2")
    a.layers["big_endian"] = x.toarray().astype(">f8")
    a.layers["flag"] = x.toarray() > 0.5
    a.layers["int"] = sp.csr_matrix((x > 0.5).astype("i8"))
    a.obsm["X_pca"] = np.arange(2.0 * n).reshape(n, 2)
    a.obsm["frame"] = pd.DataFrame({"a": np.arange(n)}, index=obs.index)
    a.obsp["graph"] = sp.eye(n).tocsr()
    a.uns["params"] = {"k": 3, "name": "x", "flag": True, "list": ["a", "b"], "f": 1.5}
    a.uns["records"] = np.array([(1, "a"), (2, "b")], dtype=[("i", "i4"), ("s", "U5")])
    return a


def disordered(a):
    """The same with columns of each row backwards, and one value split in two."""
    x = a.X.tocsr()
    for i in range(x.shape[0]):
        s = slice(x.indptr[i], x.indptr[i + 1])
        x.indices[s], x.data[s] = x.indices[s][::-1].copy(), x.data[s][::-1].copy()
    coo = x.tocoo()
    data = np.concatenate([coo.data / 2, coo.data / 2])
    y = sp.csr_matrix(x.shape, dtype=np.float32)
    order = np.argsort(np.tile(coo.row, 2), kind="stable")
    y.indices, y.data = np.tile(coo.col, 2)[order].astype("i4"), data[order].astype("f4")
    y.indptr = (2 * x.indptr).astype("i4")
    b = a.copy()
    b.X = y
    return b


def encodings(where):
    small, large = example(), example(1500, 300)
    files = {"all": (small, {}), "gzip": (large, {"compression": "gzip"}), "lzf": (large, {"compression": "lzf"}),
             "large": (large, {}), "disordered": (disordered(large), {"compression": "gzip"})}
    for name, fn in (("csc", sp.csc_matrix), ("dense", lambda x: x.toarray())):
        b = large.copy()
        b.X = fn(b.X)
        files[name] = (b, {"compression": "gzip"} if name == "dense" else {})
    one = small[:1].copy()
    files["one"] = (one, {})
    empty = anndata.AnnData(np.zeros((3, 2), "f4"), dtype=np.float32)
    files["bare"] = (empty, {})
    for name, (a, how) in files.items():
        a.write_h5ad("%s/%s.h5ad" % (where, name), **how)
    paths = ["%s/%s.h5ad" % (where, name) for name in files]
    for p, f in read_all(paths, where):
        why = compare(f, anndata.read_h5ad(p))
        ok(not why, "reads what anndata wrote: " + os.path.basename(p), why)
    indices64(large, where)


def grid(where):
    """Every form of X and layers in every type and packing; big enough that our own decoders read them."""
    rng = np.random.default_rng(1)
    x = sp.random(400, 251, 0.4, format="csr", dtype=np.float64, random_state=1)
    x.data = rng.normal(0, 3, x.nnz)
    obs = pd.DataFrame({"label": pd.Categorical(rng.choice(["a", "b", "ctrl"], 400))}, index=["c%d" % i for i in range(400)])
    var = pd.DataFrame({"kind": pd.Categorical(rng.choice(["p", "q"], 251), ["q", "p"], ordered=True),
                        "long": pd.array(rng.integers(0, 9, 251), dtype="Int64")}, index=["g%d" % i for i in range(251)])
    paths = []
    for form, shape in (("dense", lambda v: v.toarray()), ("csr", sp.csr_matrix), ("csc", sp.csc_matrix)):
        for dtype in ("f4", "f8", "i4", "i8", "u1", "i2", "f2", "?"):
            if dtype == "f2" and form != "dense":
                continue
            v = shape(abs(x).astype("u1" if dtype == "?" else dtype) if dtype in "u1?" else x.astype(dtype if dtype != "f2" else "f4"))
            if dtype in ("f2", "?"):
                v = v.astype(dtype)
            for packing in ("gzip", "lzf", None):
                a = anndata.AnnData(shape(x.astype("f4")), obs=obs, var=var, dtype=np.float32)
                a.layers["v"] = v
                if dtype not in ("f2", "?"):
                    a.X = v
                a.varm["PCs"] = rng.normal(size=(251, 3))
                a.obsm["X_umap"] = rng.normal(size=(400, 2)).astype("f4")
                paths.append("%s/%s_%s_%s.h5ad" % (where, form, "bool" if dtype == "?" else dtype, packing))
                a.write_h5ad(paths[-1], compression=packing)
    wrong = []
    for p, f in read_all(paths, where):
        why = compare(f, anndata.read_h5ad(p))
        wrong += ["%s: %s" % (os.path.basename(p), why)] if why else []
    ok(not wrong, "reads X and layers, %d forms, types and packings, exactly" % len(paths), "\n".join(wrong))


def tenx_and_loom(where):
    """10x of both generations and loom, as their programs lay them out: equal to the matrix they came from."""
    rng = np.random.default_rng(2)
    x = sp.random(70, 40, 0.2, format="csr", random_state=2, data_rvs=lambda n: rng.integers(1, 50, n)).astype("i4")
    cells, genes = ["C%d-1" % i for i in range(70)], ["G%d" % i for i in range(40)]
    ids = ["ENSG%011d" % i for i in range(40)]
    fixed = lambda v: np.array(v, "S20")
    with h5py.File(where + "/v3.h5", "w") as f:
        m = f.create_group("matrix")
        for k, v in (("data", x.data), ("indices", x.indices.astype("i8")), ("indptr", x.indptr.astype("i8")),
                     ("shape", np.array([40, 70], "i4")), ("barcodes", fixed(cells))):
            m.create_dataset(k, data=v, compression="gzip" if len(v) > 2 else None)
        for k, v in (("id", ids), ("name", genes), ("feature_type", ["Gene Expression"] * 40), ("genome", ["GRCh38"] * 40)):
            m.create_dataset("features/" + k, data=fixed(v))
    with h5py.File(where + "/v2.h5", "w") as f:
        for k, v in (("data", x.data), ("indices", x.indices), ("indptr", x.indptr), ("shape", np.array([40, 70])),
                     ("barcodes", fixed(cells)), ("genes", fixed(ids)), ("gene_names", fixed(genes))):
            f.create_dataset("hg19/" + k, data=v)
    with h5py.File(where + "/cells.loom", "w") as f:
        f.create_dataset("matrix", data=x.toarray().T.astype("f4"), chunks=(16, 16), compression="gzip")
        f.create_dataset("row_attrs/Gene", data=np.array(genes, object), dtype=h5py.string_dtype())
        f.create_dataset("col_attrs/CellID", data=np.array(cells, object), dtype=h5py.string_dtype())
        for k in ("layers", "row_graphs", "col_graphs"):
            f.create_group(k)
    for p, f in read_all([where + "/v3.h5", where + "/v2.h5", where + "/cells.loom"], where):
        name = os.path.basename(p)
        ok(np.array_equal(f["X"][()], x.toarray()), name + ": equal to its matrix")
        ok([text(v) for v in f["obs/names"]] == cells and [text(v) for v in f["var/names"]] == genes, name + ": cells and genes")


def same_bytes(where):
    one, two = where + "/one", where + "/two"
    for folder in (one, two):
        os.mkdir(folder)
        run("write.lua", folder)
    names = sorted(os.listdir(one))
    read = lambda folder, name: open(os.path.join(folder, name), "rb").read()
    ok(names and all(read(one, n) == read(two, n) for n in names), "the same content, the same bytes (%d files)" % len(names))


def indices64(a, where):
    """anndata narrows indices: rewrite them as int64 and uint16, with gzip and checksums."""
    for kind in ("i8", "u2"):
        p = "%s/wide_%s.h5ad" % (where, kind)
        a.write_h5ad(p)
        with h5py.File(p, "r+") as f:
            for part in ("indices", "indptr"):
                v = f["X"][part][()].astype(kind if part == "indices" else "i8")
                del f["X"][part]
                f["X"].create_dataset(part, data=v, compression="gzip", shuffle=True, fletcher32=True)
        for _, f in read_all([p], where):
            why = compare(f, anndata.read_h5ad(where + "/large.h5ad"))
            ok(not why, "reads indices of type " + kind, why)


def utf8(t):
    """A string of any length in UTF-8: what R, Julia and old readers take; fixed and ASCII ones differ between them."""
    s = h5py.check_string_dtype(t)
    return s is not None and s.encoding == "utf-8" and s.length is None


def attribute(o, key):
    a = h5py.h5a.open(o.id, key.encode())
    return a.get_space().get_simple_extent_ndims(), a.dtype


def structure(path):
    """What zellkonverter, anndataR, SeuratDisk and anndata of before 0.8 stumble over."""
    with h5py.File(path) as f:
        items = {"": f}
        f.visititems(lambda k, v: items.__setitem__(k, v))
        parts = [k for k in items if k.rpartition("/")[2] not in ("data", "indices", "indptr")]
        ok(sorted(f) == ["X", "layers", "obs", "obsm", "obsp", "uns", "var", "varm", "varp"], "all members are there, no raw")
        ok(all(t in items[k].attrs for k in parts for t in ("encoding-type", "encoding-version")), "every member is tagged")
        ok(all(attribute(items[k], t)[0] == 0 and utf8(attribute(items[k], t)[1]) for k in parts for t in
               ("encoding-type", "encoding-version")), "tags are single strings")
        ok(all(utf8(v.dtype) for v in items.values() if isinstance(v, h5py.Dataset) and v.dtype.kind in "OSU"), "strings are UTF-8")
        kinds = {v.attrs.get("encoding-type") for v in items.values()}
        ok(not any("nullable" in k for k in kinds if k), "no nullable columns: SeuratDisk and anndata 0.7 cannot")
        for axis in ("obs", "var"):
            g = f[axis]
            n, t = attribute(g, "column-order")
            ok(n == 1 and utf8(t) and sorted(g.attrs["column-order"]) == sorted(set(g) - {"_index"}), axis + ": columns are listed")
            ok(g.attrs["_index"] == "_index" and g["_index"].attrs["encoding-type"] == "string-array", axis + ": index of strings")
        for k, v in items.items():
            kind = v.attrs.get("encoding-type")
            if kind == "categorical":
                c = v["codes"]
                ok(c.dtype.kind == "i" and c.attrs["encoding-type"] == "array" and v.attrs["ordered"].dtype == bool
                   and len(set(v["categories"][()])) == len(v["categories"]), k + ": signed codes, distinct categories")
            if kind == "csr_matrix":
                i, p = v["indices"][()], v["indptr"][()]
                ok(i.dtype == p.dtype == np.int32 and v["data"].dtype == np.float32 and
                   all((np.diff(i[a:b]) > 0).all() for a, b in zip(p, p[1:])), k + ": dgRMatrix takes it: int32, sorted columns")
        ok(all(not v.compression or v.compression == "gzip" for v in items.values() if isinstance(v, h5py.Dataset)),
           "no filter but gzip")


def read_ours(where):
    run("write.lua", where)
    base = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [0] * 4, [-1, 0.5, 0, 1e-9], [1] * 4], "f4")
    for name in ("dense", "double", "view", "csr"):
        a = anndata.read_h5ad("%s/%s.h5ad" % (where, name))
        ok(np.array_equal(dense(a.X), base) and a.X.dtype == np.float32, name + ": X")
        ok(sp.issparse(a.X) == (name == "csr"), name + ": sparse where it should be")
        ok(list(a.obs_names) == ["c%d" % i for i in range(1, 7)] and list(a.var_names) == ["TP53", "KLF1", "GATA1", "HBG1"],
           name + ": names")
        o = a.obs
        ok(list(o.columns) == ["condition", "note", "n", "score", "control"], name + ": columns")
        ok(str(o["condition"].dtype) == "category" and list(o["condition"]) == ["ctrl", "KLF1", "ctrl", "A+B", "A+B", "ctrl"],
           name + ": categories")
        ok(list(o["note"]) == ["x", "", "γδ", "x", "y z", "x"], name + ": strings")
        ok(o["n"].dtype == np.int64 and list(o["n"]) == [1, 2, 3, 4, 5, 600000], name + ": whole numbers")
        ok(np.array_equal(o["score"], [1.5, np.nan, -3, 4, 5, 6], equal_nan=True), name + ": numbers")
        ok(o["control"].dtype == bool and list(o["control"]) == [True, False, True, False, False, True], name + ": flags")
        ok(sorted(a.layers) == ["delta", "sparse"] and a.layers["delta"].shape == (6, 4) and a.layers["sparse"][5, 0] == 1,
           name + ": layers")
        ok(sorted(a.obsm) == ["X_pca", "flags"] and a.obsm["X_pca"].shape == (6, 3) and a.obsm["flags"][5, 0] == 1, name + ": obsm")
        ok(list(a.varm) == ["PCs"] and a.varm["PCs"].shape == (4, 3), name + ": varm")
        structure("%s/%s.h5ad" % (where, name))
        ok(a.uns["dynamo"] == '{"version":"0.1.0"}', name + ": uns")
    small, nobody = (anndata.read_h5ad("%s/%s.h5ad" % (where, n)) for n in ("small", "nobody"))
    ok(small.shape == (6, 4) and list(small.obs.columns) == [] and nobody.shape == (0, 4), "no columns, no cells")
    big = anndata.read_h5ad(where + "/big.h5ad")
    ok(np.array_equal(dense(big.X), big.layers["dense"]) and big.shape == (700, 900), "several chunks: CSR equals dense")
    big.write_h5ad(where + "/again.h5ad", compression="gzip")
    ok(anndata.read_h5ad(where + "/again.h5ad").shape == big.shape, "anndata writes it again")


with tempfile.TemporaryDirectory() as where:
    corpus(where)
    encodings(where)
    grid(where)
    read_ours(where)
    same_bytes(where)
    tenx_and_loom(where)
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
