local core = require "dynamo.core"
local baseline = require "dynamo.baseline"
local embedding = require "dynamo.embedding"
local model = require "dynamo.model"
local responses = require "dynamo.responses"

local P, G, DIM = 60, 40, 8 -- perturbed genes, measured genes, of the embedding

local function names(prefix, n)
  local out = {}
  for i = 1, n do out[i] = prefix .. i end
  return out
end

-- Perturbed genes p1..pP with vectors, measured genes x1..xG.
local genes = names("p", P)
local function vectors() return embedding.new { genes = genes, values = core.randn(1, P, DIM), source = "planted" } end

-- Responses of rank 3, linear in the direction of the vector, around a common response: (P, G).
local function planted()
  local f = vectors().values:to "double"
  f = f / f:square():sum(2):sqrt():reshape(P, 1)
  local map = core.randn(2, DIM, 3):to "double":matmul(core.randn(3, 3, G):to "double")
  local common = core.randn(4, 1, G):to "double"
  return f:matmul(map) + common + core.randn(5, P, G):to "double" * 0.1
end

-- Singles p1..pP in context K; `extra` fields, further rows with their deltas.
local function data(extra, more)
  local t = { genes = names("x", G), contexts = { "K" }, rows = {}, delta = planted(), file = "planted" }
  for i = 1, P do t.rows[i] = { perturbation = genes[i], context = "K" } end
  for _, r in ipairs(more or {}) do
    t.rows[#t.rows + 1] = { perturbation = r[1], context = r[2] or "K" }
    t.delta = core.cat({ t.delta, r[3]:reshape(1, G) }, 1)
  end
  for k, v in pairs(extra or {}) do t[k] = v end
  return responses.new(t)
end

local function rows_of(R, list)
  local out = {}
  for i, p in ipairs(list) do out[i] = R:find("K", p) end
  return out
end

local function in_k(list)
  local out = {}
  for i, p in ipairs(list) do out[i] = { perturbation = p, context = "K" } end
  return out
end

local function slice(from, to)
  local out = {}
  for i = from, to do out[#out + 1] = genes[i] end
  return out
end

-- What to fit on: the first 45 genes.
local function env(R, extra)
  local e = { responses = R, train = rows_of(R, slice(1, 45)), embedding = vectors(), seed = 3 }
  for k, v in pairs(extra or {}) do e[k] = v end
  return e
end

local function options(extra)
  local o = { latent = 6, hidden = 24, depth = 1, rank = 2, members = 1, epochs = 150, batch = 16, lr = 1e-2,
    noise = 0.1, dropout = 0, direct = false }
  for k, v in pairs(extra or {}) do o[k] = v end
  return o
end

local function same(a, b) return (a - b):abs():max():item() == 0 end
local function distance(a, b) return (a - b):abs():max():item() end
local function mse(a, b) return (a - b):square():mean():item() end

-- ---- learning ---------------------------------------------------------------------------------

test("a planted response is recovered better than by neighbours and by the mean", function()
  local R, unseen = data(), slice(46, P)
  local rows = rows_of(R, unseen)
  local truth = responses.pick(R.delta, rows)
  local error_of = {}
  for name, recipe in pairs { knn = baseline.knn {}, mean = baseline.mean {}, koopman = model.koopman(options()),
    mlp = model.mlp(options()) } do
    local y, flags = recipe:fit(env(R)):predict(in_k(unseen))
    assert(y:size(1) == #unseen and y:size(2) == G)
    assert(flags[1] == (name == "mean" and "mean" or "embedding"))
    error_of[name] = mse(y, truth)
  end
  assert(error_of.koopman < error_of.knn / 2, ("koopman %g, knn %g"):format(error_of.koopman, error_of.knn))
  assert(error_of.koopman < error_of.mean / 4)
  assert(error_of.mlp < error_of.mean)
end)

test("a model that learned nothing is the training mean, and additive", function()
  local R = data()
  local mean = baseline.mean {}:fit(env(R)):predict { { perturbation = "p50", context = "K" } }
  for _, recipe in ipairs { model.koopman(options { epochs = 0 }), model.mlp(options { epochs = 0 }),
    model.koopman(options { epochs = 0, decoder = "trained", form = "exponential" }) } do
    local fitted = recipe:fit(env(R))
    local y = fitted:predict { "p50", "p50+p51", "p1+p2+p3" }
    near(distance(y:rows(1, 1), mean), 0, 1e-14)
    near(distance(y:rows(2, 2), mean * 2), 0, 1e-14)
    near(distance(y:rows(3, 3), mean * 3), 0, 1e-14)
  end
end)

test("precision of training: bf16 where the processor has it, an error elsewhere, and no other word", function()
  local R, o = data(), { hidden = 128, depth = 2, batch = 64, epochs = 50, precision = "bf16" } -- products worth it
  raises("precision", model.koopman, { precision = "half" })
  if not core.bf16() then return raises("AVX512-BF16", function() model.koopman(options(o)):fit(env(R)) end) end
  local rows, y = in_k(slice(46, P)), {}
  for _, p in ipairs { "float", "bf16" } do
    o.precision = p
    y[p] = model.koopman(options(o)):fit(env(R)):predict(rows)
  end
  local scale = y.float:square():mean():sqrt():item()
  local d = math.sqrt(mse(y.float, y.bf16)) / scale
  assert(d > 0 and d < 0.1, ("%g"):format(d))
end)

test("rank 0 adds up what the genes of a combination do", function()
  local fitted = model.koopman(options { rank = 0, epochs = 20 }):fit(env(data()))
  local y = fitted:predict { "p1", "p50", "p1+p50" }
  near(distance(y:rows(1, 1) + y:rows(2, 2), y:rows(3, 3)), 0, 1e-6)
end)

test("genes of the training data are remembered", function()
  local R = data()
  local truth = responses.pick(R.delta, rows_of(R, slice(1, 45)))
  local with = model.koopman(options { epochs = 60 }):fit(env(R))
  local without = model.koopman(options { epochs = 60, learnable = false }):fit(env(R))
  local y, flags = with:predict(slice(1, 45))
  assert(flags[1] == "seen" and flags[45] == "seen")
  local z, f = without:predict(slice(1, 45))
  assert(f[1] == "embedding")
  assert(mse(y, truth) < mse(z, truth))
end)

test("the same seed gives the same bytes with one and with two threads", function()
  local R, threads, out = data(), core.threads(), {}
  for n = 1, 2 do
    core.threads(n)
    local fitted = model.koopman(options { epochs = 5, members = 2, dropout = 0.5 }):fit(env(R))
    out[n] = fitted:predict { "p1", "p50", "p1+p50" }
  end
  core.threads(threads)
  assert(same(out[1], out[2]))
  local other = model.koopman(options { epochs = 5, members = 2, dropout = 0.5 }):fit(env(R, { seed = 4 }))
  assert(not same(out[1], other:predict { "p1", "p50", "p1+p50" }))
end)

test("training reports its progress and keeps the best of the validation rows", function()
  local R, calls = data(), 0
  local fitted = model.koopman(options { epochs = 40, patience = 3, members = 2 }):fit(env(R, {
    validate = rows_of(R, slice(46, P)),
    progress = function(done, total, values)
      calls = calls + 1
      assert(done <= total and values.loss > 0 and values.validate > 0)
    end,
  }))
  local curve = fitted.models.K.curves[1]
  assert(calls > 2 and #curve.train == #curve.validate and #curve.train <= 40)
  assert(curve.train[#curve.train] < curve.train[1])
end)

test("combinations in training teach the operators", function()
  local delta = planted()
  local more = {}
  for i = 1, 20 do
    more[i] = { genes[i] .. "+" .. genes[i + 20], "K", (delta:select(1, i) + delta:select(1, i + 20)) * 0.5 }
  end
  local R, combined, truth = data(nil, more), {}, {}
  local train = rows_of(R, slice(1, 45))
  for i = 1, 20 do
    train[#train + 1], combined[i], truth[i] = R:find("K", more[i][1]), more[i][1], more[i][3]:reshape(1, G)
  end
  truth = core.cat(truth, 1)
  local e = env(R, { train = train })
  local y, flags = model.koopman(options { rank = 4 }):fit(e):predict(combined)
  local sum = baseline.additive {}:fit(e):predict(in_k(combined))
  assert(flags[1] == "seen" and mse(y, truth) < mse(sum, truth) / 2)
  local _, relative = model.koopman(options { rank = 4, epochs = 20 }):fit(e):order_spread(combined[1])
  assert(relative > 0)
end)

test("missing entries do not count", function()
  local delta, mask = planted(), core.full(1, P, G, "double")
  for i = 1, P do
    for g = 1, G do
      if (i * 7 + g * 3) % 5 == 0 then
        mask:set(0, i, g)
        delta:set(0, i, g)
      end
    end
  end
  local other = delta + (core.full(1, P, G, "double") - mask) * 100
  local out = {}
  for k, d in ipairs { delta, other } do
    out[k] = model.koopman(options { epochs = 30 }):fit(env(data { delta = d, mask = mask })):predict { "p1", "p50" }
  end
  near(distance(out[1], out[2]), 0, 1e-5)
  local unseen = slice(46, P)
  local R = data { delta = delta, mask = mask }
  local y = model.koopman(options()):fit(env(R)):predict(unseen)
  local truth = planted():rows(46, P)
  local mean = baseline.mean {}:fit(env(R)):predict { { perturbation = "p50", context = "K" } }
  assert(mse(y, truth) < mse(mean, truth) / 2)
end)

test("entries count as much as they weigh", function()
  local delta, weight = planted(), core.full(1, P, G, "double")
  local out = {}
  for k, w in ipairs { 1, 3, 0 } do
    for i = 1, P do weight:set(w, i, 2) end
    local R = data { delta = delta, weight = weight:clone() }
    out[k] = model.koopman(options { epochs = 30 }):fit(env(R)):predict { "p1", "p50" }
  end
  assert(distance(out[1], out[2]) > 1e-4, "three times the weight changes nothing")
  assert(distance(out[1], out[3]) > 1e-4, "no weight changes nothing")
end)

test("labels start from neighbours and smoothed frequencies", function()
  local label = planted():gt(0.5):to "double"
  local R = data { kind = "label", delta = label }
  local unseen = slice(46, P)
  local truth = responses.pick(R.delta, rows_of(R, unseen))
  local start = model.koopman(options { epochs = 0 }):fit(env(R)):predict(unseen)
  local query = in_k(unseen)
  near(distance(start, baseline.knn {}:fit(env(R)):predict(query)), 0, 1e-6)
  local y, flags = model.koopman(options { epochs = 30, noise = 0.5 }):fit(env(R)):predict(unseen)
  local mean = baseline.mean {}:fit(env(R)):predict(query)
  assert(flags[1] == "embedding" and mse(y, truth) < mse(mean, truth))
end)

-- ---- coverage ---------------------------------------------------------------------------------

-- p1 -| x1, u1 -> p46, p47: u1 has no vector, its neighbours have.
local function graph()
  return core.graph(nil, { "u1", "u1", "p1" }, { "p46", "p47", "x1" }, { 1, 1, -1 },
    { directed = true, signed = true, source = "net" })
end

test("a gene without a vector is predicted from its neighbours, as the mean, or not at all", function()
  local R, g = data(), graph()
  local near_ = model.koopman(options { epochs = 20 }):fit(env(R, { graph = g }))
  local y, flags = near_:predict { "u1", "u2", "p50", "p1", "p1+u1", "p1+u2" }
  assert(table.concat(flags, " ") == "neighbours mean embedding seen neighbours mean", table.concat(flags, " "))
  local base = near_.models.K.base
  near(distance(y:select(1, 2), base), 0, 1e-12) -- nothing is known: the mean
  assert(distance(y:select(1, 1), base) > 1e-3)

  local mean = model.koopman(options { epochs = 20, fallback = "mean" }):fit(env(R, { graph = g }))
  y, flags = mean:predict { "u1", "u2", "p50" }
  assert(table.concat(flags, " ") == "mean mean embedding", table.concat(flags, " "))
  near(distance(y:select(1, 1), mean.models.K.base), 0, 1e-12)

  local strict = model.koopman(options { epochs = 1, fallback = "error" }):fit(env(R, { graph = g }))
  raises("gene 'p5O' has no vector in planted; did you mean 'p5", strict.predict, strict, { "p5O" })
  raises("gene 'u1' has no vector", strict.predict, strict, { "p1", "p2+u1" })
  strict:predict { "p1", "p50" }
end)

test("a model needs an embedding that knows some of its genes", function()
  local R = data()
  local e = env(R)
  e.embedding = nil
  raises("model.koopman: needs an embedding", model.koopman(options()).fit, model.koopman(options()), e)
  e.embedding = embedding.new { genes = { "A", "B" }, values = core.randn(1, 2, 3), source = "other" }
  raises("none of the 45 perturbed genes has a vector in other (first: p1, p10, p11)", model.koopman(options()).fit,
    model.koopman(options()), e)
  raises("fit expects env.responses", model.mlp().fit, model.mlp(), {})
  raises("unknown option 'latant'; did you mean 'latent'?", model.koopman, { latant = 3 })
  raises("unknown option 'form'", model.mlp, { form = "affine" })
end)

-- ---- transfer ---------------------------------------------------------------------------------

test("of another context only the control is used", function()
  local function with(factor, control)
    local more = {}
    for i = 1, 5 do more[i] = { genes[i], "L", core.full(factor, G, "double") } end
    return data({ contexts = { "K", "L" },
      control = core.cat({ core.full(1, 1, G, "double"), core.full(control, 1, G, "double") }, 1) }, more)
  end
  local query = { { perturbation = "p50", context = "L" }, { perturbation = "x3", context = "L" } }
  local function transferred(factor, control, more)
    local R = with(factor, control)
    return model.koopman(options { epochs = 5, direct = true }):fit(env(R, { graph = graph() })):predict(query, more)
  end
  local y = transferred(1, 2)
  assert(same(y, transferred(9, 2)))
  assert(not same(y, transferred(1, 0.1)))
  assert(same(y, transferred(1, 0.1, { control = { L = core.full(2, G, "double") } })))
  -- what is lost is at most what is there
  local low = transferred(1, 0.1)
  assert(low:min():item() >= -0.1)
end)

test("contexts are trained apart", function()
  local more = {}
  for i = 1, 20 do more[i] = { genes[i], "L", planted():select(1, i) * -1 } end
  local R = data({ contexts = { "K", "L" } }, more)
  local train = rows_of(R, slice(1, 45))
  for i = 1, 20 do train[#train + 1] = R:find("L", genes[i]) end
  local fitted = model.koopman(options { epochs = 60 }):fit(env(R, { train = train }))
  assert(table.concat(fitted.contexts, " ") == "K L")
  local y = fitted:predict { { perturbation = "p50", context = "L" }, { perturbation = "p50", context = "K" } }
  assert(mse(y:select(1, 1), y:select(1, 2) * -1) < mse(y:select(1, 1), y:select(1, 2)))
  assert(tostring(fitted:operator("p1", { context = "L" })):find("p1", 1, true))
  raises("no operators for context 'MCF7' (there are: K L)", fitted.operator, fitted, "p1", { context = "MCF7" })
end)

-- ---- operators ----------------------------------------------------------------------------------

test("operators, commutators, orders and rescues", function()
  local delta, more = planted(), {}
  for i = 1, 10 do
    more[i] = { genes[i] .. "+" .. genes[i + 20], "K", (delta:select(1, i) + delta:select(1, i + 20)) * 0.7 }
  end
  local R = data(nil, more)
  local train = rows_of(R, slice(1, 45))
  for i = 1, 10 do train[#train + 1] = R:find("K", more[i][1]) end
  local fitted = model.koopman(options { epochs = 60, learnable = false, rank = 3 }):fit(env(R, { train = train }))
  local k = fitted:operator "p1"
  local m = fitted.models.K
  -- the operator moves the control state by what the model predicts
  local move = k:effect(core.zeros(6, "double")):reshape(1, 6):matmul(m.D) + m.base
  near(distance(move:select(1, 1), fitted:predict { "p1" } :select(1, 1)), 0, 1e-5)
  local c = fitted:commutator("p1", "p2")
  assert(c.norm > 0 and c.relative > 0 and c.relative <= math.sqrt(2) + 1e-12)
  near(fitted:commutator("p1", "p1").norm, 0, 1e-12)
  near(c.norm, fitted:commutator("p2", "p1").norm, 1e-12)
  local spread, relative = fitted:order_spread "p1+p2"
  assert(spread > 0 and relative > 0 and relative < 1)
  near((fitted:order_spread "p1"), 0, 1e-12)
  local best = fitted:rescue("p1", { top = 4 })
  assert(#best == 4 and best[1][2] <= best[2][2] and best[4][2] > 0)
  for _, r in ipairs(fitted:rescue("p1", { top = 100 })) do assert(r[1] ~= "p1") end
  assert(#fitted:rescue("p1", { among = { "p3", "p4" } }) == 2)
  raises("gene 'p100' has no vector in planted", fitted.operator, fitted, "p100")
  local direct = model.mlp(options { epochs = 1 }):fit(env(data()))
  raises("a direct mlp has no operators", direct.operator, direct, "p1")
  assert(tostring(fitted):find("Model koopman: 40 genes, latent 6, rank 3, 1 members, trained on 45", 1, true))
end)

-- ---- files --------------------------------------------------------------------------------------

local function temporary()
  local path = os.tmpname()
  return path, function() os.remove(path) end
end

test("a model in a file predicts the same bytes", function()
  local path, done = temporary()
  local function round(fitted, query, more)
    local before, flags = fitted:predict(query, more)
    fitted:save(path, { split = { name = "unseen" } })
    local back = model.load(path)
    local after, again = back:predict(query, more)
    assert(same(before, after) and table.concat(flags, " ") == table.concat(again, " "))
    assert(back.seed == 3 and back.genes[G] == "x" .. G)
    return back
  end
  local query = { "p1", "p50", "u1", "u2", "p1+p50", "x1" }
  local e = env(data { control = core.full(1, 1, G, "double") }, { graph = graph() })
  local back = round(model.koopman(options { epochs = 3, members = 2, direct = true }):fit(e), query)
  assert(back:operator("p1"):rank() == 2 and tostring(back):find("2 members", 1, true))
  round(model.mlp(options { epochs = 3, fallback = "mean" }):fit(e), query)
  round(model.koopman(options { epochs = 3, decoder = "trained", form = "exponential" }):fit(e), query)
  round(model.koopman(options { epochs = 3, anchor = "knn" }):fit(e), query)
  round(model.koopman(options { epochs = 3 }):fit(e), { { perturbation = "p1", context = "other" } },
    { control = { other = core.full(0.1, G, "double") } })
  local strict = round(model.koopman(options { epochs = 3, fallback = "error" }):fit(e), { "p1" })
  raises("gene 'p5O' has no vector", strict.predict, strict, { "p5O" })
  done()
end)

-- Loading must end with one sentence that names the file.
local function refused(path, text)
  local ok, e = pcall(model.load, path)
  assert(not ok, "a damaged file was read")
  local message = require "dynamo.error".line(e)
  assert(type(e) == "table" and (e.code == "EFORMAT" or e.code == "EIO"), message)
  assert(message:find(path, 1, true) and not message:find "[\r\n]", message)
  if text then assert(message:find(text, 1, true), message) end
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local s = f:read "*a"
  f:close()
  return s
end

local function write(path, s)
  local f = assert(io.open(path, "wb"))
  f:write(s)
  f:close()
end

test("damaged model files end with a sentence", function()
  local path, done = temporary()
  os.remove(path)
  refused(path)
  model.koopman(options { epochs = 1 }):fit(env(data(), { graph = graph() })):save(path)
  local good = read(path)
  write(path, good:sub(1, math.floor(#good / 2)))
  refused(path)
  write(path, "")
  refused(path)
  write(path, "not a model")
  refused(path)
  -- a flipped byte is found wherever it matters: either the file is refused, or nothing has changed
  write(path, good)
  local before = model.load(path):predict { "p1", "p50" }
  local caught = 0
  for i = 1, 25 do
    local at = math.floor(#good * i / 26)
    write(path, good:sub(1, at - 1) .. string.char((good:byte(at) + 128) % 256) .. good:sub(at + 1))
    local ok, back = pcall(model.load, path)
    if ok then
      assert(same(before, back:predict { "p1", "p50" }), "a flipped byte changed a prediction")
    else
      caught = caught + 1
      refused(path)
    end
  end
  assert(caught > 0)
  done()
end)

-- The parts of a good file, to be changed.
local function parts(path)
  model.koopman(options { epochs = 1, direct = true, anchor = "knn" }):fit(env(data {
    control = core.full(1, 1, G, "double") }, { graph = graph() })):save(path)
  return core.model_read(path)
end

test("model files that do not fit together are refused", function()
  local path, done = temporary()
  local t = parts(path)
  local function without(kind, name)
    local keep = t[kind][name]
    assert(keep ~= nil, name)
    t[kind][name] = nil
    core.model_write(path, t)
    refused(path, name)
    t[kind][name] = keep
  end
  local function with(kind, name, value, text)
    local keep = t[kind][name]
    t[kind][name] = value
    core.model_write(path, t)
    refused(path, text or name)
    t[kind][name] = keep
  end
  for _, name in ipairs { "base", "D", "centre", "control", "member1", "neighbours/residual",
    "neighbours/similarity" } do
    without("tensors", "model1/" .. name)
    with("tensors", "model1/" .. name, core.randn(1, 3, 3))
  end
  without("strings", "config")
  without("lists", "genes/symbol")
  without("lists", "embedding/genes")
  without("lists", "model1/genes")
  without("lists", "model1/neighbours/genes")
  without("tensors", "embedding/values")
  without("tensors", "contexts/control")
  without("tensors", "graph/from")
  with("tensors", "embedding/values", core.randn(1, 3, 3))
  with("tensors", "contexts/control", core.randn(1, 3, 3))
  with("tensors", "graph/to", core.full(77, 3, "double"))
  with("tensors", "graph/weight", core.full(1, 2, "double"))
  local flat = t.tensors["model1/member1"]
  with("tensors", "model1/member1", flat:rows(1, flat:count() - 1), "the configuration needs")
  with("tensors", "model1/member1", flat * (0 / 0), "not finite")
  with("strings", "config", "{", "")
  with("strings", "config", "{}", "config")
  with("strings", "config", "[1, 2]", "config")
  local config = t.strings.config
  for _, change in ipairs { { '"latent":%d+', '"latent":7' }, { '"latent":%d+', '"latent":1e15' },
    { '"latent":%d+', '"latent":"a"' }, { '"dim":%d+', '"dim":3' }, { '"own":%d+', '"own":3' },
    { '"head":"operator"', '"head":"tail"' }, { '"scale":[%d.e-]+', '"scale":"x"' }, { '"members":%d+', '"members":9' },
    { '"kind":"effect"', '"kind":7' }, { '"name":"K"', '"name":{}' }, { '"sd":[%d.e-]+', '"sd":null' } } do
    local text, n = config:gsub(change[1], change[2])
    assert(n > 0, change[1])
    with("strings", "config", text, "")
  end
  done()
end)

-- Perturbed cells keep half of what controls differ in along gene 1, whatever else happens to their mean.
local function halving_cells()
  local n, per, G = 24, 40, 6
  local rows, genes, names, x, row_of, context_of = {}, {}, {}, {}, {}, {}
  local function cell(row, half, shift)
    local z = core.randn(1000 + #x, G):totable()
    z[1] = 2 * z[1] * (half and 0.5 or 1)
    for j = 2, G do z[j] = 0.2 * z[j] + (j == 2 and shift or 0) + 5 end
    z[1] = z[1] + 5 + shift
    x[#x + 1], row_of[#row_of + 1], context_of[#context_of + 1] = z, row, 1
  end
  for _ = 1, 300 do cell(0, false, 0) end
  for g = 1, n do
    names[g] = ("P%02d"):format(g)
    rows[g] = { perturbation = names[g], context = "c", n_cells = per }
    for _ = 1, per do cell(g, true, g % 2 == 0 and 1 or -1) end
  end
  for j = 1, G do genes[j] = "G" .. j end
  local X = core.tensor(x, "float")
  local control = X:rows(1, 300):to("double"):mean(1)
  local delta = {}
  for g = 1, n do
    local lo = 300 + (g - 1) * per
    delta[g] = (X:rows(lo + 1, lo + per):to("double"):mean(1) - control):totable()
  end
  local R = responses.new { genes = genes, contexts = { "c" }, rows = rows, delta = core.tensor(delta, "double"),
    control = control:reshape(1, G), cells = { x = X, row_of = row_of, context_of = context_of } }
  local e = require("dynamo.embedding").new { genes = names, values = core.randn(5, n, 8), source = "random" }
  return R, e
end

test("operators learn from cells what happens to states, and means stay what they were", function()
  local R, e = halving_cells()
  local all = {}
  for i = 1, #R.rows do all[i] = i end
  local env = { responses = R, train = all, embedding = e, seed = 1 }
  local options = { latent = 2, rank = 2, hidden = 16, members = 1, epochs = 400, batch = 12, lr = 1e-2, noise = 0.1,
    dropout = 0, direct = false, clip = 0 }
  local with = model.koopman(options):fit(env)
  local function smallest(m)
    local least = 1
    for _, v in ipairs(m:operator("P01"):eigenvalues()) do least = math.min(least, v.re or v[1]) end
    return least
  end
  local least = smallest(with)
  assert(least > 0.3 and least < 0.7, ("eigenvalue %.3f, half was planted"):format(least))
  options.cells = 0
  local without = model.koopman(options):fit(env)
  near(smallest(without), 1, 1e-6)
  local rows = { { perturbation = "P01", targets = { "P01" }, context = "c" }, { perturbation = "P02", targets = { "P02" }, context = "c" } }
  near((with:predict(rows) - without:predict(rows)):abs():max():item(), 0, 0.05)
  -- cells that it predicts: control cells with half the spread, and the predicted mean
  local x = require("dynamo.populations").controls(R, 200).c
  local control = { control = { c = x, other = x } }
  local y = with:cells(rows, 150, control)
  assert(y[1]:size(1) == 150 and y[2]:size(2) == 6)
  local from = x:rows(1, 150)
  for i = 1, 2 do near((y[i]:mean(1) - from:mean(1) - with:predict(rows):select(1, i)):abs():max():item(), 0, 1e-9) end
  local function sd(t) return math.sqrt(t:narrow(2, 1, 1):var():item()) end
  local ratio = sd(y[1]) / sd(from)
  assert(ratio > .3 and ratio < .7, ("spread %.3f, half was planted"):format(ratio))
  near(sd(without:cells(rows, 150, control)[1]) / sd(from), 1, 0.05) -- what falls below 0 is 0
  local both = with:cells({ { perturbation = "P01+P02", targets = { "P01", "P02" }, context = "c" } }, 150, control)[1]
  assert(sd(both) / sd(from) < ratio and (with:cells(rows, 150, control)[1] - y[1]):abs():max():item() == 0)
  assert(with:cells({ { perturbation = "P01", targets = { "P01" }, context = "nowhere" } }, 9, { control = {} })[1] == false)
end)
