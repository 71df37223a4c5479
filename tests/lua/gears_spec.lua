local core = require "dynamo.core"
local baseline = require "dynamo.baseline"
local gears = require "dynamo.gears"
local gears_graph = require "dynamo.gears_graph"
local gears_loss = require "dynamo.gears_loss"
local net = require "dynamo.gears_net"
local graph = require "dynamo.graph"
local responses = require "dynamo.responses"
local model = require "dynamo.model"

local function d(t) return core.tensor(t, "double") end

test("propagation: the worked example, with and without edges of a node to itself", function()
  for _, own in ipairs { true, false } do
    local from, to, w = { 2, 1, 3 }, { 1, 2, 2 }, { .5, .5, .25 }
    for i = 1, own and 3 or 0 do from[3 + i], to[3 + i], w[3 + i] = i, i, 1 end
    local S = net.propagation(3, from, to, w)
    local y, want = { 0, 0, 0 }, { 1.283880066515034, 2.018410552295168, 3 }
    for k, v in ipairs(S.edges.weight) do y[S.edges.to[k]] = y[S.edges.to[k]] + v * S.edges.from[k] end -- x = 1, 2, 3
    local float = S.forward:matmul(d { { 1 }, { 2 }, { 3 } })
    for i = 1, 3 do
      near(y[i], want[i])
      near(float:get(i, 1), want[i], 1e-7)
    end
  end
end)

test("loss: the worked example, masks, groups and the smooth direction term", function()
  local tape = core.tape()
  local pred = tape:leaf(d { { 1, 2 }, { 0, 1 } }, true)
  local y, c = d { { 1.5, 2 }, { 0, 0 } }, d { 1.2, 1.5 }
  local weight = gears_loss.weights({ "a", "a" }, {}, 2):to "double"
  local o = { exponent = 4, direction = "sign", lambda = .1 }
  near(gears_loss.loss(pred, y, weight, c, o):item(), 0.365625)
  o.direction = "off"
  local loss = gears_loss.loss(pred, y, weight, c, o)
  near(loss:item(), 0.265625)
  loss:backward()
  near(pred:grad():get(1, 1), 4 * (-.5) ^ 3 / 4)
  o.exponent, o.direction = 2, "tanh"
  local want = 0
  for i = 1, 2 do
    for j = 1, 2 do
      local p, t = pred:value():get(i, j), y:get(i, j)
      want = want + ((p - t) ^ 2 + .1 * (core.tensor(10 * (t - c:get(j)), "double"):tanh():item()
        - core.tensor(10 * (p - c:get(j)), "double"):tanh():item()) ^ 2) / 4
    end
  end
  near(gears_loss.loss(pred, y, weight, c, o):item(), want, 1e-7) -- the weights are float
  local w = gears_loss.weights({ "a", "b", "a", "" }, { a = core.tensor { 1, 0 }, b = core.tensor { 0, 0 } }, 2)
  near(w:get(1, 1), 1 / 6, 1e-6)
  assert(w:get(1, 2) == 0 and w:get(2, 1) == 0 and w:get(3, 1) == w:get(1, 1))
  near(w:get(4, 2), 1 / 6, 1e-6)
  tape:close()
end)

test("read-outs start with the standard deviations of Xavier on PyTorch's shapes", function()
  local sd = net.readout_sd(5000, 64)
  near(sd.w1, 0.019873215837929108)
  near(sd.b1, 0.019998000299950008)
  near(sd.b2, 0.019998000299950008)
  near(sd.w2, 0.0024804466595192104)
end)

