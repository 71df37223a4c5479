-- Every format of the manual of formats (dynamo help formats): a tiny file of each is read, plain and packed.
local annotation = require "dynamo.annotation"
local core = require "dynamo.core"
local data = require "dynamo.data"
local embed = require "dynamo.embed"
local files = require "dynamo.files"
local graph = require "dynamo.graph"

local folder = os.tmpname()
os.remove(folder)
core.mkdir(folder)

local function put(name, text)
  local path = folder .. "/" .. name
  core.write_file(path, text)
  return path
end

-- f(path) for the file as it is and packed by gzip.
local function both(name, text, f)
  local path = put(name, text)
  f(path)
  os.execute(("gzip -c '%s' > '%s.gz'"):format(path, path))
  f(path .. ".gz")
  core.remove(path)
  core.remove(path .. ".gz")
end

local function float(v) -- IEEE single, little-endian, of small whole numbers and halves
  if v == 0 then return "\0\0\0\0" end
  local sign, m, e = v < 0 and 1 or 0, math.abs(v), 0
  while m >= 2 do m, e = m / 2, e + 1 end
  while m < 1 do m, e = m * 2, e - 1 end
  local bits = math.floor((m - 1) * 2 ^ 23)
  return string.char(bits % 256, math.floor(bits / 256) % 256, math.floor(bits / 65536) + (e + 127) % 2 * 128,
    sign * 128 + math.floor((e + 127) / 2))
end

