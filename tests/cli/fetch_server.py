# A server for tests/cli/fetch.sh that stalls, truncates and lies: python3 fetch_server.py PORTFILE LOGFILE
import gzip, hashlib, http.server, json, os, sys, time

BODY = bytes((i * 7 + i // 251) % 256 for i in range(200000))
PACKED = gzip.compress(b"source,target,weight\nTP53,CDKN1A,1\n" * 50, mtime=0)
TEXT = b"source,target,weight\nTP53,CDKN1A,1\nMYC,CDK4,-1\n"
visits = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        with open(sys.argv[2], "a") as f:
            f.write("%s %s\n" % (self.path, self.headers.get("Range", "-")))

    def start(self):
        """First byte asked for."""
        r = self.headers.get("Range")
        return int(r[6:].split("-")[0]) if r else 0

    def send(self, body, status=200, length=None, extra=()):
        self.send_response(status)
        for k, v in extra:
            self.send_header(k, v)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True

    def ranged(self, body, upto=None, promise=None):
        a = self.start()
        if a >= len(body):
            return self.send(b"", 416, extra=[("Content-Range", "bytes */%d" % len(body))])
        part = body[a:upto]
        extra = [("Content-Range", "bytes %d-%d/%d" % (a, len(body) - 1, len(body)))] if a else []
        self.send(part, 206 if a else 200, len(body) - a if promise is None else promise, extra)

    def do_GET(self):
        name = self.path.strip("/")
        n = visits[name] = visits.get(name, 0) + 1
        getattr(self, "do_" + name.replace("-", "_"), self.missing)(n)

    def missing(self, _):
        self.send(b"no such file", 404)

    def do_good(self, _):
        self.ranged(BODY)

    def do_text(self, _):
        self.ranged(TEXT)

    def do_drop(self, _):  # 60 kB a visit
        self.ranged(BODY, self.start() + 60000)

    def do_stall(self, n):
        if n > 1:
            return self.ranged(BODY)
        self.ranged(BODY, 50000)
        time.sleep(6)

    def do_norange(self, n):  # breaks off once, and always begins at the beginning
        self.send(BODY[:70000] if n == 1 else BODY, 200, len(BODY))

    def do_short(self, _):  # promises what never comes
        self.ranged(BODY[:1000], None, len(BODY) - self.start())

    def do_long(self, _):  # more than the catalogue says, without a length
        self.send(BODY * 20, 200, "none")

    def do_larger(self, _):
        self.send(BODY * 2)

    def do_smaller(self, _):  # less than the catalogue says, with an honest length
        self.send(BODY[:1000])

    def do_wrong(self, _):
        self.ranged(bytes(reversed(BODY)))

    def do_changed(self, n):  # another version after the break
        self.ranged(bytes(reversed(BODY)) if n == 1 else BODY, 60000 if n == 1 else None)

    def do_page(self, _):
        self.send(b"<!DOCTYPE html>\n<html>please log in</html>")

    def do_busy(self, n):
        self.send(b"later", 503) if n < 3 else self.ranged(BODY)

    def do_local(self, _):
        self.send(b"", 302, extra=[("Location", "file:///etc/passwd")])

    def do_moved(self, _):
        self.send(b"", 302, extra=[("Location", "/good")])

    def do_loop(self, _):
        self.send(b"", 302, extra=[("Location", "/loop")])

    def do_packed(self, _):
        self.ranged(PACKED)

    def do_empty(self, _):
        self.send(b"")


def entry(url, body, digest="sha256", **more):
    f = {"name": "file.bin", "url": url, "size": len(body)}
    if digest:
        f[digest] = hashlib.new(digest, body).hexdigest()
    f.update(more)
    return {"what": "a test", "licence": "none", "files": [f]}


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
base = "http://127.0.0.1:%d/" % server.server_port
names = [m[3:] for m in dir(Handler) if m.startswith("do_") and m != "do_GET"] + ["gone"]
catalogue = {n: entry(base + n, BODY) for n in names}
catalogue["md5"] = entry(base + "good", BODY, "md5")
catalogue["badmd5"] = entry(base + "wrong", BODY, "md5")
catalogue["packed"] = entry(base + "packed", PACKED, unpack="gzip", name="net.csv")
catalogue["notpacked"] = entry(base + "good", BODY, unpack="gzip")
catalogue["text"] = dict(entry(base + "text", TEXT, name="net.csv"), reader="graph.read", options={"min_score": 0.5})
for n in ("page", "empty", "short"):
    for k in ("size", "sha256"):
        catalogue[n]["files"][0].pop(k)
catalogue["nobody"] = entry("http://127.0.0.1:1/x", BODY)
catalogue["two"] = {"files": [dict(catalogue["good"]["files"][0], name="a"), dict(catalogue["text"]["files"][0], name="b")]}
with open(sys.argv[1] + ".new", "w") as f:
    json.dump(catalogue, f)
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()
