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

-- Two kinds of sentences: words with a and words with b, never together.
local function two_kinds()
  local t, draw = { names = {}, texts = {} }, core.randint(1, 0, 6, 3600):totable()
  for i = 1, 300 do
    local words = {}
    for k = 1, 12 do words[k] = ("%s%d"):format(i % 2 == 0 and "alpha" or "beta", draw[12 * i + k - 12]) end
    t.names[i], t.texts[i] = ("g%03d"):format(i), table.concat(words, " ")
  end
  return t
end

test("word vectors by skip-gram: words of one kind are near, genes are the mean of their words", function()
  local t, opts = two_kinds(), { method = "skipgram", dim = 8, min_df = 1, max_share = 1, epochs = 20, lr = 0.05 }
  local e = embed.text(t, opts)
  assert(#e.genes == 300 and e:dim() == 8 and #e.words.genes == 14 and not e.membership)
  for _, near_ in ipairs(e.words:nearest("alpha1", 5)) do assert(near_[1]:match "^alpha", near_[1]) end
  for _, near_ in ipairs(e:nearest("g002", 20)) do assert(tonumber(near_[1]:match "%d+") % 2 == 0, near_[1]) end
  assert(e.values:mean(1):abs():max():item() < 1e-6) -- less the mean of all
  local before = core.threads()
  core.threads(before == 1 and 2 or 1)
  assert(same(embed.text(t, opts).values, e.values))
  core.threads(before)
  local longer = { a = ("alpha beta gamma "):rep(70), b = "alpha delta" }
  assert(#embed.text(longer, { method = "skipgram", dim = 4, min_df = 1, max_share = 1 }).genes == 2)
  raises("method 'skipgram' has single words (got ngrams = 2)", embed.text, t, { method = "skipgram", ngrams = 2 })
  raises("must be one of svd skipgram (got 'skpgram')", embed.text, t, { method = "skpgram" })
  raises("a smaller lr is needed", core.word_vectors, core.tensor({ { 1, 2, 3, 2, 1, 3 }, { 3, 2, 1, 1, 2, 3 } }, "double"), 3,
    { lr = 1e30, epochs = 50 })
  raises("the number of a word, or 0, expected", core.word_vectors, core.tensor({ { 1, 4 } }, "double"), 3)
  raises("the texts have no words", core.word_vectors, core.zeros(2, 3, "double"), 3)
end)

test("the names of gene sets as texts", function()
  local sets = { { name = "GO_CELL_CYCLE_ARREST", genes = { "TP53", "CDKN1A" } }, { name = "GO_DNA_REPAIR",
    genes = { "TP53" } } }
  local t = text.of_sets(sets)
  assert(table.concat(t.names, " ") == "CDKN1A TP53" and t.texts[2] == "cell cycle arrest. dna repair")
  local e = embed.text(t, { min_df = 1, max_share = 1, dim = 2 })
  assert(#e.genes == 2 and e:similarity({ "TP53" }, { "CDKN1A" }):item() > 0.4)
end)

test("real summaries: the words of skip-gram know what belongs together", function()
  if not core.stat(summaries) then return print("# skip: no " .. summaries) end
  local t, some = text.read(summaries), { names = {}, texts = {} }
  for i = 1, #t.names, 4 do some.names[#some.names + 1], some.texts[#some.texts + 1] = t.names[i], t.texts[i] end
  local e = embed.text(some, { method = "skipgram", dim = 32, epochs = 5 })
  local near_, found = e.words:nearest("mitochondrial", 10), false
  for _, x in ipairs(near_) do found = found or x[1]:match "^mitochondri" ~= nil end
  assert(found, near_[1][1])
end)
