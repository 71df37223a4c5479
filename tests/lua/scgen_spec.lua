local core = require "dynamo.core"
local baseline = require "dynamo.baseline"
local model = require "dynamo.model"
local net = require "dynamo.scgen_net"
local responses = require "dynamo.responses"

local function d(t) return core.tensor(t, "double") end

local G = 10

-- Two lines; perturbation p lowers gene p by 1 in both. 10 cells each, controls 15 (line L) and 12 (line M).
local function data(without_cells)
  local names, rows, delta, cells, row_of, context_of = {}, {}, {}, {}, {}, {}
  for g = 1, G do names[g] = ("g%02d"):format(g) end
  local control = core.rand(3, 2, G, "double") + 1
  local list = { "g01", "g01+g02", "g02", "g03", "g04" }
  for c = 1, 2 do
    for k, p in ipairs(list) do
      local row = {}
      for g = 1, G do row[g] = p:find(names[g], 1, true) and -1 or 0 end
      rows[#rows + 1] = { perturbation = p, context = c == 1 and "L" or "M", n_cells = 10 }
      delta[#delta + 1] = row
      if k > 5 then break end
    end
  end
  local R = responses.new { genes = names, contexts = { "L", "M" }, rows = rows, delta = d(delta), control = control,
    file = "made" }
  if without_cells then return R end
  local noise, at = core.randn(4, 130, G, "double") * .05, 0
  local function add(n, row, c)
    for _ = 1, n do
      at = at + 1
      local x = control:select(1, c) + noise:select(1, at)
      cells[at] = (row > 0 and x + R.delta:select(1, row) or x):reshape(1, G)
      row_of[at], context_of[at] = row, c
    end
  end
  add(15, 0, 1)
  add(12, 0, 2)
  for i, r in ipairs(R.rows) do add(10, i, r.context == "L" and 1 or 2) end
  R.cells = { x = core.sparse_from_dense(core.cat(cells, 1):maximum(0):to "float"), row_of = row_of, context_of = context_of }
  return R
end

local quick = { hidden = 16, latent = 4, epochs = 3, batch = 16, dropout = .1, controls = 12 }
local function with(t)
  local o = {}
  for _, s in ipairs { quick, t or {} } do
    for k, v in pairs(s) do o[k] = v end
  end
  return o
end

-- all rows of L but g04
local function environment(R, more)
  local env = { responses = R, train = {}, seed = 1 }
  for i, r in ipairs(R.rows) do
    if r.context == "L" and r.perturbation ~= "g04" then env.train[#env.train + 1] = i end
  end
  for k, v in pairs(more or {}) do env[k] = v end
  return env
end

local query = { { perturbation = "g01", context = "M" }, { perturbation = "g04", context = "L" },
  { perturbation = "g02+g01", context = "M" }, { perturbation = "g02+g03", context = "M" } }

test("scgen: the loss and its gradient are those of the formulas", function()
  local n = net.new({ genes = 5, hidden = 6, latent = 2, dropout = 0, kl = .1 }, 1)
  local x, noise = core.rand(1, 8, 5), core.randn(2, 8, 2)
  local tape = core.tape()
  local loss, pass = net.loss(n, tape, x, noise, 1)
  local function value() return loss:item() end
  local v = pass.v
  local h = v["enc1.w"]:value() -- by hand: both blocks, heads, decoder
  local function block(y, name)
    local z = y:matmul(n.params:view(name .. ".w"))
    local m = z:mean(1)
    z = (z - m) / ((z - m):square():mean(1) + 1e-3):sqrt()
    return z:maximum(0) + z:minimum(0) * .01
  end
  assert(h:size(1) == 5)
  local e = block(block(x, "enc1"), "enc2")
  local mean = e:matmul(n.params:view "mean.w") + n.params:view "mean.b"
  local var = (e:matmul(n.params:view "logvar.w") + n.params:view "logvar.b"):exp() + 1e-4
  local out = block(block(mean + var:sqrt() * noise, "dec1"), "dec2"):matmul(n.params:view "out.w") + n.params:view "out.b"
  local kl = (mean:square() + var - 1 - var:log()):sum():item() / 2 / 8
  near(value(), (out - x):square():sum():item() / 2 / 8 + .5 * .1 * kl, 1e-5)
  net.learn_statistics(n, pass)
  near(n.running.enc1.mean:get(1), .01 * x:matmul(n.params:view "enc1.w"):mean(1):get(1), 1e-6)
  tape:close()
end)

test("scgen: variants and reconstructions; seen conditions move to another line", function()
  local R = data()
  for _, variant in ipairs { "mean", "knn", "zero" } do
    for _, reconstruction in ipairs { "raw", "residual" } do
      local e = require "dynamo.embedding".new { genes = { "g01", "g02", "g03", "g04" },
        values = core.tensor { { 1, 0 }, { 0, 1 }, { 1, 1 }, { 1, .1 } } }
      local fitted = baseline.scgen(with { variant = variant, reconstruction = reconstruction })
        :fit(environment(R, { embedding = e }))
      local p, flags = fitted:predict(query)
      assert(p:size(1) == 4 and p:size(2) == G and p:nonfinite() == 0)
      assert(flags[1] == "seen" and flags[3] == "seen" and flags[4] == "seen")
      assert(flags[2] == (variant == "knn" and "embedding" or "mean"))
      if variant == "zero" and reconstruction == "residual" then assert(p:select(1, 2):abs():max():item() == 0) end
      local again = baseline.scgen(with { variant = variant, reconstruction = reconstruction })
        :fit(environment(R, { embedding = e })):predict(query)
      assert((p - again):abs():max():item() == 0)
    end
  end
  raises("needs an embedding", function() baseline.scgen(with { variant = "knn" }):fit(environment(R)) end)
end)

test("scgen: any seed, and lines of different size are balanced by drawing again", function()
  local R = data()
  local train = R:where(function(r) return r.perturbation == "g01" end)
  local keep, of_row, of_context = {}, {}, {}
  for k, row in ipairs(R.cells.row_of) do -- half the cells of g01 in M
    if row ~= train[2] or k % 2 == 0 then
      keep[#keep + 1], of_row[#of_row + 1], of_context[#of_context + 1] = k, row, R.cells.context_of[k]
    end
  end
  R.cells = { x = R.cells.x:index(1, keep), row_of = of_row, context_of = of_context }
  for _, seed in ipairs { 0, 2 ^ 31, 2 ^ 40 - 1 } do
    local p = baseline.scgen(with()):fit(environment(R, { train = train, seed = seed })):predict(query)
    assert(p:nonfinite() == 0)
  end
end)

test("scgen: each variant has a name of its own for tables", function()
  for _, variant in ipairs { "mean", "zero" } do
    local recipe = baseline["scgen_" .. variant](quick)
    assert(recipe.name == "scgen_" .. variant and recipe.options.variant == variant)
    local p = recipe:fit(environment(data())):predict(query)
    local o = with { variant = variant }
    assert((p - baseline.scgen(o):fit(environment(data())):predict(query)):abs():max():item() == 0)
  end
  assert(baseline.scgen_knn {}.options.variant == "knn" and baseline.gears_faithful {}.options.mode == "faithful")
  raises("must be one of zero (got 'mean')", baseline.scgen_zero, { variant = "mean" })
end)

test("scgen: the shift of a combination is the sum unless it was seen", function()
  local fitted = baseline.scgen(with { reconstruction = "residual" }):fit(environment(data()))
  local place = fitted.place
  local z = net.encode(fitted.net, fitted.controls[2])
  local function decoded(shift)
    return (net.decode(fitted.net, z + shift:to "float") - net.decode(fitted.net, z)):to "double":mean(1)
  end
  local p = fitted:predict(query)
  local s = fitted.shifts
  assert((p:select(1, 3) - decoded(s:select(1, place["g01+g02"]))):abs():max():item() < 1e-5)
  assert((p:select(1, 4) - decoded(s:select(1, place.g02) + s:select(1, place.g03))):abs():max():item() < 1e-5)
end)

test("scgen: learns, and finds a seen response in another line", function()
  local R = data()
  local env = environment(R)
  local fitted = baseline.scgen { hidden = 32, latent = 6, epochs = 80, batch = 16, dropout = 0, lr = 5e-3, controls = 12,
    holdout = 0, reconstruction = "residual" }:fit(env)
  local curve = fitted.net.curve
  assert(curve.train[#curve.train] < .5 * curve.train[1], "the loss does not fall")
  local p = fitted:predict { { perturbation = "g01", context = "M" } }:select(1, 1)
  local t = R.delta:select(1, R:find("M", "g01"))
  local a, b = p - p:mean(), t - t:mean()
  local r = (a * b):sum():item() / math.sqrt(a:square():sum():item() * b:square():sum():item())
  assert(r > .4, "correlation " .. r)
end)

test("scgen: means alone are enough; errors; a file brings back the predictions", function()
  local R, path = data(), os.tmpname()
  local means = baseline.scgen(with { batch = 4 }):fit(environment(data(true)))
  assert(means:predict(query):nonfinite() == 0)
  local fitted = baseline.scgen(with()):fit(environment(R))
  raises("no control cells of context 'N'", fitted.predict, fitted, { { perturbation = "g01", context = "N" } })
  raises("fit expects env.responses", function() baseline.scgen {}:fit {} end)
  raises("no training perturbation has cells", function() baseline.scgen(quick):fit(environment(R, { train = {} })) end)
  fitted:save(path)
  local p, flags = fitted:predict(query)
  local loaded = model.load(path)
  local q, flags2 = loaded:predict(query)
  assert((p - q):abs():max():item() < 1e-6 and tostring(loaded) == "scgen: 10 genes, L, M")
  for i = 1, #query do assert(flags[i] == flags2[i]) end
  local t = core.model_read(path)
  t.tensors.shifts = core.zeros(2, 2)
  core.model_write(path, { strings = t.strings, lists = t.lists, tensors = t.tensors })
  raises("shifts is 2x2", model.load, path)
  os.remove(path)
end)

test("latent additive: learns, adds shifts of genes, flags what it does not know", function()
  local R = data()
  local e = require "dynamo.embedding".new { genes = { "g01", "g02", "g03", "g04" },
    values = core.tensor { { 1, 0 }, { 0, 1 }, { 1, 1 }, { 1, .1 } } }
  local o = { epochs = 100, hidden = 32, latent = 6, batch = 16, lr = 1e-2 }
  local env = environment(R, { embedding = e })
  local fitted = baseline.latent_additive(o):fit(env)
  local curve = fitted.net.curve
  assert(curve.train[#curve.train] < .5 * curve.train[1], "the loss does not fall")
  local p, flags = fitted:predict { "g01", "g04", "g01+g03", "none" }
  assert(p:nonfinite() == 0)
  assert(flags[1] == "seen" and flags[2] == "embedding" and flags[3] == "seen" and flags[4] == "mean")
  local truth = R.delta:index(1, env.train)
  local d, none = fitted:predict(env.train), baseline.no_change {}:fit(env):predict(env.train)
  assert((d - truth):square():mean():item() < .5 * (none - truth):square():mean():item())
  local again = baseline.latent_additive(o):fit(env):predict { "g01" }
  assert((again - p:rows(1, 1)):abs():max():item() == 0)
end)

test("latent additive: one-hot inputs, validation, files", function()
  local R, path = data(), os.tmpname()
  local o = { epochs = 2, hidden = 8, latent = 3, input = "onehot", reconstruction = "residual", patience = 1 }
  local rows = R:where(function(r) return r.perturbation == "g03" and r.context == "L" end)
  local fitted = baseline.latent_additive(o):fit(environment(R, { validate = rows }))
  raises("gene 'g04' was not trained on", fitted.predict, fitted, { "g04" })
  raises("no control cells of context 'N'", fitted.predict, fitted, { { perturbation = "g01", context = "N" } })
  for _, input in ipairs { "onehot", "embedding" } do
    local e = require "dynamo.embedding".new { genes = { "g01", "g02" }, values = core.tensor { { 1, 0 }, { 0, 1 } } }
    o.input = input
    local f = baseline.latent_additive(o):fit(environment(R, { embedding = e }))
    if input == "embedding" then assert(#f.left_out == 1) end -- g03 has no vector
    f:save(path)
    local q = { { perturbation = "g01+g02", context = "M" } }
    local a, b = f:predict(q), model.load(path):predict(q)
    assert((a - b):abs():max():item() < 1e-6)
  end
  raises("no training cell has a gene", function()
    local e = require "dynamo.embedding".new { genes = { "zz" }, values = core.tensor { { 1 } } }
    baseline.latent_additive {}:fit(environment(R, { embedding = e }))
  end)
  os.remove(path)
end)
