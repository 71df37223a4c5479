-- Two genes at once: 101 pairs of activated genes in K562, each single measured (Norman et al. 2019; pseudobulks in 50
-- principal components). A fifth of the pairs is held out; all singles are known.
--
--     dynamo run examples/04_norman_combinations.lua
--
-- The additive model is hard to beat here (median cosine .937). Claim: the operators, which start from it and learn from
-- the other pairs how one gene's operator acts on another's effect, are above it. For every held-out pair the spread
-- between the orders of the product and the norm of the commutator are printed: how far the model is from an answer
-- that does not depend on the order.
local dynamo = require "dynamo"

local folder = dynamo.setting("data", "../shared/data", "folder with responses/ and annotation/")
local quick = os.getenv "DYNAMO_QUICK" == "1"

local function annotation(name) return ("%s/annotation/%s.symbols.gmt.gz"):format(folder, name) end
local sets = dynamo.annotation.read { annotation "c5.bp.v6.2", annotation "c5.cc.v7.0", annotation "c5.mf.v7.0",
  annotation "c2.cp.reactome.v7.0" }

local function pairs_of(results)
  print "\nheld-out pairs of the first seed: order spread (share of the change), commutator (share of both norms)"
  local model, seen = results:main().fitted, {}
  for _, i in ipairs(results.splits[1].test) do
    local row = results.R.rows[i]
    local a, b = row.targets[1], row.targets[2]
    if b and not seen[row.perturbation] then
      seen[row.perturbation] = true
      local _, spread = model:order_spread(row.perturbation)
      print(("  %-20s spread %.3f  commutator %.3f"):format(row.perturbation, spread, model:commutator(a, b).relative))
    end
  end
end

local function check(results)
  pairs_of(results)
  for _, key in ipairs { "cosine@control/all", "pearson@control/all" } do
    local m, a = results:summary(results:main(), key), results:summary(results:row "additive", key)
    print(("%s: operators mean %.4f median %.4f, additive mean %.4f median %.4f"):format(key, m.mean, m.median, a.mean,
      a.median))
    assert(m.mean >= a.mean, "the operators are below the additive model")
  end
end

return dynamo.experiment {
  name = "norman-combinations",
  question = "What do two genes do together, if we know what each does alone?",
  data = folder .. "/responses/norman_pc50.h5ad",
  split = dynamo.split.combinations { singles = "all", test = 0.2, validate = 0 },
  embedding = dynamo.embed.annotation { sets = sets, dim = 128 },
  model = dynamo.model.koopman { members = quick and 1 or 5 },
  seeds = quick and { 1 } or { 1, 2, 3, 4, 5 },
  check = check,
}