local function floats(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = float(v) end
  return table.concat(out)
end

test("text is unpacked", function()
  both("t.txt", "a\nb", function(path) assert(core.read_text(path) == "a\nb") end)
  raises("more than 2 bytes", core.read_text, put("t.txt", "abc"), { limit = 2 })
  assert(not pcall(core.read_text, folder .. "/none"))
end)

-- ---- networks -----------------------------------------------------------------------------------------

local networks = {
  { "collectri.csv", 'source,target,weight,resources\n"MYC","TERT",1,"A;B"\nSPI1,BGLAP,-1,C\n', 2, true },
  { "dorothea_levels.tsv", "tf\tconfidence\ttarget\tmor\nMYC\tA\tTERT\t1\nSPI1\tD\tBGLAP\t-1\n", 2, true },
  { "dorothea_words.tsv", "source\tinteraction\ttarget\nMYC\tactivates\tTERT\nSPI1\trepresses\tBGLAP\n", 2, true },
  { "trrust.tsv", "AATF\tBAX\tRepression\t22909821\nAATF\tCDKN1A\tUnknown\t17157788\nMYC\tTERT\tActivation\t1;2\n", 3, true },
  { "omnipath.tsv", "source\ttarget\tsource_genesymbol\ttarget_genesymbol\tis_directed\tis_stimulation\tis_inhibition\t"
    .. "consensus_direction\tconsensus_stimulation\tconsensus_inhibition\nP0\tP1\tMYC\tTERT\tTrue\tTrue\tFalse\tTrue\tTrue\t"
    .. "False\nP2\tP3\tSPI1\tBGLAP\t1\t0\t1\t1\t0\t1\n", 2, true },
  { "gears_go.csv", "source,target,importance\nMYC,TERT,0.25\nSPI1,BGLAP,0.5\n", 2, false },
  { "grn.csv", "regulator,gene,importance\nMYC,TERT,12.5\nSPI1,BGLAP,3\n", 2, false },
  { "two.txt", "MYC TERT\nSPI1 BGLAP\n", 2, false },
  { "three.tsv", "MYC\tTERT\t0.5\nSPI1\tBGLAP\t2\n", 2, false },
  { "net.sif", "MYC pp TERT\nSPI1 pp BGLAP\n", 2, false },
  { "pecanpy.edg", "1\t2\t0.5\n3\t4\t1\n", 2, false },
  { "node2vec.edgelist", "1 2\n3 4\n", 2, false },
}

test("networks as their sources write them", function()
  for _, n in ipairs(networks) do
    both(n[1], n[2], function(path)
      local g = graph.read(path)
      assert(g:edges() == n[3] and g:signed() == n[4], n[1] .. ": " .. tostring(g))
    end)
  end
end)

test("STRING: ids with the names of a second file, each edge once", function()
  local info = put("info.txt", "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n9606.ENSP1\tMYC\t10\tx y\n"
    .. "9606.ENSP2\tTERT\t10\tz\n")
  both("links.txt", "protein1 protein2 combined_score\n9606.ENSP1 9606.ENSP2 900\n9606.ENSP2 9606.ENSP1 900\n", function(path)
    local g = graph.read(path, { names = info, min_score = 700 })
    assert(g:edges() == 1 and g:find "MYC" and not g:directed(), tostring(g))
  end)
  both("detailed.txt", "protein1 protein2 neighborhood fusion combined_score\n9606.ENSP1 9606.ENSP2 0 0 900\n", function(path)
    assert(graph.read(path, { names = info }):edges() == 1)
  end)
end)

-- ---- gene sets --------------------------------------------------------------------------------------------

test("GMT: ragged, CRLF, empty trailing fields", function()
  both("sets.gmt", "S1\thttp://x\tMYC\tTERT\r\nS2\tna\tSPI1\t\t\r\n", function(path)
    local sets = annotation.read(path).sets
    assert(#sets == 2 and #sets[1].genes == 2 and #sets[2].genes == 1)
  end)
end)

-- ---- gene vectors --------------------------------------------------------------------------------------------

local vectors = {
  { "gene2vec.txt", "KLF1\t1 2 3 \nGATA1\t4 5 6 \n" },
  { "gene2vec_w2v.txt", "2 3\nKLF1 1 2 3\nGATA1 4 5 6\n" },
  { "node2vec.emb", "2 3\nKLF1 1.000000 2.000000 3.000000 \nGATA1 4 5 6 \n" },
  { "glove.txt", "KLF1 1 2 3\nGATA1 4 5 6\n" },
  { "word2vec.bin", "2 3\nKLF1 " .. floats { 1, 2, 3 } .. "\nGATA1 " .. floats { 4, 5, 6 } .. "\n" },
  { "gensim.bin", "2 3\nKLF1 " .. floats { 1, 2, 3 } .. "GATA1 " .. floats { 4, 5, 6 } },
  { "rows.csv", "gene,d1,d2,d3\nKLF1,1,2,3\nGATA1,4,5,6\n" },
  { "esm2.tsv", "\t0\t1\t2\nKLF1\t1\t2\t3\nGATA1\t4\t5\t6\n" },
  { "genept.csv", "KLF1,1,2,3\nGATA1,4,5,6\n" },
  { "scgpt_columns.tsv", "KLF1\tGATA1\n1\t4\n2\t5\n3\t6\n" },
}

local function is_it(e, name)
  assert(#e.genes == 2 and e:dim() == 3, name .. ": " .. tostring(e))
  local k, g = e:rows { "KLF1" }, e:rows { "GATA1" }
  assert(k:get(1, 2) == 2 and g:get(1, 3) == 6, name)
end

test("gene vectors as text and word2vec's bytes: gene2vec, node2vec, GloVe, gensim, tables of both directions", function()
  for _, v in ipairs(vectors) do
    both(v[1], v[2], function(path) is_it(embed.read(path), path) end)
  end
end)

local matrix = core.tensor { { 1, 2, 3 }, { 4, 5, 6 } }

test("gene vectors in npy, npz, h5ad, safetensors; scGPT's vocabulary, Geneformer's table of ids, GenePT's genes", function()
  local names = put("names.txt", "KLF1\nGATA1\n")
  core.npy_write(folder .. "/v.npy", matrix)
  is_it(embed.read(folder .. "/v.npy", { names = names }), "npy")
  files.write(folder .. "/v.npz", { IDs = { "KLF1", "GATA1" }, data = matrix })
  is_it(embed.read(folder .. "/v.npz"), "npz")
  core.h5ad_write(folder .. "/v.h5ad", { x = matrix, obs_names = { "KLF1", "GATA1" }, var_names = { "a", "b", "c" } })
  is_it(embed.read(folder .. "/v.h5ad"), "h5ad")
  files.write(folder .. "/own.safetensors", { embedding = matrix }, { genes = "KLF1\nGATA1" })
  is_it(embed.read(folder .. "/own.safetensors"), "safetensors")
  local rows = core.cat({ core.zeros(1, 3), matrix }, 1)
  files.write(folder .. "/scgpt.safetensors", { ["encoder.embedding.weight"] = rows })
  is_it(embed.read(folder .. "/scgpt.safetensors", { names = put("vocab.json", '{"<pad>":0,"GATA1":2,"KLF1":1}') }), "scGPT")
  files.write(folder .. "/geneformer.safetensors", { ["bert.embeddings.word_embeddings.weight"] = rows })
  is_it(embed.read(folder .. "/geneformer.safetensors", { names = put("tokens.tsv", "KLF1\t1\nGATA1\t2\n") }), "Geneformer")
  both("genept.json", '{"KLF1": [1, 2, 3], "GATA1": [4, 5, 6]}', function(path) is_it(embed.read(path), "GenePT") end)
  local function bad(text, message) raises(message, embed.read, put("bad.json", text)) end
  bad('{"KLF1": [1, 2], "GATA1": [1]}', "'KLF1': 2 numbers, a list of 1 numbers expected")
  bad('{"KLF1": 3}', "'KLF1': 3, a list of 1 numbers expected")
  bad('{"KLF1": ["x"]}', "'KLF1' has 'x' among its numbers")
  bad('{"KLF1": [1', "not valid JSON")
  bad('[1, 2]', "an object of gene names")
end)

-- ---- responses ----------------------------------------------------------------------------------------------

test("tables of responses, long and wide, both directions, with and without control", function()
  both("perturbqa.csv", "pert,gene,label,split\nKLF1,HBB,1,train\nKLF1,HBG2,0,train\nGATA1,HBB,1,test\n", function(path)
    local R = data.read(path):responses()
    assert(#R.rows == 2 and R.kind == "label" and R.mask and R.rows[1].part == "test")
  end)
  both("long.tsv", "target_gene\tgene\tcell_line\tlogfc\tweight\nKLF1\tHBB\tK562\t0.5\t2\nKLF1\tHBB\tRPE1\tNA\t1\n"
    .. "GATA1\tHBB\tK562\t-1\t1\n", function(path)
    local D = data.read(path, { kind = "effect" })
    assert(D:responses().contexts[1] == "K562" and #D.genes == 1, tostring(D))
  end)
  both("wide.csv", ",HBB,HBG2\ncontrol,1,2\nKLF1,3,\n", function(path)
    local R = data.read(path):responses()
    assert(#R.rows == 1 and R.delta:get(1, 1) == 2 and R.mask:get(1, 2) == 0)
  end)
  both("wide_t.csv", ",control,KLF1\nHBB,1,3\nHBG2,2,5\n", function(path)
    local R = data.read(path):responses()
    assert(#R.rows == 1 and R.delta:get(1, 2) == 3 and R.genes[2] == "HBG2")
  end)
end)

-- ---- arrays, 10x, what is not read -----------------------------------------------------------------------

test("arrays: npy, npz, safetensors", function()
  assert(files.read(folder .. "/v.npy"):get(2, 3) == 6)
  assert(files.read(folder .. "/v.npz").data:get(2, 3) == 6)
  assert(files.read(folder .. "/own.safetensors").embedding:get(2, 3) == 6)
end)

test("10x folders, plain and packed", function()
  local mtx = "%%MatrixMarket matrix coordinate integer general\n%c\n2 3 3\n1 1 5\n2 2 1\n2 3 7\n"
  for k, packed in ipairs { false, true } do
    local at = "mex" .. k
    core.mkdir(folder .. "/" .. at)
    put(at .. "/matrix.mtx", mtx)
    put(at .. "/features.tsv", "ENSG1\tKLF1\tGene Expression\nENSG2\tGATA1\tGene Expression\n")
    put(at .. "/barcodes.tsv", "A-1\nB-1\nC-1\n")
    if packed then os.execute(("gzip '%s/%s'/*"):format(folder, at)) end
    local D = data.read(folder .. "/" .. at, { perturbation = false, counts = true })
    assert(D.n == 3 and D.genes[2] == "GATA1" and D.x:get(3, 2) == 7, tostring(D))
  end
end)

test("formats that are not read say how to convert them, with EFORMAT", function()
  local unread = { { "a.pkl", "\128\4\149\10\0\0\0", "pickle can run code" }, { "a.parquet", "PAR1xxxxxxxxPAR1", "parquet" },
    { "a.rds", "RDX3\nxxxxxxxx", "R data" }, { "a.bz2", "BZh91AY&SYxxxxxxx", "bzip2" }, { "a.xz", "\253\55zXZ\0xxxxxxx", "xz" } }
  for _, u in ipairs(unread) do
    local path = put(u[1], u[2])
    for _, reader in ipairs { data.read, embed.read, graph.read } do
      local ok, e = pcall(reader, path)
      assert(not ok and type(e) == "table" and e.code == "EFORMAT", u[1])
      assert(not tostring(e):find "\n")
    end
    local _, e = pcall(data.read, path)
    assert(tostring(e):find(u[3], 1, true), tostring(e))
  end
end)

test("the files of this spec go away", function()
  os.execute(("rm -r '%s'"):format(folder))
  assert(not core.stat(folder))
end)
