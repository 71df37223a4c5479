local core = require "dynamo.core"

local function temporary(ext)
  local name = os.tmpname()
  os.remove(name)
  return name .. ext
end

local function content()
  return {
    x = core.sparse(3, 4, { 1, 1, 3 }, { 2, 4, 1 }, core.tensor { 1, 2.5, -3 }),
    obs_names = { "c1", "c2", "c3" },
    var_names = { "TP53", "KLF1", "GATA1", "KLF1" },
    obs = {
      { name = "condition", values = { "ctrl", "A+B", "ctrl" }, categorical = true },
      { name = "note", values = { "x", "y", "x" } },
      { name = "score", values = core.tensor({ 1.5, 0 / 0, 3 }, "double") },
      { name = "flag", values = core.tensor { 1, 0, 1 }, boolean = true },
    },
    var = { { name = "symbol", values = { "p", "q", "r", "s" } } },
    layers = { delta = (core.zeros(3, 4) + 1), counts = core.sparse(3, 4, { 2 }, { 2 }) },
    uns = { dynamo = "{}" },
  }
end

-- Runs body(path) with a file of the content above.
local function with_file(body)
  local path = temporary ".h5ad"
  core.h5ad_write(path, content())
  local ok, e = pcall(body, path)
  os.remove(path)
  if not ok then error(e, 0) end
end

