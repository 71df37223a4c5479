-- Yes or no: does the knock-down change this gene, and in which direction? PerturbQA (ICLR 2025), its published split,
-- AUROC per gene over held-out knock-downs. Only 1 or 2% of the pairs are labelled: training is masked.
--
--     dynamo run examples/05_perturbqa.lua                           K562, differential expression
--     dynamo run examples/05_perturbqa.lua task=rpe1-dir             or k562-dir, rpe1-de
--     dynamo run examples/05_perturbqa.lua task=all                  all four, one after the other
--
-- Claim: above the published methods (the table that is printed beside the figure) and level with or above neighbours.
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with responses/ and annotation/")
local task = dynamo.setting("task", "k562-de", "k562-de, k562-dir, rpe1-de, rpe1-dir or all")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local function annotation(name) return ("%s/annotation/%s.symbols.gmt.gz"):format(folder, name) end
local sets = dynamo.annotation.read { annotation "c5.bp.v6.2", annotation "c5.cc.v7.0", annotation "c5.mf.v7.0",
  annotation "c2.cp.reactome.v7.0" }

-- As published, mean over genes (PerturbQA, results notebook).
local published = {
  { "GEARS", ["k562-de"] = 0.55, ["rpe1-de"] = 0.49, ["k562-dir"] = 0.67, ["rpe1-dir"] = 0.61 },
  { "GAT", ["k562-de"] = 0.53, ["rpe1-de"] = 0.55, ["k562-dir"] = 0.59, ["rpe1-dir"] = 0.60 },
  { "GenePT-Prot", ["k562-de"] = 0.59, ["rpe1-de"] = 0.56, ["k562-dir"] = 0.55, ["rpe1-dir"] = 0.61 },
  { "retrieval, no LLM", ["k562-de"] = 0.58, ["rpe1-de"] = 0.59, ["k562-dir"] = 0.69, ["rpe1-dir"] = 0.63 },
  { "SUMMER (LLM)", ["k562-de"] = 0.62, ["rpe1-de"] = 0.59, ["k562-dir"] = 0.64, ["rpe1-dir"] = 0.64 },
}
local least = { ["k562-de"] = 0.67, ["rpe1-de"] = 0.65, ["k562-dir"] = 0.79, ["rpe1-dir"] = 0.74 }

local function experiment(name)
  return dynamo.experiment {
    name = "perturbqa-" .. name,
    question = "Which genes change, and which way, when a gene is knocked down that was never perturbed?",
    data = ("%s/responses/perturbqa/%s.csv.gz"):format(folder, name),
    split = dynamo.split.column { validate = 0 },
    embedding = dynamo.embed.annotation { sets = sets, dim = 128 },
    model = dynamo.model.koopman { members = quick and 1 or 3, learnable = false },
    train = { epochs = 20, batch = 128, lr = 1e-3 },
    check = function(results)
      local s = results:summary(results:main(), "auroc")
      print(("%s: AUROC per gene %.3f over %d genes, knn %.3f; as published:"):format(name, s.mean, s.n_defined,
        results:summary(results:row "knn", "auroc").mean))
      for _, row in ipairs(published) do
        print(("  %-18s %.2f"):format(row[1], row[name]))
        assert(s.mean > row[name], "below " .. row[1])
      end
      assert(quick or s.mean >= least[name], ("%s: %.3f is below %.2f"):format(name, s.mean, least[name]))
    end,
  }
end

if task == "all" then
  for _, name in ipairs { "k562-de", "k562-dir", "rpe1-de" } do dynamo.experiment.run(experiment(name)) end
  task = "rpe1-dir"
end
assert(least[task], "task=" .. task .. ": k562-de, k562-dir, rpe1-de, rpe1-dir or all expected")
return experiment(task)
