-- Which embedding of genes helps? The same operator model and splits on vectors from annotation, from a regulatory
-- network (Node2Vec and spectral, on the union of several resources), and on controls: random vectors and the annotation
-- with its genes permuted. K562 knock-downs of Replogle et al. 2022, genes that were never perturbed.
--
--     dynamo run examples/06_compare_embeddings.lua
--
-- Claim: annotation is above its own permutation at the centroid reference: what it adds is about these genes, not about
-- having vectors. Networks of transcription factors cover few of these genes (the coverage is printed).
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with responses/, annotation/ and graphs/")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local function annotation(name) return ("%s/annotation/%s.symbols.gmt.gz"):format(folder, name) end
local sets = dynamo.annotation.read { annotation "c5.bp.v6.2", annotation "c5.cc.v7.0", annotation "c5.mf.v7.0",
  annotation "c2.cp.reactome.v7.0" }
local grn = dynamo.graph.read(folder .. "/graphs/ensemble.tsv.gz")

local both = dynamo.data.read(folder .. "/responses/replogle_ranks.h5ad"):responses()
local k562 = both:select(both:where(function(row) return row.context == "K562" end))
local known = dynamo.embed.annotation(sets, { genes = k562:targets(), dim = 128 })
local shuffled = known:permuted(1)
shuffled.source = "permuted annotation"

local rows = {
  node2vec = dynamo.embed.node2vec { graph = grn, dim = 128, walks = quick and 2 or 10, length = quick and 20 or 80 },
  spectral = dynamo.embed.spectral { graph = grn, dim = quick and 16 or 128 },
}

local function check(results)
  local key = "pearson@centroid/all-target"
  for _, name in ipairs { "node2vec", "spectral" } do
    local e = rows[name]:build { genes = k562:targets(), seed = 1 }
    print(("%-10s covers %.0f%% of the %d knock-downs"):format(name, 100 * e:coverage(k562:targets()).share,
      #k562:targets()))
  end
  print(("%-10s covers %.0f%%"):format("annotation", 100 * known:coverage(k562:targets()).share))
  local permuted
  for _, r in ipairs(results.rows) do
    if r.model == "koopman" and r.embedding:match "^permuted" then permuted = r end
  end
  local d = results:compare(results:main(), permuted, key)
  print(("annotation - permuted annotation at the centroid: %+.3f [%.3f, %.3f]"):format(d.mean, d.lo or 0 / 0,
    d.hi or 0 / 0))
  assert(d.mean > 0, "annotation is no better than its permutation")
end

return dynamo.experiment {
  name = "compare-embeddings",
  question = "Which embedding of genes lets us predict knock-downs nobody has made?",
  data = k562,
  split = dynamo.split.unseen_genes { test = 0.25, validate = 0 },
  embedding = known,
  model = dynamo.model.koopman { members = quick and 1 or 3 },
  ablate = { embedding = { rows.node2vec, rows.spectral, shuffled } },
  seeds = quick and { 1 } or { 1, 2, 3 },
  check = check,
}
