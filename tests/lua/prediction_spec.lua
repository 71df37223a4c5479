-- Reports of predictions: genes, gene sets, doubles.
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local enrichment = require "dynamo.enrichment"
local model = require "dynamo.model"
local predict = require "dynamo.predict"
local prediction = require "dynamo.prediction"
local responses = require "dynamo.responses"

local N, G = 10, 30

local function genes()
  local out = {}
  for j = 1, G do out[j] = ("g%02d"):format(j) end
  return out
end

local function fitted(members)
  local rows, all = {}, {}
  for i = 1, N do rows[i], all[i] = { perturbation = ("g%02d"):format(i), context = "K" }, i end
  local e = embedding.new { genes = genes(), values = core.randn(3, G, 4), source = "made" }
  local R = responses.new { genes = genes(), contexts = { "K" }, rows = rows, delta = core.randn(1, N, G, "double"),
    control = core.full(2, 1, G, "double") }
  return model.koopman({ members = members, epochs = 2, latent = 3, rank = 1, hidden = 4 }):fit { responses = R, train = all,
    validate = {}, embedding = e, seed = 1 }
end

local SETS = { sets = { { name = "FIRST", genes = { "g01", "g02", "g03", "g04", "g05", "g06" } },
  { name = "SMALL", genes = { "g01" } }, { name = "LAST", genes = { "g25", "g26", "g27", "g28", "g29", "g30" } } } }

local function made()
  local delta = core.zeros(1, G, "double")
  for j = 1, 6 do delta:set(-1 - j / 10, 1, j) delta:set(.5 + j / 10, 1, 24 + j) end
  return prediction.new { rows = { { perturbation = "g01", targets = { "g01" }, context = "K", coverage = "seen" } },
    delta = delta, control = core.full(2, G, "double"), genes = genes() }
end

test("prediction: the genes that change most, with direction", function()
  local top = made():top(1, 3)
  assert(#top == 3 and top[1].gene == "g06" and top[1].direction == "down" and not top[1].target and top[1].sd == nil)
  near(top[1].delta, -1.6)
  near(top[1].log2fc, math.log((math.exp(.4) - 1 + 1e-9) / (math.exp(2) - 1 + 1e-9)) / math.log(2))
  assert(made():top(1, 20)[6].target)
end)

test("prediction: gene sets by rank and by the top genes", function()
  local p = made()
  local ranked = p:enrichment(1, SETS)
  assert(#ranked == 2 and ranked[1].p < .001 and ranked[1].q < .001)
  for _, r in ipairs(ranked) do assert(r.direction == (r.set == "FIRST" and "down" or "up"), r.set) end
  assert(ranked[1].leading[1] == (ranked[1].set == "FIRST" and "g06" or "g30"))
  local hyper = p:enrichment(1, SETS, { method = "hypergeometric", top = 6 })
  assert(hyper[1].p < 1e-5 and hyper[1].overlap == 6 and hyper[1].direction ~= hyper[2].direction and #hyper == 4)
  raises("gene sets expected", enrichment.ranked, p.delta:select(1, 1), p.genes, {})
  assert(#enrichment.ranked(p.delta:select(1, 1), p.genes, SETS, { min = 7 }) == 0)
end)

test("prediction: doubles of an ensemble have types and intervals", function()
  local m = fitted(5)
  local names, rows = {}, {}
  for k = 1, 5 do names[k] = ("g%02d+g%02d"):format(k, k + 5) end
  for k, n in ipairs(names) do rows[k] = { perturbation = n, targets = require("dynamo.label").targets(n), context = "K" } end
  local p = prediction.new { rows = rows, delta = m:predict(rows), control = core.full(2, G, "double"), genes = m.genes, model = m }
  local list = p:doubles { distances = true }
  assert(#list == 5)
  for _, d in ipairs(list) do
    assert(d.type and d.support >= 0 and d.support <= 1 and d.interval.magnitude[1] <= d.interval.magnitude[2] and d.call)
  end
  assert(p:spread():min():item() >= 0 and p:top(1, 1)[1].sd >= 0)
end)

test("prediction: report and tables are written, nothing in a name becomes markup", function()
  local folder = os.tmpname()
  os.remove(folder)
  core.mkdir(folder)
  local path = folder .. "/m.dynamo"
  fitted(2):save(path)
  core.write_file(folder .. "/s.gmt", "<b>SET</b>\tx\tg01\tg02\tg03\tg04\tg05\tg06\n")
  local p = predict.main { model = path, genes = { "g01", "g02+g03" }, quiet = true, silent = true,
    report = folder .. "/r.html", sets = { folder .. "/s.gmt" } }
  local found = table.concat(core.listdir(folder), " ")
  assert(found == "m.dynamo r.html r_doubles.csv r_genes.csv r_sets.csv s.gmt", found)
  local f = io.open(folder .. "/r.html")
  local html = f:read "*a"
  f:close()
  assert(html:find("g02+g03 in K", 1, true) and html:find("&lt;b&gt;SET&lt;/b&gt;", 1, true) and html:find(">doubles<", 1, true))
  f = io.open(folder .. "/r_genes.csv")
  assert(f:read "*l" == "perturbation,context,coverage,rank,gene,direction,delta,log2fc,sd,target")
  assert(f:read "*l":match "^g01,K,seen,1,g%d%d,%a+,")
  f:close()
  local page, files = p:report { top = 3 }
  assert(#files == 0 and #page.tables == 3 and #page.tables[1].rows == 3)
  raises("a name ending in .html", p.report, p, { path = "x.pdf" })
  raises("did you mean 'sets'?", p.report, p, { set = SETS })
  for _, name in ipairs(core.listdir(folder)) do core.remove(folder .. "/" .. name) end
  core.remove(folder)
end)

test("predicted cells are control cells moved by the change, beside the controls", function()
  local core, predictions, responses = require "dynamo.core", require "dynamo.predictions", require "dynamo.responses"
  local x = core.tensor { { 0, 1 }, { 1, 0 }, { 2, 2 }, { 5, 5 } }
  local R = responses.new { genes = { "A", "B" }, contexts = { "K" }, control = core.tensor({ { 1, 1 } }, "double"),
    rows = { { perturbation = "A", context = "K", n_cells = 1, targets = { "A" } } }, delta = core.tensor({ { 4, 4 } }, "double"),
    cells = { x = core.sparse_from_dense(x), row_of = { 0, 0, 0, 1 }, context_of = { 1, 1, 1, 1 } } }
  local path = os.tmpname()
  local p = { rows = { { perturbation = "B", context = "K", coverage = "embedding" } }, delta = core.tensor({ { -1, 0.5 } }, "double") }
  predictions.save_cells(path, R, p)
  local f = core.h5_open(path)
  assert(f:size() == 6 and f:names("obs")[1] == "K/control/1" and f:names("obs")[6] == "K/B/3")
  local y = f:matrix():dense()
  assert((y - core.tensor { { 0, 1 }, { 1, 0 }, { 2, 2 }, { 0, 1.5 }, { 0, 0.5 }, { 1, 2.5 } }):abs():max():item() == 0)
  f:close()
  predictions.save_cells(path, R, p, { cells = 2, seed = 3 })
  f = core.h5_open(path)
  assert(f:size() == 4)
  f:close()
  os.remove(path)
  p.rows[1].context = "L"
  raises("context 'L' has no control cells", predictions.save_cells, path, R, p)
  R.cells = nil
  raises("no cells in memory", predictions.save_cells, path, R, p)
end)
