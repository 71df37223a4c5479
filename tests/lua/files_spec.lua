-- npy, npz, safetensors: files of arrays and of gene vectors.
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local files = require "dynamo.files"
local inspect = require "dynamo.inspect"
local vectors = require "dynamo.vectors"

-- f(path) with a file that is removed afterwards, whatever happens.
local function with(ext, f)
  local base = os.tmpname()
  local path = base .. ext
  local ok, e = pcall(f, path, base)
  os.remove(path)
  os.remove(base)
  if not ok then error(e, 0) end
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function same(a, b) return (a - b):abs():max():item() == 0 end

test("npy: tensors and text come back", function()
  with(".npy", function(path)
    local t = core.tensor({ { 1, 2.5 }, { -3, 4 } }, "double")
    files.write(path, t)
    local back = files.read(path)
    assert(back:type() == "double" and same(t, back))
    core.npy_write(path, t:t())
    assert(core.npy_read(path):get(1, 2) == -3)
    core.npy_write(path, { "KLF1", "GATA1" })
    assert(table.concat(core.npy_read(path), " ") == "KLF1 GATA1")
    raises("strings expected, item 1 is a number", core.npy_write, path, { 1 })
    raises("No such file", core.npy_read, path .. "x")
  end)
end)

test("npz: several arrays, same content same bytes", function()
  with(".npz", function(path, other)
    local values = { a = core.tensor { 1, 2 }, names = { "x", "y" } }
    files.write(path, values)
    core.npz_write(other, { "a", "names" }, { values.a, values.names })
    local function bytes(p) local f = io.open(p, "rb") local s = f:read "*a" f:close() return s end
    assert(bytes(path) == bytes(other))
    local back, members = core.npz_read(path)
    assert(same(back.a, values.a) and back.names[2] == "y" and members[1] == "a")
    raises("is there twice", core.npz_write, path, { "a", "a" }, { values.a, values.a })
    raises("names to tensors expected", files.write, path, { values.a })
  end)
end)

test("safetensors: tensors, metadata, one of them", function()
  with(".safetensors", function(path)
    files.write(path, { w = core.tensor { { 1, 2 } }, b = core.tensor({ 3 }, "double") }, { note = "line\nline" })
    local all, meta = files.read(path)
    assert(all.w:get(1, 2) == 2 and all.b:type() == "double" and meta.note == "line\nline")
    local info = core.safetensors_info(path)
    assert(#info == 2 and info[2].name == "w" and info[2].dtype == "F32" and info[2].shape[2] == 2)
    local one = core.safetensors_read(path, { only = { "w" } })
    assert(one.w and not one.b)
    raises("no tensor 'x'", core.safetensors_read, path, { only = { "x" } })
    raises("must end in .npy", files.write, path .. ".bin", {})
    assert(table.concat(inspect.describe(path), "\n"):find("F32 1 x 2", 1, true))
    core.safetensors_write(path, { "v" }, { core.tensor { 1 } })
    assert(core.safetensors_read(path).v:get(1) == 1)
  end)
end)

test("embeddings are written as npz and safetensors and read again", function()
  local e = embedding.new { genes = { "KLF1", "GATA1" }, values = core.tensor { { 1, 2, 3 }, { 4, 5, 6 } }, source = "s" }
  for _, ext in ipairs { ".npz", ".safetensors" } do
    with(ext, function(path)
      e:write(path)
      local back = embed.read(path)
      assert(back.genes[2] == "GATA1" and same(back.values, e.values))
      assert(#inspect.describe(path) > 2)
      raises("dynamo.embed.read", require("dynamo.data").read, path)
    end)
  end
end)

test("scGPT: names by vocab.json, special tokens dropped, LayerNorm", function()
  with(".safetensors", function(path, vocab)
    files.write(path, { ["encoder.embedding.weight"] = core.tensor { { 9, 9 }, { 1, 3 }, { 4, 4.5 } },
      ["encoder.enc_norm.weight"] = core.tensor { 2, 1 }, ["encoder.enc_norm.bias"] = core.tensor { 0, 10 },
      ["decoder.weight"] = core.tensor { { 1, 1 } } })
    write(vocab, '{"<pad>": 0, "KLF1": 2, "A1BG": 1}')
    raises("has no gene names", embed.read, path)
    local e = embed.read(path, { names = vocab })
    assert(table.concat(e.genes, " ") == "A1BG KLF1" and e.note:find "LayerNorm")
    near(e.values:get(1, 1), -2 / math.sqrt(1 + 1e-5), 1e-6)
    near(e.values:get(1, 2), 10 + 1 / math.sqrt(1 + 1e-5), 1e-6)
    local plain = embed.read(path, { names = vocab, norm = false })
    assert(plain.values:get(2, 2) == 4.5)
    raises("no tensor 'encoder.embeding.weight'; did you mean", embed.read, path,
      { names = vocab, tensor = "encoder.embeding.weight" })
    write(vocab, '{"KLF1": 7}')
    raises("'KLF1' is row 7, the matrix has 3 rows", embed.read, path, { names = vocab })
  end)
end)

test("npy with names from a list, a file, a table; as genes per column", function()
  with(".npy", function(path, names)
    core.npy_write(path, core.tensor { { 1, 2, 3 }, { 4, 5, 6 } })
    raises("has no gene names", embed.read, path)
    assert(embed.read(path, { names = { "A", "B" } }):rows({ "B" }):get(1, 1) == 4)
    write(names, "A\nB\nC\n")
    local e = embed.read(path, { names = names })
    assert(e:dim() == 2 and e:rows({ "C" }):get(1, 2) == 6 and e.note:find "transposed")
    write(names, "ENSG01\t1\nENSG00\t0\n")
    assert(embed.read(path, { names = names }).genes[1] == "ENSG00")
    raises("4 names for a matrix of 2 x 3", embed.read, path, { names = { "A", "B", "C", "D" } })
    local again = embed.read(path, { names = { "A", "A" } })
    assert(#again.genes == 1 and again.note:find "the first is kept")
    assert(vectors.names(names)[2] == "ENSG01")
  end)
end)

test("AnnData: X with obs as genes", function()
  with(".h5ad", function(path)
    core.h5ad_write(path, { x = core.tensor { { 1, 2 }, { 3, 4 } }, obs_names = { "KLF1", "HBZ" }, var_names = { "d1", "d2" } })
    local e = embed.read(path)
    assert(e.genes[2] == "HBZ" and e.values:get(2, 1) == 3)
    raises("no 'pca' in varm or obsm", embed.read, path, { tensor = "pca" })
  end)
end)

test("folders of one's own, and locks that a closed file lets go", function()
  local base = os.tmpname()
  os.remove(base)
  local a, b = core.mkdtemp(base .. "-"), core.mkdtemp(base .. "-")
  assert(a ~= b and core.stat(a).type == "directory" and a:sub(1, #base) == base)
  raises("cannot be created", core.mkdtemp, a .. "/none/x")
  local f = assert(io.open(a, "r"))
  assert(core.flock(f) == true)
  f:close()
  local g = assert(io.open(a, "r"))
  assert(core.flock(g) == true)
  g:close()
  if not rawget(_G, "jit") then assert(core.flock(g) == false) end
  raises("bad argument", core.flock, 3)
  core.remove(a)
  core.remove(b)
  assert(select(2, core.stat(a)) == "no such file")
end)
