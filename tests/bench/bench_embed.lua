-- Embeddings of the anchor graph: an edge list of integers (source<TAB>target) with 20,000 nodes and 200,000 edges.
-- usage: build/dynamo tests/bench/bench_embed.lua [train.edgelist [out.emb]]; without a file a random graph of that size
-- One number per line: seconds of node2vec (10 walks of 80, window 10, 5 negatives, 128 dimensions) with one thread and
-- with all, of p = 0.5, q = 2, and of spectral embeddings with their residuals.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local embed = require "dynamo.embed"

local path, out = (arg or {})[1], (arg or {})[2]

-- 200,000 random pairs of 20,000 nodes; degrees fall off as in a network of genes.
local function random_graph()
  local a, b = core.rand(1, 200000, "double"), core.rand(2, 200000, "double")
  local from, to = (a * a * 20000):floor():totable(), (b * 20000):floor():totable()
  for k = 1, #from do from[k], to[k] = ("%d"):format(from[k]), ("%d"):format(to[k]) end
  return core.graph(nil, from, to, nil, { directed = false, signed = false, source = "random" })
end

local function clock(name, f)
  local start = core.time()
  local e = f()
  print(("%s %.2f"):format(name, core.time() - start))
  return e
end

local g = clock("read", function()
  return path and require("dynamo.graph").read(path, { directed = false }) or random_graph()
end)
local all = core.threads()
core.threads(1)
local e = clock("node2vec_1_thread", function() return embed.node2vec(g) end)
core.threads(all)
local f = clock(("node2vec_%d_threads"):format(all), function() return embed.node2vec(g) end)
print(("same_bytes %d"):format((e.values - f.values):abs():max():item() == 0 and 1 or 0))
clock("node2vec_p0.5_q2", function() return embed.node2vec(g, { p = 0.5, q = 2 }) end)
for _, k in ipairs { 64, 128 } do
  local s = clock("spectral_" .. k, function() return embed.spectral(g, { dim = k, tol = 1e-4 }) end)
  print(("spectral_%d_residual %.2g"):format(k, s.residual))
end
if out then e:write(out) end
