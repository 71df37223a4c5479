-- What src/bind/l_sys.c and bind.c register: the machine, terminals, files. Files raise EIO and name the path.
return {
  ["Error"] = {
    sig = [[core.Error]],
    doc = [[The metatable of errors about the world: tables with code ("EFORMAT", "EIO", "ENOMEM", "ENOCONV", "ECANCEL") and
message. Wrong arguments raise strings, as in Lua itself. See dynamo.error.]],
  },
  ["version"] = { sig = [[core.version -> string]], doc = [["0.1.0": of the library and of the Lua files.]] },
  ["bf16"] = { sig = [[core.bf16() -> boolean]], doc = [[Whether this processor multiplies bfloat16 numbers (AVX512-BF16), which
`core.tape { precision = "bf16" }` needs.]] },
  ["blas"] = { sig = [[core.blas() -> string]], doc = [["OpenBLAS 0.3.21 SkylakeX": the library and its core type.]] },
  ["threads"] = {
    sig = [[core.threads([n]) -> integer]],
    doc = [[How many threads are used, after setting them to n if it is given. Results do not depend on it.]],
  },
  ["time"] = { sig = [[core.time() -> number]], doc = [[Seconds on a clock that never goes back.]] },
  ["max_rss"] = { sig = [[core.max_rss() -> number]], doc = [[The largest memory of the process so far, bytes.]] },
  ["max_memory"] = {
    sig = [[core.max_memory(bytes)]],
    doc = [[Refuse more than that: what does not fit raises ENOMEM instead of being killed. At least 1 MiB.]],
  },
  ["memory_limit"] = {
    sig = [[core.memory_limit([bytes]) -> integer]],
    doc = [[Let the library's own allocations fail (ENOMEM) above that many bytes in all; 0: no limit. See dynamo.config.]],
  },
  ["live"] = { sig = [[core.live() -> integer]], doc = [[Bytes the library holds now: 0 when every object is closed.]] },
  ["fail_after"] = {
    sig = [[core.fail_after(n)]],
    doc = [[For tests: the allocation after the next n fails; -1: none.]],
  },
  ["env"] = { sig = [[core.env(name) -> string or nil]], doc = [[A variable of the environment.]] },
  ["isatty"] = { sig = [[core.isatty(fd) -> boolean]], doc = [[Is file descriptor 0, 1 or 2 a terminal?]] },
  ["term_width"] = {
    sig = [[core.term_width() -> integer]],
    doc = [[Columns of the terminal: COLUMNS, else what it says, else 80.]],
  },
  ["stat"] = {
    sig = [[core.stat(path) -> { type, size, mtime } or nil, reason]],
    doc = [[type is "file", "directory" or "other"; size in bytes, mtime in seconds since 1970. nil: there is none, or the
reason why it cannot be looked at.]],
  },
  ["mkdir"] = { sig = [[core.mkdir(path)]], doc = [[Make a folder and those above it; one that exists is fine.]] },
  ["mkdtemp"] = {
    sig = [[core.mkdtemp(prefix) -> path]],
    doc = [[Make a folder PREFIXxxxxxx of a name that nothing has, for this user alone. Raises EIO.]],
  },
  ["flock"] = {
    sig = [[core.flock(file) -> boolean]],
    doc = [[Wait until no other process holds the open file (of io.open; a folder will do), then hold it until it is closed.
false: the file system has no such locks.]],
  },
  ["listdir"] = { sig = [[core.listdir(path) -> list]], doc = [[The names in a folder, sorted.]] },
  ["rename"] = { sig = [[core.rename(from, to)]], doc = [[Give a file another name; an old file of that name goes.]] },
  ["remove"] = { sig = [[core.remove(path)]], doc = [[Remove a file or an empty folder; none is fine.]] },
  ["write_file"] = {
    sig = [[core.write_file(path, text)]],
    doc = [[Write a file, whole or not at all: a new one beside it takes its name when it is complete.]],
  },
}
