local compare = require "dynamo.compare"
local core = require "dynamo.core"
local embed = require "dynamo.embed"
local embedding = require "dynamo.embedding"
local graph = require "dynamo.graph"
local model = require "dynamo.model"
local responses = require "dynamo.responses"
local split = require "dynamo.split"

local G, N, DIM = 30, 32, 4

-- Responses that are linear in the vectors of the genes; "half" has vectors of the first 24 only.
local function fixture()
  local F, B = core.randn(1, N, DIM, "double"), core.randn(2, DIM, G, "double")
  local names, symbols, rows = {}, {}, {}
  for i = 1, N do
    names[i] = ("g%02d"):format(i)
    rows[i] = { perturbation = names[i], context = "K", n_cells = 50 }
  end
  for j = 1, G do symbols[j] = "x" .. j end
  local R = responses.new { genes = symbols, contexts = { "K" }, rows = rows, delta = F:matmul(B), file = "made up",
    control = core.full(2, 1, G, "double") }
  local truth = embedding.new { genes = names, values = F:to "float", source = "made up" }
  local some = {}
  for i = 1, 24 do some[i] = names[i] end
  return R, truth, truth:align(some), names
end

local small = { members = 1, epochs = 30, latent = 4, hidden = 8, rank = 2, noise = 0, dropout = 0 }

