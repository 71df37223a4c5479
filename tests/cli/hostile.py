# Files that lie: text, networks, arrays, archives, settings. Each ends in time, within memory, with the status and one
# sentence that are expected: python3 hostile.py DYNAMO FOLDER. (HDF5: tests/c/test_h5_hostile.c; models: test_model_file.c.)
import gzip, io, json, os, re, struct, subprocess, sys, zipfile, zlib

dynamo, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
os.chdir(folder)
passed = failed = 0


def run(name, args, status, pattern, seconds=10, mib=256, lines=1):
    global passed, failed
    p = subprocess.Popen([dynamo, "-q", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out = p.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        p.kill()
        out = b"timed out"
    text = out.decode("utf8", "replace").strip("\n")
    try:
        peak = int(re.search(r"PEAK (\d+)", text).group(1)) if "PEAK" in text else 0
    except AttributeError:
        peak = 0
    good = (p.returncode == status and re.search(pattern, text) and "\x1b" not in text
            and (status == 0 or text.count("\n") < lines and text.startswith("dynamo: ")) and peak < mib << 20)
    passed, failed = passed + bool(good), failed + (not good)
    print(("ok - " if good else "not ok - ") + name)
    if not good:
        print("# status %s, expected %s and /%s/: %s (peak %d MiB)" % (p.returncode, status, pattern, text[:400], peak >> 20))


READ = {"data": "dynamo.data.read", "graph": "dynamo.graph.read", "embed": "dynamo.embed.read", "gmt": "dynamo.annotation.read",
        "array": "dynamo.read"}


def bad(name, reader, content, pattern, status=65, options="", file=None, **more):
    file = file or "f.bin"
    with open(file, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    code = 'local ok, e = pcall(%s, "%s"%s) if not ok then error(e, 0) end print("PEAK " .. dynamo.max_rss()) print(e)' % (
        READ[reader], file, options and ", " + options)
    run(name, ["-e", code], status, pattern, **more)
    os.remove(file)


def npy(header, data=b"", pad=True, length=None):
    h = header.encode()
    h += b" " * (-(10 + len(h) + 1) % 64) + b"\n" if pad else b""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(h) if length is None else length) + h + data


def tensors(head, data=b"", n=None):
    h = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<Q", len(h) if n is None else n) + h + data


def archive(*members, change=None):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members:
            z.writestr(name, data)
    raw = bytearray(b.getvalue())
    if change:
        change(raw)
    return bytes(raw)


# ---- packed files
edges = "source\ttarget\n" + "".join("A%d\tB%d\n" % (i, i * 7 % 97) for i in range(400))
packed = gzip.compress(edges.encode(), mtime=0)
for cut in range(20, len(packed), max(1, len(packed) // 12)):
    bad("gzip cut at byte %d" % cut, "graph", packed[:cut], r"gzip stream ends after|truncated")
bad("gzip with a wrong checksum", "graph", packed[:-8] + b"\0\0\0\0" + packed[-4:], "gzip checksum differs; the file is damaged")
bad("gzip of 1,000 empty members and one with edges", "graph", gzip.compress(b"", mtime=0) * 1000 + packed, "400 edges", 0)
bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
with open("bomb.gz", "wb") as f:  # 2 GiB of edges in 2 MB
    for _ in range(512):
        f.write(bomb.compress(b"a\tb\n" * 2**20))
    f.write(bomb.flush())
run("gzip bomb", ["--max-memory", "1500M", "-e", 'dynamo.graph.read "bomb.gz"'], 65, r"more than")
for letter, say in (b"x", "line 1 is longer than 64"), (b"\0", "NUL byte"):
    bad("a line of 70 MB of %r" % letter, "graph", letter * 70000000, say)
with open("fields.tsv", "wb") as f:
    f.write(b"a\tb\n" + b"1\t" * 20000000 + b"\n")
for reader in "graph", "embed", "gmt":
    run("20 million fields in a line, little memory: " + reader,
        ["--max-memory", "512M", "-e", READ[reader] + ' "fields.tsv"'], 65, r"fields.tsv: .*(line 2 is longer|--max-memory)")
os.remove("fields.tsv")

# ---- npy and npz
F4 = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
bad("npy without an end of its header", "array", npy(F4 % "(2,)", pad=False, length=60000), "header|truncated|ends")
bad("npy of objects", "array", npy(F4.replace("<f4", "|O") % "(2,)"), "pickled Python objects, which are never loaded")
bad("npy of 2^63 numbers", "array", npy(F4 % "(9223372036854775808,)"), "shape|bytes")
bad("npy of 2^40 numbers", "array", npy(F4 % "(1099511627776,)"), "needs 4398046511104 bytes|bytes")
bad("npy with a nested shape", "array", npy(F4 % "((2, 3), 4)"), "shape|header")
bad("npy with a header of 2 MB", "array", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2 << 20) + b" " * (2 << 20), "header")
bad("npy shorter than it says", "array", npy(F4 % "(20,)", b"\0" * 79), "needs 80 bytes, the file has 79")
one = npy(F4 % "(1,)", b"\0\0\x80\x3f")
bad("npz with a member that leaves its folder: a name, no path", "array", archive(("../../x.npy", one)), "table", 0)
assert not os.path.exists("../../x.npy")
bad("npz with two members of one name", "array", archive(("x.npy", one), ("y.npy", one)).replace(b"y.npy", b"x.npy"), "twice|again|two")


def lie(raw):  # sizes in the central directory
    at = raw.rindex(b"PK\x01\x02")
    raw[at + 24:at + 28] = struct.pack("<I", 0xFFFFFFF0)


bad("npz that unpacks to less than it says", "array", archive(("x.npy", one), change=lie), "member|damaged|bytes|larger")
bad("npz cut in half", "array", archive(("x.npy", one * 100))[:60], "zip|directory|truncated|npz")

# ---- safetensors
W = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
bad("safetensors with a header of 2^63 bytes", "array", tensors(W, b"\0" * 8, 1 << 63) , "header of 9223372036854775808 bytes|not|arrays")
bad("safetensors with tensors over each other", "array", tensors({**W, "v": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}},
    b"\0" * 8), "overlaps")
bad("safetensors with a gap", "array", tensors({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8), "gap|starts|unused|bytes")
bad("safetensors with a key twice", "array", tensors(b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32",'
    b'"shape":[1],"data_offsets":[4,8]}}', b"\0" * 8), "twice")
bad("safetensors 100,000 deep", "array", tensors(b'{"w":' + b"[" * 100000, b""), "safetensors|header|nested|deep|expected")
bad("safetensors of 1e999", "array", tensors(b'{"w":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', b"\0" * 4), "'w'|number|expected")
bad("safetensors of 2^64 numbers", "array", tensors({"w": {"dtype": "F32", "shape": [1 << 32, 1 << 32], "data_offsets": [0, 4]}},
    b"\0" * 4), "overflows")

# ---- text
bad("a line of 50 MB", "data", b"pert,gene,value\n" + b"x" * 50_000_000 + b"\n", "no rows|line 2|fields")
bad("a million columns", "data", "\t".join("c%d" % i for i in range(1_000_000)) + "\n1\n", "columns|header|fields|rows", mib=400)
bad("NUL bytes", "data", b"pert,gene,value\nA,B\0C,1\n", "NUL|binary|control|not")
bad("bare carriage returns", "data", b"pert,gene,value\rA,B,1\rC,D,2\r", "carriage|line ends")
bad("UTF-16", "data", "pert,gene,value\nA,B,1\n".encode("utf-16"), "UTF-16")
bad("a formula in a cell is a name", "data", "pert,gene,value\n=cmd(),B,1\n", "Dataset", 0, '{ kind = "effect" }', file="f.csv")
bad("decimal commas", "data", "pert;gene;value\nA;B;0,31\n", "number expected, found '0,31'")
bad("a header and nothing else", "data", "pert,gene,value\n", "no rows|no ")
bad("a quote that is never closed", "data", 'pert,gene,value\n"A,B,1\nC,D,2\n', "quote")
bad("no file at all", "data", "", "empty|no rows")
bad("a set with a name twice", "gmt", "S\tx\tA\nS\tx\tB\n", "twice")
bad("sets of two fields", "gmt", "S\tx\tA\nT\tx\n", "fewer than 3")
bad("a value twice", "data", "pert,gene,value\nA,B,1\nA,B,2\n", "twice with different values|lines 2 and 3")
bad("negative weights", "data", "pert,gene,value,weight\nA,B,1,-1\n", "negative")
bad("escapes in a message are shown, not sent", "data", "p\x1b[31mert,gene,fdr\nA,B,x\n", r"x1b|no ", file="f.csv")
bad("names like methods", "data", "pert,gene,value\n__index,nil,1\nctrl,__gc,2\n", "Dataset", 0, '{ kind = "effect" }', file="f.csv")
bad("names from right to left, in HTML, in quotes", "data", "pert,gene,value\n\u202eA,<b>,1\nB,'`$(x),2\n", "Dataset", 0,
    '{ kind = "effect" }', file="f.csv")
bad("a name of 70 KB", "data", "pert,gene,value\n" + "x" * 70000 + ",B,1\n", "name|long|bytes")

# ---- networks
bad("a million repeats of one edge", "graph", "a\tb\t1\n" + "A\tB\t1\n" * 1_000_000, "2 edges", 0, file="f.tsv")
bad("self-loops alone", "graph", "source\ttarget\nA\tA\nB\tB\n", "no edges|self")
bad("both signs of one edge", "graph", "source,target,weight\nA,B,1\nA,B,-1\nC,D,-1\n", "2 edges", 0, file="f.csv")
bad("a weight without end", "graph", "source,target,weight\nA,B,inf\n", "not finite")
bad("a weight in words", "graph", "source,target,weight\nA,B,high\n", "weight 'high' is not a number")

# ---- vectors
bad("word2vec that promises 10^12 vectors", "embed", "1000000000000 3\nA 1 2 3\n", "promises|vectors")
bad("word2vec without dimensions", "embed", "2 0\nA\nB\n", "0|dim|number")
bad("word2vec with a name of 1 MB", "embed", "1 2\n" + "x" * (1 << 20) + " 1 2\n", "name|bytes")
bad("word2vec that ends inside a vector", "embed", b"2 2\nA " + b"\0" * 8 + b"\nB " + b"\0\0\x80", "ends inside vector 2|'B'")
bad("vectors that are not numbers", "embed", "A\t1\t2\nB\t1\tx\n", "number|line 2")
bad("vectors that are not finite", "embed", "A\t1\t2\nB\t1\tinf\n", "finite")
bad("JSON 100,000 deep", "embed", '{"A":' + "[" * 100000, "JSON|nested|read")

# ---- settings
with open("e.lua", "w") as f:
    f.write('local d = require "dynamo"\nreturn d.experiment { data = "none.h5ad", embedding = d.embed.random { dim = 2 } }\n')
run("a setting without a value", ["run", "e.lua", "seeds="], 2, "seeds")
run("a setting 10,000 deep", ["run", "e.lua", "a" + ".a" * 10000 + "=1"], 2, "a key of 20001 bytes")
run("a range of 10^12", ["run", "e.lua", "seeds=1..1000000000000"], 2, "seeds|range|numbers")
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed > 0)
