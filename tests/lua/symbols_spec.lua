-- Mapping of gene names.
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local graph = require "dynamo.graph"
local symbols = require "dynamo.symbols"

local function with(text, f)
  local path = os.tmpname()
  local out = assert(io.open(path, "wb"))
  out:write(text)
  out:close()
  local ok, e = pcall(f, path)
  os.remove(path)
  if not ok then error(e, 0) end
end

local hgnc = "hgnc_id\tsymbol\talias_symbol\tprev_symbol\tentrez_id\tensembl_gene_id\n" ..
  "1\tMARCHF1\tRNF171\tMARCH1\t55016\tENSG00000145416\n2\tKLF1\t\"EKLF|HBFQTL6\"\t\t10661.0\tENSG00000105610\n" ..
  "3\tAAA\tTWO\t\t1\tENSG1\n4\tBBB\tTWO\t\t2\tENSG2\n"

test("names are mapped by the first rule with one answer, with a report", function()
  with(hgnc, function(path)
    local out, r = symbols.map({ "KLF1", "EKLF", "MARCH1", "ENSG00000105610.7", "10661", "TWO", "nope", "1-Mar", "klf1",
      "LOC1" }, path, { LOC1 = true })
    assert(table.concat(out, " ") == "KLF1 KLF1 MARCHF1 KLF1 KLF1 TWO nope MARCHF1 klf1 LOC1")
    assert(r.mapped == 7 and r.count.alias == 1 and r.count.ensembl == 1 and r.count.entrez == 1 and r.count.exact == 1)
    assert(r.ambiguous[1] == "TWO" and #r.unmatched == 2 and r.case[1] == "klf1" and r.dates[1] == "1-Mar")
    assert(tostring(r):find("7 of 10 names mapped (exact 1, symbol 2, previous 1, alias 1, ensembl 1, entrez 1)", 1, true),
      tostring(r))
    assert(tostring(r):find("another species?", 1, true) and #r.merged == 4)
  end)
  assert(symbols.date "Sep-02" == "SEPTIN2" and symbols.date "2-sep" == "SEPTIN2" and not symbols.date "HLA-A")
end)

test("tables without symbols or ids are refused", function()
  with("a,b\nx,y\n", function(path) raises("no column with symbols", symbols.read, path) end)
  with("symbol,b\nx,y\n", function(path) raises("no column with aliases", symbols.read, path) end)
end)

local file = (os.getenv "DYNAMO_TEST_DATA" or "../shared/data") .. "/annotation/gene_ids.tsv.gz"
if core.stat(file) then
  test("a table of 40,000 genes: Ensembl and Entrez", function()
    local out, r = symbols.map({ "ENSG00000121410", "503538", "A1CF" }, file)
    assert(table.concat(out, " ") == "A1BG A1BG-AS1 A1CF" and r.mapped == 3)
  end)
else
  print("# skip symbols: no " .. file)
end

local ids = "symbol\talias\tensembl\nTP53\tP53|LFS1\tENSG1\nKLF1\tEKLF\tENSG2\nMYC\tBHLHE39\tENSG3\n"

local vectors_text = "gene\ta\tb\tc\nENSG1.7\t1\t2\t0\nEKLF\t3\t4\t1\nP53\t5\t6\t2\nwhat\t7\t8\t5\n"
local edges_text = "source\ttarget\tweight\nENSG1\tEKLF\t1\nTP53\tMYC\t-1\nP53\tTP53\t1\nP53\tKLF1\t1\n"

test("imported vectors get symbols for ids and aliases, with a report", function()
  with(ids, function(names)
    with(vectors_text, function(path)
      local e = embed.read(path, { symbols = names })
      assert(table.concat(e.genes, " ") == "TP53 KLF1 what" and e:rows({ "TP53" }):get(1, 1) == 1)
      assert(e.mapping.mapped == 3 and e.mapping.unmatched[1] == "what" and e.mapping.merged[1] == "P53")
      assert(tostring(e.mapping):find("3 of 4 names mapped (alias 2, ensembl 1)", 1, true))
      local some = embed.read(path, { symbols = names, genes = { "MYC", "KLF1", "what", "TP53" }, dim = 2 })
      assert(table.concat(some.genes, " ") == "KLF1 what TP53" and some.left_out[1] == "MYC" and some:dim() == 2)
      assert(some.mapping.mapped == 3 and some.source:find "pca=2")
      assert(embed.read(path, { dim = 9 }):dim() == 3)
      raises("none of the 1 genes has a vector in", embed.read, path, { genes = { "TP53" } })
      raises("dim' must be an integer 1..4096 (got 0)", embed.read, path, { dim = 0 })
      raises("No such file", embed.read, path, { symbols = "/none/ids.tsv" })
    end)
  end)
end)

test("networks get them too: nodes of one symbol become one", function()
  with(ids, function(names)
    with(edges_text, function(path)
      local g, report = graph.read(path, { symbols = names })
      local nodes = g:names()
      table.sort(nodes)
      assert(table.concat(nodes, " ") == "KLF1 MYC TP53" and g:edges() == 2 and g:signed() and report.mapped == 6)
      assert(graph.read(path, { symbols = names, loops = true }):edges() == 3)
      assert(select("#", graph.read(path)) == 1 and graph.read(path):nodes() == 6)
    end)
  end)
end)

local data = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"
local vectors, table_of_ids = data .. "/embeddings/scgpt_subset.tsv.gz", data .. "/annotation/gene_ids.tsv.gz"

test("real vectors of a foundation model under Ensembl ids", function()
  if not core.stat(vectors) then return print("# skip: no " .. vectors) end
  local e = embed.read(vectors)
  local t, id = core.read_table(table_of_ids), {}
  for i, s in ipairs(t.data[1]) do id[s] = id[s] or t.data[3][i] end
  local names, there = {}, 0
  for i, g in ipairs(e.genes) do
    local known = id[g] and id[g]:match "^ENSG"
    names[i], there = known and id[g] or g, there + (known and 1 or 0)
  end
  local path = os.tmpname() .. ".tsv"
  require("dynamo.embedding").new({ genes = names, values = e.values }):write(path)
  local back = embed.read(path, { symbols = table_of_ids, dim = 32 })
  os.remove(path)
  assert(there > 400 and back.mapping.count.ensembl >= there - 5 and back:dim() == 32)
  assert(back:coverage(e.genes).share > 0.98)
end)