local function ring(names)
  local edges = {}
  for i, name in ipairs(names) do
    edges[#edges + 1] = { name, names[i % #names + 1] }
    edges[#edges + 1] = { name, names[(i + 6) % #names + 1] }
  end
  return graph.from_edges(edges, { directed = false, source = "ring" })
end

local function make(extra)
  local R, truth, half, names = fixture()
  local o = { data = R, embeddings = { truth = truth, half = half,
    walk = embed.netmf { graph = ring(names), dim = 4 } }, model = model.koopman(small), draws = 200, seeds = { 1, 2 },
    split = split.unseen_genes { test = 0.5, validate = 0 }, sets = { { name = "s", genes = { "g01", "g02", "g03" } },
      { name = "t", genes = { names[4], names[5], names[6], names[7], names[8], names[9], names[10], names[11] } } } }
  for k, v in pairs(extra or {}) do o[k] = v end
  return compare.compare(o)
end

test("embeddings against their controls, on all and on the matched perturbations", function()
  local c = make():run { quiet = true, silent = true, write = false }
  local key = "pearson@centroid/all-target"
  for _, name in ipairs { "truth", "half", "walk", "permuted:truth", "rewired:walk", "random" } do assert(c:row(name)) end
  assert(c:summary("truth", key).mean > c:summary("random", key).mean)
  local all, matched = c:summary("half", key, "K", "all"), c:summary("half", key, "K", "matched")
  assert(matched.n < all.n and matched.n > 0)
  near(c:difference("truth", "truth", key).mean, 0)
  local ranks, sum = c:ranks(key), 0
  for _, r in pairs(ranks) do sum = sum + r end
  near(sum, #c.names * (#c.names + 1) / 2, 1e-9)
  assert(ranks.truth < ranks.random)
  local kinds = {}
  for _, claim in ipairs(c:claims(key)) do
    kinds[claim.kind] = (kinds[claim.kind] or 0) + 1
    assert(claim.holm >= claim.difference.p and claim.scope == "matched")
  end
  assert(kinds.permuted == 3 and kinds.rewired == 1 and kinds.random == 3)
  local auroc = c.biology.auroc
  assert(#c.biology.genes == 11 and auroc.truth > 0 and auroc.truth < 1 and auroc["rewired:walk"] and auroc.random)
  local text = c:text()
  assert(text:find("rewired:walk", 1, true) and text:find("the graph helps", 1, true) and text:find("matched: ", 1, true))
  local lines = select(2, c:csv():gsub("\n", "\n"))
  assert(lines == 1 + 2 * (2 * #c.names + 7) + #c.names)
  raises("no embedding 'trut'; did you mean 'truth'?", c.row, c, "trut")
end)

test("the same table for 1 and 2 threads", function()
  local before, csv = core.threads(), {}
  for n = 1, 2 do
    core.threads(n)
    local c = make { seeds = { 1 }, controls = {} }
    csv[n] = c:run({ quiet = true, silent = true, write = false }):csv()
  end
  core.threads(before)
  assert(csv[1] == csv[2])
end)

test("a comparison is checked at once and prints itself", function()
  local R, truth = fixture()
  assert(tostring(make()) == "Comparison compare: half, truth, walk, 2 seeds" and compare.is(make()))
  assert(tostring(compare.compare { data = R, embeddings = { truth, truth } }):find("made, made-2", 1, true))
  raises("at least one expected", compare.compare, { data = R, embeddings = {} })
  raises("an Embedding, a recipe or a file expected (got 3)", compare.compare, { data = R, embeddings = { 3 } })
  raises("option 'data' is required", compare.compare, { embeddings = { truth } })
  raises("must be a list of permuted rewired", compare.compare, { data = R, embeddings = { truth },
    controls = { "shuffled" } })
end)

test("an embedding that covers next to nothing does not empty the matched perturbations", function()
  local R, truth, half = fixture()
  local c = compare.compare { data = R, embeddings = { truth = truth, half = half, few = truth:align { "g04", "g05" } },
    model = model.koopman(small), draws = 100, split = split.unseen_genes { test = 0.5, validate = 0 }, controls = {} }
  c:run { quiet = true, silent = true, write = false }
  assert(c:summary("truth", "pearson@centroid/all-target", "K", "matched").n > 5)
  assert(c:text():find("less than 10% of the perturbed genes: few", 1, true))
end)

test("labels: matched scores are of the matched perturbations alone", function()
  local R, truth, half = fixture()
  local L = responses.new { genes = R.genes, contexts = R.contexts, rows = R.rows, kind = "label", file = "made up",
    delta = R.delta:gt(0):to "double", control = core.zeros(1, G, "double") }
  local c = compare.compare { data = L, embeddings = { truth = truth, half = half }, model = model.koopman(small),
    draws = 200, split = split.unseen_genes { test = 0.5, validate = 0 }, controls = { "permuted" } }
  c:run { quiet = true, silent = true, write = false }
  local all, matched = c:summary("truth", "auroc", "K", "all"), c:summary("truth", "auroc", "K", "matched")
  assert(all.n == G and matched.n == G and matched.n_defined <= all.n_defined and matched.mean ~= all.mean)
  assert(c:row("truth").kept == nil and matched.mean > c:summary("random", "auroc", "K", "matched").mean)
  local claims = c:claims("auroc", "K")
  assert(#claims == 4 and claims[1].scope == "matched" and claims[1].difference.n > 5)
  assert(#c.biology.genes == 0 and not c:text():find("shared sets", 1, true))
end)

local function slurp(path)
  local f = assert(io.open(path))
  local text = f:read "*a"
  f:close()
  return text
end

test("files: CSV, costs, Markdown, a report; an annotation that saw the answer is marked", function()
  local R, truth, _, names = fixture()
  local sets = {}
  for k = 1, 8 do
    sets[k] = { name = "s" .. k, genes = {} }
    for i = k, #names, 4 do table.insert(sets[k].genes, names[i]) end
  end
  local folder = os.tmpname()
  os.remove(folder)
  local c = compare.compare { data = R, seeds = { 1 }, draws = 100, out = folder, model = model.koopman(small),
    question = "Which?", embeddings = { truth = truth, annotation = embed.annotation { sets = { sets = sets }, dim = 4,
      fallback = { "mean" } } }, controls = {} }
  c:run { quiet = true, silent = true }
  local md, costs = slurp(folder .. "/compare.md"), slurp(folder .. "/compare_cost.csv")
  assert(md:find("Which?", 1, true) and md:find("| annotation |", 1, true) and md:find("%d%*"))
  assert(md:find("- truth - random:", 1, true) and md:find("## coverage of the tested genes, and cost", 1, true))
  assert(costs:find("^embedding,dim,own vector,neighbours,mean,build s,peak MB,fit s\n"))
  assert(slurp(folder .. "/compare.csv"):find("auroc of shared sets,matched,annotation", 1, true))
  local html = slurp(folder .. "/compare.html")
  assert(html:find("Comparison of embeddings", 1, true) and html:find("fallback = { &quot;mean&quot; }", 1, true))
  if require("dynamo.plot").available() then assert(html:find("<svg", 1, true)) end
  for _, f in ipairs(core.listdir(folder)) do core.remove(folder .. "/" .. f) end
  core.remove(folder)
end)

test("steps of preparation and symbols, as an experiment has them", function()
  local path, symbols = os.tmpname() .. ".h5ad", os.tmpname() .. ".tsv"
  local cells, pert, names, vectors = {}, {}, {}, core.randn(5, 12, 3)
  for i = 1, 52 do cells[i], pert[i] = "c" .. i, i % 13 == 0 and "control" or ("g%02d"):format(i % 13) end
  for j = 1, 12 do names[j] = ("g%02d"):format(j) end
  core.h5ad_write(path, { x = core.sparse_from_dense((core.rand(3, 52, 12) * 20):floor()), obs_names = cells, var_names = names,
    obs = { { name = "perturbation", values = pert } } })
  core.write_file(symbols, "symbol\tprev_symbol\nNEW1\tg01\n")
  names[1] = "NEW1"
  local prepare = require "dynamo.prepare"
  local e = embedding.new { genes = names, values = vectors, source = "v" }
  local o = { data = path, symbols = symbols, embeddings = { v = e }, model = model.koopman(small), draws = 200, controls = {},
    prepare = { prepare.normalise {}, prepare.log1p {}, prepare.hvg { n = 7 } },
    split = split.unseen_genes { test = 0.3, validate = 0 } }
  local c = compare.compare(o):run { quiet = true, silent = true, write = false }
  os.remove(path)
  os.remove(symbols)
  assert(#c.R.genes < 12 and #c.results.R.preparation == 3 and table.concat(c.results.R.genes) == table.concat(c.R.genes))
  assert(#c.R:where(function(r) return r.perturbation == "NEW1" end) == 1)
  raises("prepare: 1 is no step", compare.compare, { data = "x.h5ad", embeddings = { e }, prepare = { 1 } })
  raises("prepare: needs cells", make, { prepare = { prepare.log1p {} } })
  raises("symbols: for data that are named by file", make, { symbols = "x.tsv" })
end)
