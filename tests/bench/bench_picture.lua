-- A t-SNE picture of 3,000 vectors of 64 numbers in 50 clusters against scikit-learn's, which gets the same vectors and as
-- many threads. Quality is the exact Kullback-Leibler divergence that each reached, from the same probabilities, computed by
-- the peer's script; then trustworthiness of 10 neighbours.
-- usage: build/dynamo tests/bench/bench_picture.lua [n]
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local bench = require "frame"

local n, d, clusters = tonumber((arg or {})[1]) or 3000, 64, 50

local function made()
  local x, centre, genes, at = core.randn(1, n, d, "double"), core.randn(2, clusters, d, "double"), {}, {}
  for i = 1, n do genes[i], at[i] = "g" .. i, (i - 1) % clusters + 1 end
  return embedding.new { genes = genes, values = x * 0.7 + centre:index(1, at), source = "clusters" }:normalised()
end

local e = made()
local start = core.time()
local p = e:picture()
local seconds = core.time() - start
local folder = os.tmpname()
os.remove(folder)
core.npz_write(folder .. ".npz", { "x", "y" }, { e.values, p.points })
local peer = bench.peer("tests/bench/peer_picture.py", folder .. ".npz")
os.remove(folder .. ".npz")
local theirs, ours = peer["t-SNE divergence"] or {}, peer["our divergence"] or {}
bench.row { name = "picture", case = ("t-SNE %d x %d, divergence"):format(n, d), seconds = seconds, quality = ours.quality or p.kl,
  peak_mb = bench.peak_mb(), peer = "scikit-learn", peer_seconds = theirs.seconds }
bench.row { name = "picture", case = "  its divergence", quality = theirs.quality }
bench.row { name = "picture", case = "  trustworthiness (10)", quality = p.trustworthiness }
bench.row { name = "picture", case = "  its trustworthiness", quality = (peer["t-SNE trustworthiness"] or {}).quality }