-- Cells of 12 genes: knock-down g lowers gene g and the next by 1; 8 cells each, controls 20.
local function data(without_cells)
  local G, rows, cells, row_of, context_of = 12, {}, {}, {}, {}
  local names, base = {}, core.rand(1, G, "double") + 1.5
  for g = 1, G do names[g] = ("G%02d"):format(g) end
  local list = {}
  for g = 1, 8 do list[#list + 1] = { g } end
  list[9], list[10] = { 1, 2 }, { 3, 5 }
  local delta = {}
  for i, genes in ipairs(list) do
    delta[i] = {}
    for g = 1, G do delta[i][g] = 0 end
    local label = {}
    for k, g in ipairs(genes) do
      delta[i][g], delta[i][g + 1] = delta[i][g] - 1, delta[i][g + 1] - 1
      label[k] = names[g]
    end
    rows[i] = { perturbation = table.concat(label, "+"), context = "K", n_cells = 8 }
  end
  local noise = core.randn(2, 8 * #list + 20, G, "double") * .1
  local at = 0
  for i = 0, #list do
    for _ = 1, i == 0 and 20 or 8 do
      at = at + 1
      local x = base + noise:select(1, at)
      cells[at] = (i > 0 and x + d(delta[i]) or x):reshape(1, G)
      row_of[at], context_of[at] = i, 1
    end
  end
  local R = responses.new { genes = names, contexts = { "K" }, rows = rows, delta = d(delta), control = base:reshape(1, G),
    file = "made" }
  if without_cells then return R end
  -- rows are sorted: cells follow the names
  local order = {}
  for i, r in ipairs(rows) do order[i] = R:find("K", r.perturbation) end
  for k, row in ipairs(row_of) do row_of[k] = row > 0 and order[row] or 0 end
  R.cells = { x = core.cat(cells, 1):maximum(0):to "float", row_of = row_of, context_of = context_of }
  return R
end

local function ring()
  local edges = {}
  for g = 1, 9 do edges[g] = { ("G%02d"):format(g), ("G%02d"):format(g + 1), 1 } end
  return graph.from_edges(edges)
end

local function rows_of(R, ...)
  local out = {}
  for i, p in ipairs { ... } do out[i] = R:find("K", p) end
  return out
end

local function environment(R, more)
  local env = { responses = R, graph = ring(), seed = 1, train = rows_of(R, "G01", "G02", "G03", "G04", "G05", "G01+G02"),
    validate = rows_of(R, "G06") }
  for k, v in pairs(more or {}) do env[k] = v end
  return env
end

local quick = { epochs = 3, dim = 4, batch = 8 }
local function with(t)
  local o = {}
  for _, s in ipairs { quick, t or {} } do
    for k, v in pairs(s) do o[k] = v end
  end
  return o
end

test("gears: both modes fit, predict singles, combinations and the unseen, and give the same for the same seed", function()
  local R = data()
  for _, o in ipairs { { mode = "fixed" }, { mode = "faithful" }, { uncertainty = true }, { cells_per_perturbation = 2 },
    { direction = "off", patience = 1 } } do
    local fitted = baseline.gears(with(o)):fit(environment(R))
    local query = { "G01", "G07", "G03+G05", "G01+G07+G08" }
    local p, flags = fitted:predict(query)
    assert(p:size(1) == 4 and p:size(2) == 12 and p:nonfinite() == 0)
    assert(flags[1] == "seen" and flags[2] == "embedding" and flags[3] == "embedding")
    local again = baseline.gears(with(o)):fit(environment(R)):predict(query)
    assert((p - again):abs():max():item() == 0)
    assert(#fitted.models.K.curve.train >= 1 and fitted.models.K == fitted.models["*"])
    if o.uncertainty then
      local c = gears.certainty(fitted, { "G01", "nobody" })
      assert(c[1] > 0 and c[2] == nil)
    end
  end
  raises("without uncertainty", function()
    gears.certainty(baseline.gears(quick):fit(environment(R)), { "G01" })
  end)
end)

test("gears: learns what it is shown", function()
  local R = data()
  local env = environment(R, { validate = {} })
  local fitted = baseline.gears { epochs = 30, dim = 8, batch = 8, lr = 5e-3 }:fit(env)
  local curve = fitted.models.K.curve
  assert(curve.train[#curve.train] < .5 * curve.train[1], "the loss does not fall")
  local p = fitted:predict(env.train)
  local truth, mean = R.delta:index(1, env.train), baseline.mean {}:fit(env):predict(env.train)
  assert((p - truth):square():mean():item() < (mean - truth):square():mean():item(), "worse than the mean")
end)

test("gears: a gene outside the graph falls back and is flagged, or is an error that names it", function()
  local R = data()
  local e = require "dynamo.embedding".new { genes = { "G01", "G02", "G12" },
    values = core.tensor { { 1, 0 }, { 0, 1 }, { 1, .1 } } }
  local fitted = baseline.gears(with()):fit(environment(R, { embedding = e }))
  local p, flags = fitted:predict { "G12", "nobody", "G01+nobody", "G01+G12" }
  assert(flags[1] == "embedding" and flags[2] == "mean" and flags[3] == "mean" and flags[4] == "embedding")
  assert(p:nonfinite() == 0)
  -- the fallback of G12 is what baseline.knn says
  local knn = baseline.knn {}:fit(environment(R, { embedding = e })):predict { { perturbation = "G12", context = "K" } }
  assert((p:rows(1, 1) - knn):abs():max():item() < 1e-6)
  local other = graph.from_edges { { "G01", "G02", 1 }, { "G02", "G03", 1 }, { "G03", "G04", 1 } }
  local narrow = baseline.gears(with { graph = other }):fit(environment(R))
  local _, near_flags = narrow:predict { "G05", "G04" }
  assert(near_flags[1] == "neighbours" and near_flags[2] == "seen") -- G05 is beside G04 in the experiment's graph
  assert(#narrow.left_out == 1 and R.rows[narrow.left_out[1]].perturbation == "G05") -- it never trains as control
  local strict = baseline.gears(with { fallback = false }):fit(environment(R))
  raises("gene 'G011' is not in the perturbation graph", strict.predict, strict, { "G011" })
  raises("needs a graph of genes", function()
    local env = environment(R)
    env.graph = nil
    baseline.gears(quick):fit(env)
  end)
  raises("there are no training rows", function() baseline.gears(quick):fit(environment(R, { train = {} })) end)
  raises("fit expects env.responses", function() baseline.gears(quick):fit {} end)
end)

test("gears: means alone are enough, and so is one row", function()
  local R = data(true)
  local fitted = baseline.gears(with { batch = 4 }):fit(environment(R))
  assert(fitted:predict({ "G01", "G08" }):nonfinite() == 0)
  assert(baseline.gears(with { batch = 4 }):fit(environment(R, { seed = 2 ^ 40 - 1 })):predict({ "G01" }):nonfinite() == 0)
  for _, mode in ipairs { "fixed", "faithful" } do
    local lone = baseline.gears(with { mode = mode }):fit(environment(R, { train = rows_of(R, "G02"), validate = {} }))
    assert(lone:predict({ "G01" }):nonfinite() == 0)
  end
end)

test("gears: a network per context, one of all for contexts without training rows", function()
  local rows, delta = {}, {}
  for c, context in ipairs { "(a)", "b", "c" } do
    for g = 1, 3 do
      rows[#rows + 1], delta[#delta + 1] = { perturbation = "G0" .. g, context = context }, { g == 1 and -c or 0, 0, 1 }
    end
  end
  local R = responses.new { genes = { "G01", "G02", "G03" }, contexts = { "(a)", "b", "c" }, rows = rows, delta = d(delta),
    file = "made" }
  local function models(train)
    local names = {}
    for name in pairs(baseline.gears(with()):fit { responses = R, train = train, graph = ring(), seed = 1 }.models) do
      names[#names + 1] = name
    end
    table.sort(names)
    return table.concat(names, " ")
  end
  assert(models { 1, 2, 3 } == "(a) *")
  assert(models { 1, 2, 4, 5 } == "(a) * b")
  assert(models { 1, 2, 4, 5, 7, 8 } == "(a) * b c")
end)

test("gears: graphs of sets and of correlated genes", function()
  local conv = gears_graph.expression(data(), require "dynamo.cells".of(data(), { 1, 2 }), { 1, 2 }, { top = 3, threshold = .1 })
  local rows, cols = conv.forward:size()
  assert(rows == 12 and cols == 12 and conv.forward:nnz() >= 12)
  local e = { genes = { "A", "B", "C", "D" }, membership = core.sparse(4, 3, { 1, 1, 2, 2, 3 }, { 1, 2, 1, 2, 3 }) }
  local g = gears_graph.perturbation({ top = 2, overlap = .1 }, e)
  assert(#g.nodes == 3 and g.place.D == nil) -- D has no set
  near(g.conv.forward:get(1, 2), .5, 1e-6)   -- the same sets: weight 1, degrees 2
  assert(g.conv.forward:get(1, 3) == 0)
end)

test("gears: a file brings back the predictions; a damaged one is refused", function()
  local R, path = data(), os.tmpname()
  local query = { { perturbation = "G01", context = "K" }, { perturbation = "G07+G03", context = "K" },
    { perturbation = "nobody", context = "new" } }
  for _, mode in ipairs { "fixed", "faithful" } do
    local fitted = baseline.gears(with { mode = mode }):fit(environment(R))
    fitted:save(path, { split = { name = "made" } })
    local p, flags = fitted:predict(query)
    local q, flags2 = model.load(path):predict(query)
    assert((p - q):abs():max():item() < 1e-6)
    for i = 1, #query do assert(flags[i] == flags2[i]) end
  end
  local t = core.model_read(path)
  t.tensors["net1/params"] = core.zeros(3)
  core.model_write(path, { strings = t.strings, lists = t.lists, tensors = t.tensors })
  raises("net1/params is 3", model.load, path)
  t.tensors["net1/params"] = nil
  core.model_write(path, { strings = t.strings, lists = t.lists, tensors = t.tensors })
  raises("net1/params is missing", model.load, path)
  os.remove(path)
end)
