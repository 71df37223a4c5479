-- Six ways to give genes vectors, with their controls, on the same model and splits: a regulatory network (node2vec,
-- spectral), descriptions (text), co-expression, annotation, and vectors of a foundation model. K562 knock-downs of Replogle
-- et al. 2022, genes that were never perturbed. node2vec is there twice: networks of transcription factors cover few of these
-- genes, and node2vec-completed gives the others the vectors of those with similar descriptions.
--
--     dynamo examples/08_six_strategies.lua [data=../shared/data]
--
-- Claim: what annotation and text know is about these genes: at the centroid reference, on the genes that all strategies
-- cover, both are above the same vectors under permuted names; text, which has not seen the gene sets, tells which genes share
-- one better than permuted text.
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with responses/, annotation/, graphs/, embeddings/")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local both = dynamo.data.read(folder .. "/responses/replogle_ranks.h5ad"):responses()
local k562 = both:select(both:where(function(row) return row.context == "K562" end))
local grn = dynamo.graph.read(folder .. "/graphs/collectri.csv")
local summaries = dynamo.text.read(folder .. "/annotation/gene_summaries.tsv.gz")
local sets = dynamo.annotation.read { folder .. "/annotation/c5.bp.v6.2.symbols.gmt.gz",
  folder .. "/annotation/c2.cp.reactome.v7.0.symbols.gmt.gz" }

local walks, length = quick and 1 or 10, quick and 20 or 80
local function node2vec(fallback)
  return dynamo.embed.node2vec { graph = grn, dim = quick and 32 or 128, walks = walks, length = length, fallback = fallback }
end

local c = dynamo.compare {
  name = "six-strategies",
  question = "Which vectors of genes let us predict knock-downs nobody has made?",
  data = k562,
  split = dynamo.split.unseen_genes { test = 0.25, validate = 0 },
  model = dynamo.model.koopman { members = 1, epochs = quick and 15 or 60 },
  seeds = quick and { 1 } or { 1, 2 },
  draws = quick and 1000 or 10000,
  report = not quick,
  sets = sets,
  embeddings = {
    ["node2vec"] = node2vec(),
    ["node2vec-completed"] = node2vec { dynamo.embed.text { texts = summaries }, "mean" },
    ["spectral"] = dynamo.embed.spectral { graph = grn, dim = quick and 16 or 128 },
    ["text"] = dynamo.embed.text { texts = summaries },
    ["coexpression"] = dynamo.embed.coexpression { data = folder .. "/expression/k562_timeseries.tsv.gz", dim = 16 },
    ["annotation"] = dynamo.embed.annotation { sets = sets },
    ["scgpt"] = folder .. "/embeddings/scgpt_subset.tsv.gz",
  },
  controls = quick and { "permuted" } or { "permuted", "rewired" },
}
c:run { quiet = true, write = not quick }

local key = "pearson@centroid/all-target"
for _, name in ipairs { "annotation", "text" } do
  local d = c:difference(name, "permuted:" .. name, key, "K562", "matched")
  print(("%s - permuted: %+.3f [%.3f, %.3f] on %d genes that all cover"):format(name, d.mean, d.lo, d.hi, d.n))
  assert(d.lo > 0, name .. " is no better than its permutation")
end
local known, chance = c.biology.auroc["text"], c.biology.auroc["permuted:text"]
print(("which genes share a set: text %.3f, permuted text %.3f"):format(known, chance))
assert(known > chance + 0.03, "text does not know which genes share a set")