test("what is written is read", function()
  with_file(function(path)
    local f = core.h5_open(path)
    assert(f:kind() == "h5ad" and f:generation() == "0.8+" and f:path() == path)
    local n, m, raw = f:size()
    assert(n == 3 and m == 4 and raw == nil)
    assert(table.concat(f:names "obs", " ") == "c1 c2 c3")
    local _, none = f:names "obs"
    local _, twice = f:names "var"
    assert(none == nil and twice.name == "KLF1" and twice.first == 2 and twice.second == 4 and twice.count == 1)
    assert(#f:names "raw" == 0 and #f:columns "raw" == 0)
    local x, info = f:matrix()
    assert(core.is_sparse(x) and x:nnz() == 3 and x:get(1, 4) == 2.5 and x:get(3, 1) == -3)
    assert(info.nonfinite == 0 and info.negative and not info.integers and info.min == -3 and info.max == 2.5)
    assert(info.row == nil)
    assert(table.concat(f:layers(), " ") == "counts delta")
    assert(f:matrix("delta"):sum():item() == 12 and f:matrix("counts"):get(2, 2) == 1)
    local part = f:matrix(nil, { rows = { 3, 1 } })
    assert(part:size(1) == 2 and part:get(1, 1) == -3)
    assert(f:matrix("delta", { rows = { 2 } }):size(1) == 1)
    assert(f:uns "dynamo" == "{}" and f:uns "nothing" == nil and #f:obsm() == 0 and #f:varm() == 0)
    f:close()
    raises("file was closed", f.kind, f)
    assert(tostring(f) == "H5File(closed)")
  end)
end)

test("obsm and varm have rows of cells and genes, and any number of columns", function()
  local path, c = temporary ".h5ad", content()
  c.obsm = { X_pca = core.tensor { { 1, 2 }, { 3, 4 }, { 5, 6 } }, one = core.sparse(3, 1, { 2 }, { 1 }) }
  c.varm = { PCs = core.tensor({ { 1 }, { 2 }, { 3 }, { 4 } }, "double") }
  core.h5ad_write(path, c)
  local f = core.h5_open(path)
  assert(table.concat(f:obsm(), " ") == "X_pca one" and table.concat(f:varm(), " ") == "PCs")
  assert(f:matrix("obsm/X_pca"):get(3, 2) == 6 and f:matrix("obsm/one"):get(2, 1) == 1 and f:matrix("varm/PCs"):get(4, 1) == 4)
  f:close()
  os.remove(path)
  c.obsm.bad = core.zeros(4, 2)
  raises("obsm/bad: 4x2, but a matrix of 3 rows is expected", core.h5ad_write, path, c)
  c.obsm, c.varm = nil, { flat = core.zeros(4) }
  raises("varm/flat: 4x0, but a matrix of 4 rows is expected", core.h5ad_write, path, c)
  c.varm = { core.zeros(4, 1) }
  raises("varm: names expected as keys", core.h5ad_write, path, c)
end)

test("columns of every kind", function()
  with_file(function(path)
    local f = core.h5_open(path)
    local kinds = {}
    for i, c in ipairs(f:columns "obs") do kinds[i] = c.name .. ":" .. c.kind end
    assert(table.concat(kinds, " ") == "condition:text note:text score:number flag:boolean")
    local c = f:column("obs", "condition")
    assert(c.kind == "text" and table.concat(c.levels, " ") == "A+B ctrl" and table.concat(c.codes, " ") == "2 1 2")
    assert(table.concat(f:column("obs", "note").levels, " ") == "x y")
    local s = f:column("obs", "score")
    assert(s.kind == "number" and s.values:type() == "double" and s.values:get(3) == 3)
    assert(s.values:get(2) ~= s.values:get(2))
    assert(f:column("obs", "flag").kind == "boolean" and f:column("obs", "flag").values:sum():item() == 2)
    assert(f:column("var", "symbol").levels[4] == "s")
    raises("obs column 'conditon' not found (have: condition, note, score, flag)", f.column, f, "obs", "conditon")
    raises("no matrix 'nothing' (2 layers", f.matrix, f, "nothing")
    local seen = {}
    for _, d in ipairs(f:describe()) do seen[d[1]] = d[2] end
    assert(seen.X == "csr_matrix 3 x 4" and seen["obs/score"] == "float64 3" and seen["layers/delta"] == "float32 3 x 4")
  end)
end)

test("values that are not finite are counted, not refused", function()
  local path = temporary ".h5ad"
  local c = content()
  c.x = core.tensor { { 1, 2, 3, 4 }, { 5, 0 / 0, 7, 1 / 0 }, { 1, 1, 1, -1 / 0 } }
  core.h5ad_write(path, c)
  local f = core.h5_open(path)
  local x, info = f:matrix()
  os.remove(path)
  assert(not core.is_sparse(x) and info.nonfinite == 3 and info.nan == 1 and info.infinite == 2)
  assert(info.row == 2 and info.col == 2 and info.max == 7 and info.integers)
end)

test("same content, same bytes; the old file stays when writing fails", function()
  local a, b = temporary ".h5ad", temporary ".h5ad"
  core.h5ad_write(a, content())
  core.h5ad_write(b, content())
  local digest = core.sha256_file(a)
  assert(digest == core.sha256_file(b) and #digest == 64)
  local c = content()
  c.layers.wrong = (core.zeros(4, 4) + 1)
  raises("layers/wrong: 4x4, but there are 3 cells and 4 genes", core.h5ad_write, a, c)
  assert(digest == core.sha256_file(a))
  os.remove(a) os.remove(b)
end)

test("wrong arguments of the writers", function()
  local path = temporary ".h5ad"
  local function with(key, value)
    local c = content()
    c[key] = value
    return c
  end
  raises("x: Tensor or Sparse expected, got number", core.h5ad_write, path, with("x", 3))
  raises("obs_names: list of strings expected, got nil", core.h5ad_write, path, with("obs_names", nil))
  raises("obs_names: string expected, got number", core.h5ad_write, path, with("obs_names", { 1, 2, 3 }))
  raises("obs: a column has no name", core.h5ad_write, path, with("obs", { {} }))
  raises("2 values for 3 rows", core.h5ad_write, path, with("obs", { { name = "a", values = { "x", "y" } } }))
  raises("uns: string expected, got table", core.h5ad_write, path, with("uns", { a = {} }))
  raises("string with a NUL byte", core.h5ad_write, path, with("obs_names", { "a\0", "b", "c" }))
  raises("this name is reserved", core.h5ad_write, path, with("obs", { { name = "_index", values = { "x", "y", "z" } } }))
  local f = io.open(path)
  assert(f == nil)
end)

test("errors carry a code", function()
  local ok, e = pcall(core.h5_open, "/nonexistent/x.h5ad")
  assert(not ok and e.code == "EIO" and e.message:find "No such file")
  ok, e = pcall(core.h5_open, "Makefile")
  assert(not ok and e.code == "EFORMAT" and e.message == "Makefile: not an HDF5 file (no HDF5 signature)")
  ok, e = pcall(core.h5_probe, "Makefile")
  assert(not ok and e.code == "EFORMAT" and e.message == "Makefile: not an HDF5 file (no HDF5 signature)")
  with_file(function(path)
    assert(core.h5_probe(path) == true)
    assert(core.h5_probe(path, { cell_names = false, seconds = 5, memory = 2 ^ 30 }) == true)
    raises("seconds out of range", core.h5_probe, path, { seconds = 0 })
    raises("memory out of range", core.h5_probe, path, { memory = -1 })
  end)
  ok, e = pcall(core.sha256_file, "/nonexistent/x")
  assert(not ok and e.code == "EIO")
end)

test("models come back whole", function()
  local path = temporary ".dynamo"
  local m = {
    strings = { config = '{"a":1}', ["embedding/source"] = "{}", split = "" },
    lists = { ["genes/symbol"] = { "KLF1", "γ" }, ["contexts/name"] = {} },
    tensors = { ["params/flat"] = core.randn(1, 1000), ["contexts/control"] = core.randn(2, 3, 4, "double"),
      view = (core.zeros(3, 2) + 1):t() },
  }
  core.model_write(path, m)
  local r = core.model_read(path)
  for _, kind in ipairs { "strings", "tensors", "lists" } do
    local n = 0
    for _ in pairs(m[kind]) do n = n - 1 end
    for _ in pairs(r[kind]) do n = n + 1 end
    assert(n == 0)
  end
  for k, v in pairs(m.strings) do assert(r.strings[k] == v) end
  assert(table.concat(r.lists["genes/symbol"], " ") == "KLF1 γ" and #r.lists["contexts/name"] == 0)
  for k, v in pairs(m.tensors) do
    assert(r.tensors[k]:type() == v:type() and (r.tensors[k] - v):abs():max():item() == 0)
  end
  assert(r.info.bytes > 0 and #r.info.sha256 == 64)
  local f = core.h5_open(path)
  assert(f:kind() == "model" and f:size() == 0)
  f:close()
  raises("'a//b' is not a name", core.model_write, path, { lists = { ["a//b"] = {} } })
  local h = assert(io.open(path, "r+b"))
  h:seek("end", -10) h:write "x" h:close()
  local ok, e = pcall(core.model_read, path)
  os.remove(path)
  assert(not ok and e.code == "EFORMAT" and e.message:find "SHA%-256 differs")
end)

test("digests", function()
  assert(core.sha256 "" == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  local path = temporary ".txt"
  core.write_file(path, "message digest") -- RFC 1321, A.5
  assert(core.md5_file(path) == "f96b697d7cb7938d525a2f31aaf161d0")
  os.remove(path)
  assert(not pcall(core.md5_file, "/nonexistent/x"))
end)

test("allocation failures leak nothing and leave no file", function()
  local path = temporary ".h5ad"
  local c, n = content(), 0
  repeat
    core.fail_after(n)
    local ok, e = pcall(core.h5ad_write, path, c)
    core.fail_after(-1)
    if not ok then assert(e.code == "ENOMEM" and io.open(path) == nil, e.message) end
    n = n + 7
  until ok
  n = 0
  repeat
    core.fail_after(n)
    local ok, e = pcall(function()
      local f = core.h5_open(path)
      f:names "obs" f:columns "obs" f:column("obs", "condition") f:matrix() f:describe()
    end)
    core.fail_after(-1)
    if not ok then assert(e.code == "ENOMEM", tostring(e)) end
    n = n + 5
  until ok
  os.remove(path)
end)

local data = (os.getenv "DYNAMO_TEST_DATA" or "../shared/data") .. "/cells/norman_mcfaline_500genes.h5ad"
local real = io.open(data)
if not real then
  print("# skip real cells: no file " .. data)
else
  real:close()
  test("real cells: counts, labels and lines", function()
    local f = core.h5_open(data)
    local n, m = f:size()
    assert(n == 5961 and m == 500)
    local x, info = f:matrix()
    assert(core.is_sparse(x) and info.nonfinite == 0 and not info.negative and info.max < 20)
    local c = f:column("obs", "condition")
    assert(#c.codes == 5961 and table.concat(c.levels, " "):find "KLF1%+MAP2K6")
  end)
end

-- The file with one bit of byte `at` the other way round.
local function flipped(bytes, at, bit)
  local c = bytes:byte(at)
  local on = math.floor(c / 2 ^ bit) % 2 == 1
  return bytes:sub(1, at - 1) .. string.char(on and c - 2 ^ bit or c + 2 ^ bit) .. bytes:sub(at + 1)
end

test("a file that crashes the HDF5 library is an error of the file", function()
  with_file(function(path)
    local f = assert(io.open(path, "rb"))
    local bytes = f:read "*a"
    f:close()
    local other, crashed, g = temporary ".h5ad", nil, 1
    for _ = 1, 300 do
      g = (g * 16807) % 2147483647
      local out = assert(io.open(other, "wb"))
      out:write(flipped(bytes, g % #bytes + 1, math.floor(g / #bytes) % 8))
      out:close()
      local ok, e = pcall(core.h5_probe, other)
      crashed = not ok and tostring(e):find "HDF5 crashed while reading" and tostring(e) or crashed
      if crashed then break end
    end
    if crashed then
      local ok, e = pcall(require("dynamo.data").read, other)
      assert(not ok and tostring(e):find(": HDF5 crashed while reading .*; the file is damaged"), tostring(e))
    else
      print "# no flip of a bit crashed this libhdf5"
    end
    os.remove(other)
  end)
end)
