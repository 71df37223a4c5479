-- Mapping of gene names.
local core = require "dynamo.core"
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
