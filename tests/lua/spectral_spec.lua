-- Spectral embeddings: eigenvalues against NetworkX and SciPy (tests/golden/spectral.py), residuals, threads, bad input.
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local graph = require "dynamo.graph"

local golden = dofile((arg[0]:match "^(.*)/" or ".") .. "/../golden/spectral.lua")

local function network(text, signed)
  local list = {}
  for u, v, w in text:gmatch "(%d+),(%d+),(%-?%d+)" do list[#list + 1] = { "n" .. u, "n" .. v, tonumber(w) } end
  return graph.from_edges(list, { directed = false, signed = signed })
end

-- The network of spectral.py that is too large for the dense solver; a repeated pair has its last weight there.
local function big()
  local n, weight, list = 1500, {}, {}
  local function add(i, j, w) weight[math.min(i, j) * n + math.max(i, j)] = w end
  for i = 0, n - 1 do
    add(i, (i + 1) % n, 1 + i % 3)
    local j = (i * i + 7) % n
    if i ~= j then add(i, j, 2) end
  end
  for i = 0, n - 1 do
    for j = i + 1, n - 1 do
      local w = weight[i * n + j]
      if w then list[#list + 1] = { "n" .. i, "n" .. j, w } end
    end
  end
  return graph.from_edges(list, { directed = false })
end

local function close(got, want, from, tol)
  got = got:totable()
  for i, v in ipairs(got) do
    local w = want[i + from]
    assert(math.abs(v - w) <= tol * (1 + math.abs(w)), ("eigenvalue %d: %.15g, not %.15g"):format(i, v, w))
  end
end

test("eigenvalues are NetworkX's to 1e-8: weighted, signed, in pieces, of the Laplacian and of the adjacency", function()
  local trivial = { karate = 1, lesmis = 1, signed = 0, pieces = 2 }
  for _, name in ipairs { "karate", "lesmis", "signed", "pieces" } do
    local left_out = trivial[name]
    local g, t = network(golden[name].edges, name == "signed"), golden[name]
    for _, kind in ipairs { "normalised", "random_walk", "adjacency" } do
      local _, l, r = core.spectral(g, { dim = 8, laplacian = kind, signed = name == "signed" })
      if kind == "adjacency" then close(l, t.adjacency, 0, 1e-8) else close(l, t.laplacian, left_out, 1e-8) end
      assert(r < 1e-12)
    end
  end
end)

test("eigenvalues of a larger network are SciPy's by iteration, in single and double precision", function()
  local g = big()
  for _, tol in ipairs { 1e-4, 1e-5, 1e-9 } do
    for _, kind in ipairs { "normalised", "adjacency" } do
      local _, l, r = core.spectral(g, { dim = 16, tol = tol, laplacian = kind })
      assert(r <= tol, ("residual %g, not %g"):format(r, tol))
      close(l, golden.big[kind == "adjacency" and kind or "laplacian"], kind == "adjacency" and 0 or 1,
        tol > 1e-5 and 1e-6 or 1e-8)
    end
  end
end)

test("the same bytes for 1, 2 and 4 threads, in both precisions", function()
  local g, before = big(), core.threads()
  for _, tol in ipairs { 1e-4, 1e-7 } do
    local first
    for _, threads in ipairs { 1, 2, 4 } do
      core.threads(threads)
      local x = core.spectral(g, { dim = 16, tol = tol })
      first = first or x
      assert((x - first):abs():max():item() == 0)
    end
  end
  core.threads(before)
end)

test("more eigenvectors than a network in pieces has, and other bad input, are clear errors", function()
  local g = graph.from_edges({ { "a", "b" }, { "b", "c" }, { "x", "y" } }, { directed = false })
  raises("the largest component has 3 nodes", embed.spectral, g, { dim = 3 })
  raises("5 nodes in 2 components have at most 3 vectors, 4 wanted", embed.spectral, g, { dim = 4, components = "all" })
  raises("no edges", embed.spectral, graph.from_edges({}, { directed = false }), { dim = 1 })
  raises("'laplacian' must be", embed.spectral, g, { dim = 1, laplacian = "adjacent" })
  local e = embed.spectral(g, { dim = 2, laplacian = "adjacency" })
  assert(#e.genes == 3 and math.abs(e.eigenvalues:totable()[1] - math.sqrt(2)) < 1e-12 and #e.left_out == 2)
end)
