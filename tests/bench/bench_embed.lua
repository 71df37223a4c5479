-- Embeddings of a network of 20,000 nodes and 200,000 edges in blocks (10% more are held out), of larger ones, of texts.
-- usage: build/dynamo tests/bench/bench_embed.lua [part ...]: node2vec spectral large knn text (default: all but large)
-- Quality: of node2vec the AUC of held-out edges by cosine against random pairs, and the accuracy of a ridge classifier of
-- the blocks; of spectral embeddings the largest residual; of texts the largest angle of the first 32 dimensions to those
-- of a far longer iteration. Generated files are in $TMPDIR. `large` needs 4 GB and minutes.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local graph = require "dynamo.graph"
local bench = require "frame"
local planted = require "planted"

local peer, tmp = "tests/bench/peer_embed.py", os.getenv "TMPDIR" or "/tmp"
local all = core.threads()

local function clock(case, f, row)
  local start = core.time()
  local e = f()
  row = row or {}
  row.name, row.case, row.seconds = "embed", case, core.time() - start
  row.quality = row.quality or type(e) == "table" and e.residual or nil
  bench.row(row)
  return e
end

-- A network and the edges that it does not have: two lists of names.
local function network(n, m, held)
  local from, to = planted.edges(n, m + held, 1)
  local path = planted.write(("%s/dynamo_bench_%d.tsv"):format(tmp, m), from, to, 1, m)
  local a, b = {}, {}
  if held > 0 then a, b = from:narrow(1, m + 1, m + held):totable(), to:narrow(1, m + 1, m + held):totable() end
  return path, a, b
end

local function read(path) return graph.read(path, { directed = false }) end

-- ---- node2vec ---------------------------------------------------------------------------

-- Cosines of pairs of rows.
local function cosines(unit, a, b)
  return (unit:index(1, a) * unit:index(1, b)):sum(2):totable()
end

