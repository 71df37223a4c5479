-- Embeddings of the anchor graph: an edge list of integers (source<TAB>target) with 20,000 nodes and 200,000 edges.
-- usage: build/dynamo tests/bench/bench_embed.lua [train.edgelist [out.emb]]; without a file a random graph of that size
-- node2vec (10 walks of 80, window 10, 5 negatives, 128 dimensions) with one thread and with all, p = 0.5, q = 2, and
-- spectral embeddings with their residuals as quality.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local bench = require "frame"

local path, out = (arg or {})[1], (arg or {})[2]

-- 200,000 random pairs of 20,000 nodes; degrees fall off as in a network of genes.
local function random_graph()
  local a, b = core.rand(1, 200000, "double"), core.rand(2, 200000, "double")
  local from, to = (a * a * 20000):floor():totable(), (b * 20000):floor():totable()
  for k = 1, #from do from[k], to[k] = ("%d"):format(from[k]), ("%d"):format(to[k]) end
  return core.graph(nil, from, to, nil, { directed = false, signed = false, source = "random" })
end

local function clock(case, f, row)
  local start = core.time()
  local e = f()
  row = row or {}
  row.name, row.case, row.seconds = "embed", case, core.time() - start
  row.quality = type(e) == "table" and e.residual or row.quality
  bench.row(row)
  return e
end

local g = clock("read 200k edges", function()
  return path and require("dynamo.graph").read(path, { directed = false }) or random_graph()
end)
local all = core.threads()
core.threads(1)
local e = clock("node2vec 200k edges", function() return embed.node2vec(g) end, { peer = "gensim (reference)", peer_seconds = 124 })
core.threads(all)
local f = clock("node2vec 200k edges", function() return embed.node2vec(g) end, { peer = "gensim (reference)", peer_seconds = 69 })
assert((e.values - f.values):abs():max():item() == 0, "the number of threads changed the embedding")
clock("node2vec 200k edges p=0.5 q=2", function() return embed.node2vec(g, { p = 0.5, q = 2 }) end)
for _, k in ipairs { 64, 128 } do
  clock("spectral 200k edges k=" .. k, function() return embed.spectral(g, { dim = k, tol = 1e-4 }) end,
    { peer = "ARPACK (reference)", peer_seconds = k == 64 and 1.7 or 5.4 })
end
if out then e:write(out) end
