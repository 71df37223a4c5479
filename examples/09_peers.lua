-- GEARS, scGen and the latent additive model beside the baselines, on the cells of a small screen: 500 genes, singles and
-- doubles in K562, three brain tumour lines (Norman et al. 2019, McFaline-Figueroa et al. 2024).
--
--     dynamo run examples/09_peers.lua
--
-- All of them are fitted here, on the same rows, cells, graph and split, and scored by the same code. scGen cannot name a
-- gene: its rows say what stands in for one. "raw" compares decoded cells with controls, so the error of reconstruction
-- counts; the gap to "residual" is its size. Claim: every row predicts every perturbation, and says how far it had to fall
-- back.
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with cells/ and annotation/")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local function annotation(name) return ("%s/annotation/%s.symbols.gmt.gz"):format(folder, name) end
local sets = dynamo.annotation.read { annotation "c5.bp.v6.2", annotation "c2.cp.reactome.v7.0" }

local cells = quick and 10 or 0
local function scgen(kind, reconstruction)
  return dynamo.baseline["scgen_" .. kind] { reconstruction = reconstruction, epochs = quick and 2 or 40,
    cells_per_perturbation = cells, hidden = quick and 64 or 800 }
end
local gears = { epochs = quick and 1 or 10, cells_per_perturbation = cells, dim = quick and 8 or 32 }

local function check(results)
  for _, name in ipairs { "gears", "gears_faithful", "scgen_mean", "latent_additive", "mean" } do
    local s = results:summary(results:row(name), "pearson@control/all")
    print(("%-16s Pearson at the control %.3f"):format(name, s.mean))
    assert(s.mean == s.mean, name .. " has no score")
  end
end

return dynamo.experiment {
  name = "peers",
  question = "Where do the published models stand on the same split?",
  data = folder .. "/cells/norman_mcfaline_500genes.h5ad",
  split = dynamo.split.unseen_genes { test = 0.25, validate = 0.1 },
  embedding = dynamo.embed.annotation { sets = sets, dim = 64 },
  model = dynamo.model.koopman { members = quick and 1 or 5 },
  train = quick and { epochs = 5 } or {},
  baselines = { dynamo.baseline.gears(gears), dynamo.baseline.gears_faithful(gears), scgen("mean", "raw"), scgen("mean", "residual"), scgen("knn", "residual"),
    scgen("zero", "raw"),
    dynamo.baseline.latent_additive { epochs = quick and 2 or 50, cells_per_perturbation = cells } },
  check = check,
}
