local agreement = require "dynamo.agreement"
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"

local function named(x)
  local genes, n = {}, x:size()
  for i = 1, n do genes[i] = "g" .. i end
  return embedding.new { genes = genes, values = x:to "float", source = "x" }
end

local x = core.randn(1, 200, 6, "double")
local a, rotation = named(x), core.qr(core.randn(2, 6, 6, "double"))

test("a rotated, scaled, shifted copy agrees in everything", function()
  local b = named(x:matmul(rotation) * 3 + 1)
  local r = agreement.report(a, b)
  near(r.cka, 1, 1e-6)
  near(r.distance_correlation, 1, 1e-6)
  near(r.neighbours.chance, 0.0257731, 1e-4)
  assert(r.procrustes.disparity < 1e-6 and (r.procrustes.rotation - rotation):abs():max():item() < 1e-5)
  assert((r.procrustes.aligned.values - b.values):abs():max():item() < 1e-4)
  assert(#r.angles == 6 and r.angles[6] < 1e-5)
  near(agreement.neighbours(a, named(x:matmul(rotation) * 3)).mean, 1)
end)

test("unrelated embeddings do not", function()
  local b = named(core.randn(9, 200, 4, "double"))
  local r = agreement.report(a, b)
  assert(r.cka < 0.1 and r.procrustes.disparity > 0.9 and r.distance_correlation < 0.4)
  assert(math.abs(r.neighbours.mean - r.neighbours.chance) < 0.02 and #r.angles == 4 and r.angles[1] > 0.8)
  local few = agreement.distance_correlation(a, b, { genes = 50 })
  assert(few == agreement.distance_correlation(a, b, { genes = 50 }) and few > 0)
end)

test("known angles: a plane turned by 0.3 and by 1.2", function()
  local n = 40
  local q = core.qr(core.cat({ core.full(1, n, 1, "double"), core.randn(5, n, 4, "double") }, 2)):narrow(2, 2, 5)
  local first = named(q:narrow(2, 1, 2) * 5)
  local c1, s1, c2, s2 = math.cos(0.3), math.sin(0.3), math.cos(1.2), math.sin(1.2)
  local second = named(core.cat({ q:narrow(2, 1, 1) * c1 + q:narrow(2, 3, 3) * s1,
    q:narrow(2, 2, 2) * c2 + q:narrow(2, 4, 4) * s2 }, 2))
  local t = agreement.angles(first, second)
  near(t[1], 0.3, 1e-5)
  near(t[2], 1.2, 1e-5)
  assert(#agreement.angles(first, second, { k = 1 }) == 1)
end)

test("what cannot be compared is said", function()
  local other = embedding.new { genes = { "h1", "g1", "g2" }, values = core.randn(1, 3, 2), source = "y" }
  raises("2 genes have a vector in both", agreement.cka, a, other)
  raises("two embeddings expected", agreement.procrustes, a, 3)
  local flat = named(core.full(1, 200, 2, "double"))
  raises("all vectors are the same", agreement.cka, a, flat)
  raises("all vectors are the same", agreement.angles, a, flat)
  raises("all vectors are the same", agreement.distance_correlation, a, flat)
end)
