local core = require "dynamo.core"
local embed = require "dynamo.embed"
local stopwords = require "dynamo.stopwords"
local text = require "dynamo.text"

local data = os.getenv "DYNAMO_TEST_DATA" or "../shared/data"
local summaries = data .. "/annotation/gene_summaries.tsv.gz"

local function same(x, y) return (x - y):abs():max():item() == 0 end

local function written(name, body)
  local path = os.tmpname() .. name
  local f = assert(io.open(path, "w"))
  f:write(body)
  f:close()
  return path
end

local few = { names = { "A", "B", "C", "D" }, texts = { "kinase of the membrane", "kinase kinase nucleus",
  "membrane transport", "the" } }

test("texts become unit rows of TF-IDF; similarity is that of all terms", function()
  local e = embed.text(few, { dim = 2, min_df = 1, max_share = 1 })
  assert(#e.genes == 3 and e.left_out[1] == "D" and e:dim() == 2)
  assert(table.concat(e.terms, " ") == "kinase membrane nucleus transport")
  near(e.term_idf:get(1), math.log(5 / 3) + 1)
  local i, tf = e.term_idf:get(1), 1 + math.log(2)
  local n, m = math.log(5 / 2) + 1, e.term_idf:get(2)
  local want = i * i * tf / math.sqrt(i * i + m * m) / math.sqrt(tf * tf * i * i + n * n)
  near(e:similarity({ "A" }, { "B" }):item(), want, 1e-6)
  assert(e:similarity({ "A" }, { "D" }):item() == 0)
  assert(tostring(e) == "Embedding text 4 terms dim=2: 3 genes x 2, 1 without a vector")
end)

test("BM25, n-grams, stop words, genes, recipes", function()
  local b = embed.text(few, { dim = 2, min_df = 1, max_share = 1, weight = "bm25" })
  assert(not same(b.values, embed.text(few, { dim = 2, min_df = 1, max_share = 1 }).values))
  local two = embed.text(few, { dim = 2, min_df = 1, max_share = 1, ngrams = 2, stop = false })
  assert(("|" .. table.concat(two.terms, "|") .. "|"):find("|kinase of|", 1, true))
  local some = embed.text(few, { dim = 2, min_df = 1, max_share = 1, genes = { "B", "X", "A" } })
  assert(some.genes[1] == "B" and some.genes[2] == "A" and some.left_out[1] == "X")
  local r = embed.text { texts = { A = "alpha beta", B = "beta gamma" }, min_df = 1, max_share = 1, dim = 1 }
  assert(embed.is_recipe(r) and tostring(r):match "^text {")
  local built = r:build { genes = { "B", "C" } }
  assert(#built.genes == 1 and built.left_out[1] == "C")
  raises("none of 4 texts has a term", embed.text, few, { min_df = 4 })
  raises("did you mean 'ngrams'", embed.text, few, { ngram = 2 })
  raises("a file or a table of texts expected", embed.text, 3)
  assert(#stopwords.english() > 150)
end)

test("tables of texts: columns by name, repeats joined, what is wrong is said", function()
  local path = written(".tsv", "entrez\tSymbol\tsummary\tmore\n1\tA\tone two\tx\n2\tB\t\tx\n3\tA\tthree\tx\n")
  local t = text.read(path)
  assert(#t.names == 1 and t.texts[1] == "one two three" and t.empty == 1 and t.joined == 1)
  assert(text.read(path, { id = "entrez", text = "more" }).texts[3] == "x")
  raises("no column 'sumary'; did you mean 'summary'?", text.read, path, { text = "sumary" })
  os.remove(path)
  raises("No such file", text.read, path)
  raises("2 names and 1 texts", text.of, { names = { "A", "B" }, texts = { "x" } })
  raises("the text of 'A' is not a string", text.of, { A = 3 })
end)

test("gene summaries: zinc fingers are near zinc fingers, the same bytes for 1 and 2 threads", function()
  local f = io.open(summaries)
  if not f then return print "# skip gene summaries: no data" end
  f:close()
  local before = core.threads()
  core.threads(1)
  local e = embed.text(summaries, { dim = 24 })
  core.threads(2)
  local two = embed.text(summaries, { dim = 24 })
  core.threads(before)
  assert(same(e.values, two.values) and #e.genes > 14900 and #e.terms > 8000)
  local s = e:similarity({ "GATA1" }, { "GATA2", "ACTB" })
  assert(s:get(1, 1) > 3 * s:get(1, 2))
end)
