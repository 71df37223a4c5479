-- From one cell line to another without retraining: a model of K562 knock-downs predicts RPE1, of which it sees nothing
-- but unperturbed cells. The test genes are unseen in both lines (Replogle et al. 2022, rank profiles).
--
--     dynamo run examples/03_transfer.lua
--
-- Strict zero-shot rows use target controls only. "(template)" adds the mean training response of RPE1, "(native)" was
-- trained there, "copy" is the measured response of the same knock-down in K562. Claim: the operators carry over better
-- than the neighbours carried over unchanged, at both references.
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with responses/ and annotation/")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local function annotation(name) return ("%s/annotation/%s.symbols.gmt.gz"):format(folder, name) end
local sets = dynamo.annotation.read { annotation "c5.bp.v6.2", annotation "c5.cc.v7.0", annotation "c5.mf.v7.0",
  annotation "c2.cp.reactome.v7.0" }

local function check(results)
  for _, ref in ipairs { "control", "centroid" } do
    local key = ("pearson@%s/all"):format(ref)
    for _, name in ipairs { "koopman", "mlp" } do
      local r = results:retention(name, key, "RPE1")
      print(("%s at %s: transfer %.3f, native %.3f, retention %.2f; with the target's template %.3f"):format(name, ref,
        r.transfer, r.native, r.retention or 0 / 0, results:summary(results:row(name .. " (template)"), key, "RPE1").mean))
    end
    local d = results:compare(results:main(), results:row "knn", key, "RPE1")
    print(("knn carried over at %s: %.3f (reference %.3f); koopman - knn %+.3f"):format(ref,
      results:summary(results:row "knn", key, "RPE1").mean, ref == "control" and 0.291 or 0.095, d.mean))
    assert(d.mean > 0, "the operators carry over no better than the neighbours")
  end
end

return dynamo.experiment {
  name = "k562-to-rpe1",
  question = "Do operators learned in K562 hold in RPE1?",
  data = folder .. "/responses/replogle_ranks.h5ad",
  split = dynamo.split.contexts { test = "RPE1", unseen = 0.25, validate = 0 },
  embedding = dynamo.embed.annotation { sets = sets, dim = 128 },
  model = dynamo.model.koopman { members = quick and 1 or 5 },
  seeds = quick and { 1 } or { 1, 2, 3, 4, 5 },
  check = check,
}
