-- The whole program on a simulated screen: read, embed, train, predict genes and pairs that nobody perturbed, and another
-- cell line; compare with baselines.
--
--     dynamo examples/01_demo.lua                 about a minute
--     dynamo examples/01_demo.lua quick=true      a few seconds, the claims are printed but not asserted
--
-- Claim: on unseen genes the operator model beats every baseline at both references, on doubles it is at least as good
-- as adding up the singles, and in the second line it beats what is known there without perturbing anything.
local dynamo = require "dynamo"

local quick = dynamo.setting("quick", false, "a small screen, one seed")
local out = dynamo.setting("out", "runs/demo", "folder of the results")
local claims = require("dynamo.demo").main { quick = quick, out = out }

for i, c in ipairs(claims) do assert(quick or c.holds, ("claim %d does not hold: %s"):format(i, c.text)) end
