local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local graph = require "dynamo.graph"

-- Two communities of n genes: everybody knows every third of the own.
local function communities(n)
  local edges = { { "a1", "b1" } }
  for _, side in ipairs { "a", "b" } do
    for i = 1, n do
      for step = 1, n - 1, 3 do edges[#edges + 1] = { side .. i, side .. (i + step - 1) % n + 1 } end
    end
  end
  return graph.from_edges(edges, { directed = true, source = "two" })
end

local function same(x, y)
  return (x - y):abs():max():item() == 0
end

local function separated(e)
  local hits = 0
  for _, pair in ipairs(e:nearest("a5", 5)) do if pair[1]:sub(1, 1) == "a" then hits = hits + 1 end end
  return hits >= 4
end

test("node2vec finds communities, the same for any number of threads", function()
  local g = communities(20)
  local e = embed.node2vec(g, { dim = 16, walks = 10, length = 30, window = 5, seed = 3 })
  assert(tostring(e) == "Embedding node2vec two dim=16: 40 genes x 16")
  assert(e:dim() == 16 and e.values:type() == "float" and separated(e))
  local before = core.threads()
  core.threads(before == 1 and 2 or 1)
  local one = embed.node2vec(g, { dim = 16, walks = 10, length = 30, window = 5, seed = 3 })
  core.threads(before)
  assert(same(e.values, one.values))
  local other = embed.node2vec(g, { dim = 16, walks = 10, length = 30, window = 5, seed = 4 })
  assert(not same(e.values, other.values))
  raises("option 'dim' must be an integer", embed.node2vec, g, { dim = 0 })
  raises("did you mean 'window'", embed.node2vec, g, { windw = 3 })
  raises("has no edges", embed.node2vec, graph.from_edges({}, { names = { "x" } }))
end)

test("node2vec: a gene keeps away from those that negative edges lead to", function()
  local edges = {} -- x likes three of either community and dislikes ten of the first
  for _, side in ipairs { "a", "b" } do
    for i = 1, 20 do
      for step = 1, 19, 3 do edges[#edges + 1] = { side .. i, side .. (i + step - 1) % 20 + 1, 1 } end
    end
    for i = 1, 3 do edges[#edges + 1] = { "x", side .. i, 1 } end
  end
  for i = 11, 20 do edges[#edges + 1] = { "x", "a" .. i, -1 } end
  local g = graph.from_edges(edges, { directed = false, signed = true })
  local opts = { dim = 16, walks = 60, length = 20, window = 3, seed = 2 }
  local function near_a(e) -- mean cosine of x with the first community minus that with the second
    local unit, sum = e:normalised(), { a = 0, b = 0 }
    for side in pairs(sum) do
      for i = 1, 20 do sum[side] = sum[side] + (unit:rows { "x" } * unit:rows { side .. i }):sum():item() / 20 end
    end
    return sum.a - sum.b
  end
  local plain = near_a(embed.node2vec(graph.filter(g, { sign = 1 }), opts))
  opts.repel = true
  local apart = near_a(embed.node2vec(g, opts))
  assert(math.abs(plain) < 0.05 and apart < plain - 0.02, ("%.3f with, %.3f without"):format(apart, plain))
  raises("no edge is positive", embed.node2vec, graph.filter(g, { sign = -1 }), opts)
end)

test("node2vec goes on from a checkpoint with the same bytes, and refuses another's", function()
  local g, path = communities(20), os.tmpname()
  os.remove(path)
  local opts = { dim = 8, walks = 150, length = 10, window = 3, seed = 3 }
  local whole = embed.node2vec(g, opts)
  opts.checkpoint = path
  local core_node2vec, parts = core.node2vec, 0
  core.node2vec = function(...) -- stops after two parts, as if interrupted
    parts = parts + 1
    if parts == 3 then error "interrupted" end
    return core_node2vec(...)
  end
  raises("interrupted", embed.node2vec, g, opts)
  core.node2vec = core_node2vec
  local other = {}
  for k, v in pairs(opts) do other[k] = v end
  other.window = 2
  raises("is the checkpoint of another training: window is 3 there and 2 here", embed.node2vec, g, other)
  local e = embed.node2vec(g, opts)
  assert(same(e.values, whole.values))
  assert(io.open(path) == nil)
end)

test("node2vec with racing threads finds the same communities", function()
  local g, before = communities(20), core.threads()
  core.threads(2)
  local e = embed.node2vec(g, { dim = 16, walks = 60, length = 30, window = 5, seed = 3, race = true })
  core.threads(1)
  local one = embed.node2vec(g, { dim = 16, walks = 10, length = 30, window = 5, seed = 3, race = true })
  local two = embed.node2vec(g, { dim = 16, walks = 10, length = 30, window = 5, seed = 3 })
  core.threads(before)
  assert(separated(e) and same(one.values, two.values))
end)

test("netmf, prone, deepwalk, line: communities are found, the same for 1 and 2 threads", function()
  local g, before = communities(20), core.threads()
  local ways = { { "netmf", { dim = 8 } }, { "netmf", { dim = 8, method = "netmf", window = 5 } },
    { "netmf", { dim = 8, method = "netsmf", window = 5 } },
    { "node2vec", { dim = 16, method = "deepwalk", length = 30 } },
    { "node2vec", { dim = 16, method = "line", length = 40, walks = 40, epochs = 3 } } }
  for _, way in ipairs(ways) do
    local e = embed[way[1]](g, way[2])
    assert(separated(e), e.source)
    core.threads(before == 1 and 2 or 1)
    assert(same(e.values, embed[way[1]](g, way[2]).values), e.source)
    core.threads(before)
  end
  assert(tostring(embed.netmf { graph = g, dim = 4 }) == "netmf { dim = 4, graph = " .. tostring(g) .. " }")
  near(require("dynamo.factorise").bessel(1, 0.5), 0.25789430539089632, 1e-14)
  raises("method 'deepwalk' has p = q = 1", embed.node2vec, g, { method = "deepwalk", p = 2 })
end)

test("netmf is the logarithm of what walks see", function()
  local e = embed.netmf(graph.from_edges({ { "a", "b" }, { "b", "c" } }, { directed = false }),
    { method = "netmf", window = 1, dim = 3 })
  -- vol = 4: a-b has 4 * (1/1) / 2, as has c-b
  local x = e.values:to "double"
  local m = x:matmul(x:t())
  near(m:get(1, 1), math.log(2) / math.sqrt(2), 1e-5) -- |M| of the bipartite matrix
end)

test("netsmf is netmf from what walks see; beyond the dense matrix netmf is netsmf", function()
  local g = graph.random { nodes = 300, edges = 1500, blocks = 6, within = 0.8 }
  local dense = embed.netmf(g, { method = "netmf", dim = 5, window = 3 })
  local drawn = embed.netmf(g, { method = "netsmf", dim = 5, window = 3, samples = 400 })
  local few = embed.netmf(g, { method = "netsmf", dim = 5, window = 3, samples = 2 })
  local agreement = require "dynamo.agreement"
  local close = agreement.cka(dense, drawn)
  assert(close > 0.97 and close > agreement.cka(dense, few), close)
  local large = graph.random { nodes = 7000, edges = 21000, blocks = 2, within = 1 }
  local opts = { method = "netmf", dim = 4, window = 2, samples = 3, power = 1 }
  local e = embed.netmf(large, opts)
  assert(#e.genes > 6000 and e:dim() == 4)
  opts.method = "netsmf"
  assert(same(e.values, embed.netmf(large, opts).values))
end)

test("diffusion maps: vectors scaled by the eigenvalues of the walk", function()
  local g = communities(20)
  local e, d = embed.spectral(g, { dim = 4, laplacian = "random_walk" }), embed.spectral(g, { dim = 4, diffusion = 2 })
  for j = 1, 4 do near(d.values:get(3, j), e.values:get(3, j) * (1 - e.eigenvalues:get(j)) ^ 2, 1e-5) end
end)

test("progress stops a computation", function()
  local ok, e = pcall(embed.node2vec, communities(20), { dim = 8, progress = function() error "stop" end })
  assert(not ok and e.code == "ECANCEL")
end)

test("walks follow edges", function()
  local g = communities(9)
  local w = core.walks(g, { walks = 2, length = 12, p = 0.5, q = 2 })
  local a = g:adjacency { direction = "both" }
  local n, len = w:size()
  assert(n == 36 and len == 12)
  for i = 1, n do for j = 2, len do assert(a:get(w:get(i, j - 1), w:get(i, j)) == 1) end end
end)

test("spectral: communities first, components, the Laplacian's eigenvalues", function()
  local g = communities(20)
  local e = embed.spectral(g, { dim = 4 })
  assert(e.residual < 1e-6 and #e.left_out == 0 and e:dim() == 4)
  local first = e:rows { "a7", "a9", "b7" }
  assert(first:get(1, 1) * first:get(2, 1) > 0 and first:get(1, 1) * first:get(3, 1) < 0)
  local ring = {}
  for i = 1, 6 do ring[i] = { "r" .. i, "r" .. i % 6 + 1 } end
  local r = embed.spectral(graph.from_edges(ring), { dim = 5 })
  for j, want in ipairs { 0.5, 0.5, 1.5, 1.5, 2 } do near(r.eigenvalues:get(j), want, 1e-12) end
  ring[7] = { "x", "y" }
  local big = graph.from_edges(ring)
  local e2 = embed.spectral(big, { dim = 3 })
  assert(#e2.genes == 6 and #e2.left_out == 2 and e2.left_out[1] == "x")
  assert(#embed.spectral(big, { dim = 6, components = "all" }).genes == 8)
  assert(#embed.spectral(big, { dim = 3, laplacian = "random_walk" }).genes == 6)
  raises("the largest component has 6 nodes", embed.spectral, big, { dim = 6 })
end)

-- worked example: sets of j1, j2, j3 and of a query, sizes counted over the first three
local sets = { { name = "s1", genes = { "j1", "q" } }, { name = "s2", genes = { "j1", "j2", "q", "q" } },
  { name = "s3", genes = { "j2", "j3", "q" } }, { name = "s4", genes = { "j3", "elsewhere" } } }

test("annotation: membership cosines as the worked example has them", function()
  local e = embed.annotation(sets, { genes = { "j1", "j2", "j3", "q", "nowhere" }, counted = { "j1", "j2", "j3" },
    min_size = 1, dim = 3 })
  near(e.idf:get(1), 0.916290731874155) near(e.idf:get(2), 0.693147180559945)
  local s = e:similarity({ "q", "nowhere" }, { "j1", "j2", "j3" })
  assert(s:type() == "double")
  for j, want in ipairs { 0.856244709034633, 0.730540893106192, 0.311645719307333 } do
    near(s:get(1, j), want, 1e-12)
    assert(s:get(2, j) == 0)
  end
  assert(#e.genes == 4 and e.left_out[1] == "nowhere" and e.sets[4] == "s4" and e:dim() == 3)
  -- all four dimensions keep every product of rows
  local full = embed.annotation(sets, { genes = { "j1", "j2", "j3", "q" }, counted = { "j1", "j2", "j3" }, min_size = 1,
    dim = 4 })
  local gram, want = core.cosine(full.values, { 1, 2, 3, 4 }, { 1, 2, 3, 4 }),
    full:similarity({ "j1", "j2", "j3", "q" }, { "j1", "j2", "j3", "q" })
  assert((gram - want):abs():max():item() < 1e-6)
  raises("none of the 2 genes is in a set", embed.annotation, sets, { genes = { "x", "y" } })
  assert(#embed.annotation(sets, { min_size = 2 }).genes == 5) -- every gene of the sets
end)

test("random vectors depend on the name and the seed alone", function()
  local a, b = embed.random({ "x", "y" }, { dim = 400 }), embed.random({ "z", "y", "x" }, { dim = 400 })
  assert(same(a:rows { "x" }, b:rows { "x" }))
  near(a:rows { "x" }:square():sum():item(), 1, 0.2)
  assert(not same(a.values, embed.random({ "x", "y" }, { dim = 400, seed = 2 }).values))
end)

test("recipes are checked at once, printed, and built later", function()
  local g = communities(10)
  local r = embed.node2vec { graph = g, dim = 8, walks = 2, length = 10 }
  assert(r.kind == "embedding" and r.name == "node2vec" and r.options.dim == 8 and r.options.window == 10)
  assert(tostring(r) == "node2vec { dim = 8, graph = " .. tostring(g) .. ", length = 10, walks = 2 }")
  local e = r:build { seed = 7 }
  assert(same(e.values, embed.node2vec(g, { dim = 8, walks = 2, length = 10, seed = 7 }).values))
  raises("option 'graph' must be", embed.node2vec, { dim = 8 })
  raises("unknown option 'dimm'; did you mean 'dim'?", embed.random, { dimm = 3 })
  raises("option 'sets' is required", embed.annotation, { dim = 3 })
  local x = embed.random { dim = 5 }:build { genes = { "u", "v" }, seed = 1 }
  assert(#x.genes == 2 and x:dim() == 5)
  raises("genes are not known", function() embed.random { dim = 5 }:build() end)
  local a = embed.annotation { sets = sets, dim = 2, min_size = 1 }:build { genes = { "j1", "j2" } }
  assert(#a.genes == 2)
  local p = embed.permuted { of = embed.random { dim = 3, genes = { "a", "b", "c", "d" } } }:build { seed = 2 }
  assert(p.source == "permuted random dim=3")
  local c = embed.concat { embed.random { dim = 3 }, r, weights = { 1, 2 } }
  assert(c:build { genes = { "a1", "b3", "zz" } }:dim() == 11)
end)

test("an embedding answers for its genes", function()
  local e = embedding.new { genes = { "TP53", "MDM2", "KLF1" }, source = "toy",
    values = core.tensor { { 1, 0 }, { 2, 0.5 }, { 0, -1 } } }
  assert(e:has "TP53" and not e:has "X" and e:index "KLF1" == 3 and embedding.is(e))
  local cov = e:coverage { "KLF1", "X", "TP53", "Y" }
  assert(cov.share == 0.5 and cov.covered[2] == "TP53" and cov.missing[1] == "X")
  assert(e:nearest("TP53", 2)[1][1] == "MDM2" and e:nearest("TP53", 9)[2][2] == 0)
  local s = e:similarity({ "TP53", "X" }, { "MDM2" })
  near(s:get(1, 1), 2 / math.sqrt(4.25)) assert(s:get(2, 1) == 0)
  raises("gene 'TP35' has no vector in toy; did you mean 'TP53'?", e.rows, e, { "KLF1", "TP35" })
  assert(e:align { "KLF1", "X", "TP53" }.left_out[1] == "X")
  raises("none of the 1 genes", e.align, e, { "X" })
  raises("occurs twice", embedding.new, { genes = { "a", "a" }, values = core.zeros(2, 2) })
  raises("3 genes and values with 2 rows", embedding.new, { genes = { "a", "b", "c" }, values = core.zeros(2, 2) })
  raises("not finite", embedding.new, { genes = { "a" }, values = core.full(0 / 0, 1, 2) })
end)

test("algebra: unit rows, components, whitening, permutation, joining", function()
  local genes = {}
  for i = 1, 60 do genes[i] = "g" .. i end
  local e = embedding.new { genes = genes, source = "r", values = core.randn(1, 60, 5) }
  near(e:normalised().values:square():sum(2):min():item(), 1, 1e-5)
  local w = e:whiten().values:to "double"
  local cov = w:t():matmul(w) * (1 / 59)
  assert((cov - core.eye(5, "double")):abs():max():item() < 1e-5)
  local p = e:pca(2).values:to "double"
  assert(p:size(2) == 2 and math.abs(p:mean(1):get(1)) < 1e-6)
  assert(p:square():sum(1):get(1) > p:square():sum(1):get(2))
  raises("k must be an integer 1..5", e.pca, e, 6)
  local q = e:permuted(3)
  local moved = 0
  for i = 1, 60 do if q.genes[i] ~= genes[i] then moved = moved + 1 end end
  assert(moved > 50 and same(q.values, e.values))
  local c = embed.concat { e, e:pca(2):align { "g3", "g9" }, weights = { 1, 0.5 } }
  assert(#c.genes == 2 and c:dim() == 7 and c.source == "r + 0.5 x r pca=2")
  near(c.values:square():sum(2):get(1), 1.25, 1e-5)
  raises("no gene has a vector in every part", embed.concat, { e, embed.random({ "zz" }, { dim = 2 }) })
  raises("part 1 is neither", embed.concat, { 3 })
  raises("1 weights for 2 parts", embed.concat, { e, e, weights = { 1 } })
end)

test("files bring every float back", function()
  local e = embedding.new { genes = { "A-1", "B.2" }, values = core.randn(4, 2, 7), source = "x" }
  for _, ext in ipairs { ".tsv", ".emb", ".bin" } do
    local path = os.tmpname() .. ext
    e:write(path)
    local back = embed.read(path)
    os.remove(path) os.remove((path:gsub("%.%w+$", "")))
    assert(back.genes[1] == "A-1" and same(back.values, e.values))
  end
  raises("must end in .tsv", e.write, e, "x.dat")
  raises("cannot be written", e.write, e, "/nowhere/x.tsv")
  local odd = embedding.new { genes = { "a b" }, values = core.zeros(1, 1) }
  raises("cannot be written in this format", odd.write, odd, "x.emb")
  raises("cannot be written in this format", odd.write, odd, "x.bin")
end)

test("the nearest rows: as their cosines say, also where hundreds are nearly as near", function()
  for _, spread in ipairs { 1, 1e-3 } do
    local x, q = core.randn(5, 700, 80) * spread, {}
    x = x + core.zeros(700, 80, "float") + (spread < 1 and 1 or 0)
    for i = 1, 700 do q[i] = i end
    local id, sim = core.neighbours(x, q, 6)
    local all = core.cosine(x, q, q)
    for i = 1, 700, 23 do
      local row = all:select(1, i):totable()
      row[i] = -2
      table.sort(row, function(a, b) return a > b end)
      for k = 1, 6 do near(sim:get(i, k), row[k], 1e-7) end
      assert(id[(i - 1) * 6 + 1] ~= i)
    end
  end
end)