-- The share of (positive, negative) pairs in the right order.
local function auc(yes, no)
  local list, rank = {}, 0
  for _, v in ipairs(yes) do list[#list + 1] = { v, true } end
  for _, v in ipairs(no) do list[#list + 1] = { v, false } end
  table.sort(list, function(x, y) return x[1] < y[1] end)
  for i, x in ipairs(list) do if x[2] then rank = rank + i end end
  return (rank - #yes * (#yes + 1) / 2) / (#yes * #no)
end

local function link_auc(e, a, b)
  local unit, at, pa, pb, na, nb = e:normalised().values:to "double", {}, {}, {}, {}, {}
  for i, name in ipairs(e.genes) do at[name] = i end
  local random = (core.rand(7, 2 * #a, "double") * #e.genes):floor():totable()
  for k = 1, #a do
    local i, j = at[("%d"):format(a[k])], at[("%d"):format(b[k])]
    if i and j then
      pa[#pa + 1], pb[#pb + 1] = i, j
      na[#na + 1], nb[#nb + 1] = random[2 * k - 1] + 1, random[2 * k] + 1
    end
  end
  return auc(cosines(unit, pa, pb), cosines(unit, na, nb))
end

-- Ridge regression of the 50 blocks on half of the nodes, its largest answer on the other half.
local function accuracy(e)
  local x = core.cat({ e:normalised().values:to "double", core.zeros(#e.genes, 1, "double") + 1 }, 2)
  local order = core.rand(9, #e.genes, "double"):argsort()
  local half, y = math.floor(#order / 2), core.zeros(#e.genes, 50, "double")
  for i, name in ipairs(e.genes) do y:set(1, i, (tonumber(name) - 1) % 50 + 1) end
  local one, two = {}, {}
  for i, v in ipairs(order) do
    local list = i <= half and one or two
    list[#list + 1] = v
  end
  local t = x:index(1, one)
  local w = core.solve(t:t():matmul(t) + core.eye(x:size(2), "double") * 1e-2, t:t():matmul(y:index(1, one)))
  local said, hits = x:index(1, two):matmul(w):argmax(2):totable(), 0
  for k, i in ipairs(two) do if said[k] == (tonumber(e.genes[i]) - 1) % 50 + 1 then hits = hits + 1 end end
  return hits / #two
end

local function node2vec(path, a, b)
  local g = read(path)
  local row = { peer = "gensim (reference)", peer_seconds = 124 }
  core.threads(1)
  local e = clock("node2vec 200k edges", function() return embed.node2vec(g) end, row)
  core.threads(all)
  local f = clock("node2vec 200k edges", function() return embed.node2vec(g) end,
    { peer = "gensim (reference)", peer_seconds = 69 })
  assert((e.values - f.values):abs():max():item() == 0, "the number of threads changed the embedding")
  bench.row { name = "embed", case = "node2vec 200k edges, AUC", quality = link_auc(e, a, b) }
  bench.row { name = "embed", case = "node2vec 200k edges, communities", quality = accuracy(e) }
  clock("node2vec 200k edges p=0.5 q=2", function() return embed.node2vec(g, { p = 0.5, q = 2 }) end)
  e = clock("node2vec 200k edges race", function() return embed.node2vec(g, { race = true }) end)
  bench.row { name = "embed", case = "node2vec 200k edges race, AUC", quality = link_auc(e, a, b) }
end

-- ---- spectral ---------------------------------------------------------------------------

-- At equal residual: our tolerance is what ARPACK reached, measured as ours is, so that ours is never larger.
local function spectral_row(g, what, k, case, p)
  local e
  local seconds = bench.median(function() e = embed.spectral(g, { dim = k, tol = p.quality }) end, { warm = false })
  assert(e.residual <= p.quality, "a residual above ARPACK's")
  bench.row { name = "embed", case = ("spectral %s k=%d, residual"):format(what, k), seconds = seconds, quality = e.residual,
    peer = ("ARPACK %s (residual %.1e)"):format(case, p.quality), peer_seconds = p.seconds }
end

local function spectral(path, what)
  local g = read(path)
  for _, threads in ipairs { 1, all } do
    core.threads(threads)
    local peers = bench.peer(peer, "spectral " .. path)
    for _, k in ipairs { 64, 128 } do
      for _, case in ipairs { "float tol=0.001", "float tol=0.0001", "double tol=0.001" } do
        local p = peers[("%s k=%d"):format(case, k)]
        if p then spectral_row(g, what, k, case, p) end
      end
    end
  end
  core.threads(all)
end

-- ---- large networks -----------------------------------------------------------------------

-- One walk of 80 from (at most 200,000) nodes: steps per second and thread as quality.
local function walks(g, what)
  local a = g:adjacency { direction = "both" }
  local n = math.min(g:nodes(), 200000)
  core.threads(1)
  for _, o in ipairs { { 1, 1 }, { 0.5, 2 } } do
    local start = core.time()
    core.walks(a, { walks = 1, length = 80, p = o[1], q = o[2], last = n })
    local took = core.time() - start
    bench.row { name = "embed", case = ("walks %s p=%g q=%g, steps/s"):format(what, o[1], o[2]), seconds = took,
      quality = n * 80 / took, peak_mb = bench.peak_mb() }
  end
  core.threads(all)
end

local function large()
  for _, m in ipairs { 1000000, 10000000 } do
    local path = network(m / 10, m, 0)
    local what = ("%dM edges"):format(m / 1000000)
    local g = clock("read " .. what, function() return read(path) end, { threads = 1 })
    bench.row { name = "embed", case = "memory of the graph, " .. what, quality = core.live() / 1e6,
      peak_mb = bench.peak_mb() }
    walks(g, what)
    g = nil
    collectgarbage()
    if m == 1000000 then spectral(path, what) end
  end
end

-- ---- vectors and texts ----------------------------------------------------------------------

local function knn()
  local n = 20000
  local x, rows, peers = core.randn(7, n, 512), {}, bench.peer(peer, "knn " .. n)
  for i = 1, n do rows[i] = i end
  for _, metric in ipairs { "cosine", "euclidean" } do
    clock("50 nearest of 20,000 x 512", function() core.neighbours(x, rows, 50) end,
      { peer = "scikit-learn brute, " .. metric, peer_seconds = (peers["knn " .. metric] or {}).seconds })
  end
end

-- The largest angle between the spans of two matrices of orthonormal columns.
local function angle(q, r)
  local _, s = core.svd(q - r:matmul(r:t():matmul(q)))
  return math.asin(math.min(1, s:max():item()))
end

local function leading(e) return (core.qr(e.values:to "double":narrow(2, 1, 32):clone())) end

local function text()
  local file = "../shared/data/annotation/gene_summaries.tsv.gz"
  local f = io.open(file)
  if not f then return print("# skip texts: no " .. file) end
  f:close()
  local row = { peer = "scikit-learn", peer_seconds = (bench.peer(peer, "text " .. file).text or {}).seconds }
  local e = clock("text to 256 dimensions", function() return embed.text(file, { dim = 256 }) end, row)
  bench.row { name = "embed", case = "text, largest angle of 32 dimensions",
    quality = angle(leading(e), leading(embed.text(file, { dim = 256, power = 30 }))) }
end

local parts, given = { knn = knn, text = text, large = large }, { (table.unpack or unpack)(arg or {}) }
if #given == 0 then given = { "node2vec", "spectral", "knn", "text" } end
local path, a, b
for _, part in ipairs(given) do
  if parts[part] then
    parts[part]()
  else
    if not path then path, a, b = network(20000, 200000, 20000) end
    if part == "node2vec" then node2vec(path, a, b) else spectral(path, "200k edges") end
  end
end
