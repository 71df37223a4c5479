local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local picture = require "dynamo.picture"
local plot = require "dynamo.plot"

-- Genes in four bundles of directions: g1, g5, ... are in the first.
local function bundles(n)
  local x, genes = core.randn(1, n, 6, "double") * 0.25, {}
  for i = 1, n do
    genes[i] = "g" .. i
    local j = (i - 1) % 4 + 1
    x:set(x:get(i, j) + 1, i, j)
  end
  return embedding.new { genes = genes, values = x:to "float", source = "bundles" }
end

local function every(n, from)
  local out = {}
  for i = from, n, 4 do out[#out + 1] = "g" .. i end
  return out
end

local e = bundles(160)
local sets = { first = every(160, 1), second = every(160, 2) }

local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  os.remove(path)
  return text
end

test("a picture keeps what is near; the same bytes for any number of threads", function()
  local before, points = core.threads(), {}
  for t = 1, 2 do
    core.threads(t)
    points[t] = e:picture { steps = 400 }
  end
  core.threads(before)
  local p = points[1]
  assert((p.points - points[2].points):abs():max():item() == 0 and p.kl == points[2].kl)
  local n, two = p.points:size()
  assert(n == 160 and two == 2 and p.kl > 0 and p.perplexity == 30)
  assert(p.trustworthiness > 0.9 and p.kept > 0.4 and p.k == 10)
  local junk = core.randn(5, 160, 2, "double")
  local rows = {}
  for i = 1, 160 do rows[i] = i end
  local t, kept = core.trustworthiness(e.values, junk, rows, 10)
  assert(t < 0.6 and kept < 0.15)
  assert(tostring(p):match "^Picture of bundles: 160 genes, divergence 0%.%d+, trustworthiness 0%.9%d+$")
end)

test("the letters of a set are where its genes are", function()
  local p = e:picture { sets = sets, highlight = { "second", "first" }, steps = 300, genes = { "g7" } }
  assert(p.groups[1].name == "second" and #p.groups[1].places == 40)
  local text = p:text { width = 60, height = 16 }
  assert(text:find("A  second (40 genes)\nB  first (40 genes)", 1, true))
  assert(select(2, text:gsub("A", "")) > 3 and text:find("[\226][\160-\163]"))
  local longest = 0
  for line in text:gmatch "[^\n]+" do longest = math.max(longest, require("dynamo.table").width(line)) end
  assert(longest <= 60)
  assert(p:text { colour = true }:find("\27[31mA\27[0m", 1, true))
end)

test("drawings and coordinates in files", function()
  local p = e:picture { sets = sets, steps = 60, genes = { "g7" }, title = "a <b>" }
  local path = os.tmpname()
  p:write(path .. ".tsv")
  local text = slurp(path .. ".tsv")
  assert(text:match "^gene\tx\ty\tfirst\tsecond\ng1\t%-?[%d.e-]+\t%-?[%d.e-]+\t1\t0\n")
  assert(select(2, text:gsub("\n", "")) == 161)
  if plot.available() then
    local svg = assert(p:draw())
    assert(svg:find("first (40)", 1, true) and svg:find("g7", 1, true) and svg:find("a &lt;b&gt;", 1, true))
    assert(svg == p:draw(), "the same data, another drawing")
    p:write(path .. ".png")
    assert(slurp(path .. ".png"):sub(1, 4) == "\137PNG")
    e:picture { steps = 30, path = path .. ".svg" }
    assert(slurp(path .. ".svg"):find("</svg>", 1, true))
  else
    print "# skip drawings: no gnuplot"
  end
  os.remove(path)
end)

test("few genes, one dimension, all the same", function()
  local four = embedding.new { genes = { "a", "b", "c", "d" }, values = core.randn(3, 4, 3), source = "four" }
  local p = four:picture { steps = 20 }
  assert(p.perplexity == 1 and p.points:nonfinite() == 0)
  local line = embedding.new { genes = e.genes, values = core.randn(4, 160, 1), source = "line" }
  assert(line:picture { steps = 20 }.points:nonfinite() == 0)
  local same = embedding.new { genes = e.genes, values = core.full(1, 160, 3), source = "same" }
  assert(same:picture({ steps = 20 }).points:nonfinite() == 0)
end)

test("what cannot be drawn is said in a sentence", function()
  local two = embedding.new { genes = { "a", "b" }, values = core.randn(3, 2, 3), source = "two" }
  raises("picture: 2 genes in two, at least 4 are needed", picture.of, two)
  raises("no gene set 'frst'; did you mean 'first'?", picture.of, e, { sets = sets, highlight = { "frst" } })
  raises("no gene of set 'x' has a vector in bundles", picture.of, e, { sets = { x = { "TP53" } } })
  raises("option 'highlight' names gene sets", picture.of, e, { highlight = { "first" } })
  raises("gene 'g999' has no vector in bundles", picture.of, e, { genes = { "g999" } })
  raises("picture: perplexity 200 of 160 genes", picture.of, e, { perplexity = 200 })
  raises("did you mean 'perplexity'", picture.of, e, { perplexty = 20 })
  raises("must end in .svg, .png or .tsv", picture.of, e, { steps = 10, path = "x.gif" })
  local many = {}
  for i = 1, 9 do many["s" .. i] = { "g1" } end
  raises("picture: 9 gene sets, 8 at most can be told apart", picture.of, e, { sets = many })
  raises("set 1 is not { name =, genes = {...} }", picture.of, e, { sets = { sets = { 3 } } })
  raises("option 'theta' must be a number 0..0.7", picture.of, e, { theta = 0.9 })
  raises("out of range", core.tsne, e.values, core.zeros(160, 2, "double"), { perplexity = 500 })
end)
