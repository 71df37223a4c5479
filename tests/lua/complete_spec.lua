local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local graph = require "dynamo.graph"
local model = require "dynamo.model"
local responses = require "dynamo.responses"

local e = embedding.new { genes = { "A", "B", "C" }, source = "three",
  values = core.tensor({ { 1, 0 }, { 0, 1 }, { 4, 4 } }, "float") }
local net = graph.from_edges({ { "X", "A", 3 }, { "B", "X", -1 }, { "X", "Y" }, { "Z", "Z2" } },
  { signed = true, source = "net" })
local other = embedding.new { genes = { "A", "C", "Z" }, source = "other",
  values = core.tensor({ { 1, 0 }, { 0, 1 }, { 2, 2 } }, "float") }

local function row(x, gene)
  local t = x:rows { gene }
  return t:get(1, 1), t:get(1, 2)
end

test("neighbours in a graph, then in an embedding, then the mean; nobody gets zeros", function()
  local full = e:complete({ "A", "X", "Y", "Z", "X", "Q" }, { net, other, "mean" })
  assert(table.concat(full.genes, " ") == "A B C X Z Y Q" and #full.left_out == 0)
  local a, b = row(full, "X")
  near(a, 0.75) -- 3 A + 1 B, by |weight| and in either direction
  near(b, 0.25)
  a, b = row(full, "Z")
  near(a, 2.5, 1e-6) -- A and C alike
  near(b, 2, 1e-6)
  a, b = row(full, "Y") -- X is no help: its vector is not its own
  near(a, 5 / 3, 1e-6)
  near(b, 5 / 3, 1e-6)
  assert(full.origin.X == "neighbours" and full.origin.Z == "neighbours" and full.origin.Q == "mean" and not full.origin.A)
  assert(full.origin_source.X == "net (2 genes)" and full.origin_source.Q == "mean" and full.origin_source.Z == "other (2 genes)")
  assert(full:flag "A" == "embedding" and full:flag "X" == "neighbours" and full:flag "none" == nil)
  local c = full:coverage { "A", "X", "Q", "none" }
  assert(c.share == 0.25 and c.neighbours[1] == "X" and c.mean[1] == "Q" and c.missing[1] == "none")
  assert(tostring(full) == "Embedding three: 7 genes x 2, 4 of them from others")
  assert((full:rows { "A", "B", "C" } - e.values):abs():max():item() == 0)
end)

test("what no step knows is listed; k cuts; what has but the mean is like nobody", function()
  local some = e:complete({ "X", "Y" }, { net })
  assert(#some.genes == 4 and some.left_out[1] == "Y" and not some:has "Y")
  local one = e:complete({ "Z" }, { other }, { k = 1 })
  local a, b = row(one, "Z")
  near(a + b, 1) -- A, the first of two that are equally near
  local full = e:complete({ "Q", "X" }, { net, "mean" })
  assert(full:similarity({ "Q" }, { "A", "B" }):abs():max():item() == 0)
  assert(full:similarity({ "X" }, { "A" }):item() > 0.9)
end)

test("a completed embedding stays one through what is done with it", function()
  local full = e:complete({ "X", "Q" }, { net, "mean" })
  for _, x in ipairs { full:align { "X", "A", "Q" }, full:normalised(), full:pca(2), full:permuted(3),
    full:align({ "X", "A", "Q" }):whiten() } do
    assert(x:flag "X" == "neighbours" and x:flag "Q" == "mean" and x:flag "A" == "embedding")
  end
  local again = full:complete({ "New" }, { "mean" })
  assert(again.origin.X == "neighbours" and again.origin.New == "mean")
end)

local sets = { { name = "s", genes = { "A", "B", "X2" } }, { name = "t", genes = { "B", "C", "D" } } }

test("set membership is mixed too", function()
  local a = embed.annotation({ sets = sets }, { dim = 2, min_size = 1 })
  local full = a:complete({ "X", "Q" }, { graph.from_edges { { "A", "X" }, { "D", "X" } }, "mean" })
  local n, width = full.membership:size()
  assert(n == #full.genes and width == 2)
  near(full:similarity({ "X" }, { "A" }):item(), math.sqrt(0.5), 1e-6)
  near(full:similarity({ "A" }, { "B" }):item(), a:similarity({ "A" }, { "B" }):item(), 1e-7)
  assert(full:similarity({ "Q" }, { "A" }):item() == 0)
end)

test("recipes complete the genes they are built for", function()
  local r = embed.annotation { sets = { sets = sets }, dim = 2, min_size = 1, fallback = { net, "mean" } }
  assert(tostring(r):find('fallback = { Graph net: 4 edges', 1, true) and tostring(r):find('"mean" }', 1, true))
  local built = r:build { genes = { "A", "X", "Q" } }
  assert(built:flag "X" == "neighbours" and built:flag "Q" == "mean" and #built.left_out == 0)
  local ring = graph.from_edges { { "A", "B" }, { "B", "C" }, { "C", "A" }, { "C", "D" } }
  local walk = embed.netmf { graph = ring, dim = 2, fallback = { embed.annotation { sets = { sets = sets }, dim = 2,
    min_size = 1 } } }
  built = walk:build { genes = { "A", "X2", "Q" } }
  assert(built:flag "X2" == "neighbours" and built.left_out[1] == "Q")
  -- B is a neighbour although nobody asked for it
  assert(built.origin_source.X2:find("(2 genes)", 1, true), built.origin_source.X2)
end)

test("flags of predictions say where a vector is from, also from a file", function()
  local names, rows = {}, {}
  for i = 1, 8 do
    names[i] = "g" .. i
    rows[i] = { perturbation = names[i], context = "K", n_cells = 50 }
  end
  local F = core.randn(1, 8, 3, "double")
  local R = responses.new { genes = { "x1", "x2", "x3", "x4" }, contexts = { "K" }, rows = rows, file = "made up",
    delta = F:matmul(core.randn(2, 3, 4, "double")), control = core.full(2, 1, 4, "double") }
  local own = embedding.new { genes = names, values = F:to "float", source = "own" }
  local full = own:complete({ "near", "far" }, { graph.from_edges { { "near", "g1" } }, "mean" })
  local fitted = model.koopman({ members = 1, epochs = 5, latent = 3, hidden = 4, rank = 2 }):fit { responses = R,
    train = { 1, 2, 3, 4, 5, 6 }, validate = {}, embedding = full, seed = 1 }
  local asked = { "g7", "near", "far", "g1+near" }
  local before, flags = fitted:predict(asked)
  assert(table.concat(flags, " ") == "embedding neighbours mean neighbours")
  local path = os.tmpname()
  fitted:save(path)
  local after, flags2 = require("dynamo.fitted").load(path):predict(asked)
  os.remove(path)
  assert((after - before):abs():max():item() == 0 and table.concat(flags2, " ") == table.concat(flags, " "))
  local knn = require("dynamo.baseline").knn({ embedding = full }):fit { responses = R, train = { 1, 2, 3, 4, 5, 6 } }
  local _, f = knn:predict { { perturbation = "near", context = "K" }, { perturbation = "far", context = "K" } }
  assert(f[1] == "neighbours" and f[2] == "mean")
end)

test("a wrong chain is said in a sentence", function()
  raises("a list of Graphs, Embeddings and \"mean\" expected (got a userdata)", e.complete, e, { "X" }, net)
  raises("step 1 of the chain must be a Graph, an Embedding or \"mean\" (got 'maen'); did you mean 'mean'?", e.complete, e,
    { "X" }, { "maen" })
  raises("\"mean\" is step 1 of 2; nothing can follow it", e.complete, e, { "X" }, { "mean", net })
  raises("option 'fallback' is for recipes", embed.netmf, net, { fallback = { "mean" } })
  raises("step 2 of the chain", embed.netmf, { graph = net, fallback = { net, 3 } })
  raises("did you mean 'k'", e.complete, e, { "X" }, { "mean" }, { kk = 3 })
end)
