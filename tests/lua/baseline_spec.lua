local core = require "dynamo.core"
local baseline = require "dynamo.baseline"
local linear = require "dynamo.linear"
local responses = require "dynamo.responses"
local similarity = require "dynamo.similarity"

local function d(t) return core.tensor(t, "double") end

-- An Embedding from a table of vectors; `similarity` is the cosine, or of full memberships if given.
local function embedding(t, membership)
  local e = {}
  local function matrix(of, names)
    local rows, width = {}, nil
    for _, v in pairs(of) do width = #v end
    for i, g in ipairs(names) do
      local v, s = of[g], 0
      for k = 1, v and width or 0 do s = s + v[k] ^ 2 end
      rows[i] = {}
      for k = 1, width do rows[i][k] = v and v[k] / math.sqrt(s) or 0 end
    end
    return d(rows)
  end
  function e:has(g) return t[g] ~= nil end
  function e:dim() for _, v in pairs(t) do return #v end end
  function e:rows(names)
    local out = {}
    for i, g in ipairs(names) do out[i] = assert(t[g], g) end
    return core.tensor(out)
  end
  function e:similarity(a, b) return matrix(membership or t, a):matmul(matrix(membership or t, b):t()) end
  return e
end

local function data(rows, delta, extra)
  local genes = {}
  for g = 1, #delta[1] do genes[g] = "x" .. g end
  local t = { genes = genes, contexts = { "K" }, rows = {}, delta = d(delta), file = "x.csv" }
  for i, p in ipairs(rows) do t.rows[i] = { perturbation = p, context = "K" } end
  for k, v in pairs(extra or {}) do t[k] = v end
  return responses.new(t)
end

local function same(t, want, tol)
  for i, row in ipairs(want) do
    for j, v in ipairs(row) do near(t:get(i, j), v, tol) end
  end
  assert(t:size(1) == #want and t:size(2) == #want[1])
end

local function query(...)
  local out = {}
  for i, p in ipairs { ... } do out[i] = { perturbation = p, context = "K" } end
  return out
end

-- perturbations j1..j3 of the worked examples, genes x1..x3
local Y = { { 1, 0, -1 }, { 0, 1, 0 }, { 2, 1, 1 } }
local R3 = data({ "j1", "j2", "j3" }, Y)
local function env(extra)
  local t = { responses = R3, train = { 1, 2, 3 }, seed = 1 }
  for k, v in pairs(extra or {}) do t[k] = v end
  return t
end

test("linear: the worked example of the bilinear ridge, without and with a control column", function()
  local Z = d { { 1 }, { 0 }, { -1 } }
  local y, p = d(Y), d { { 1 }, { -1 }, { .5 } }
  local b = y:sum(1) / 3
  local f = linear.bilinear(Z, p, y, b, .1, .1)
  same(f(d { { 2 } }) + b, { { 1.810536980749747, 0.666666666666667, -0.810536980749747 } })
  b = y:sum(1) / 4
  f = linear.bilinear(Z, p, y, b, .1, .1)
  same(f(d { { 2 } }) + b, { { 1.611195542046606, .5, -0.861195542046606 } })
end)

test("linear: P from an embedding without G equals the closed form; a gene without vector gets b", function()
  local e = embedding { j1 = { 1 }, j2 = { -1 }, j3 = { .5 }, q = { 2 } }
  local fit = baseline.linear { genes = "identity", perturbations = "embedding",
    control = false }:fit(env { embedding = e })
  local got, flags = fit:predict(query("q", "none", "j1+q"))
  local b = { 1, 2 / 3, 0 }
  -- W = Yc' P / 1.1 / (P'P + .1), P'P = 2.25
  for j = 1, 3 do
    local w = ((Y[1][j] - b[j]) - (Y[2][j] - b[j]) + .5 * (Y[3][j] - b[j])) / 1.1 / 2.35
    near(got:get(1, j), 2 * w + b[j])
    near(got:get(2, j), b[j])
    near(got:get(3, j), 3 * w + b[j])
  end
  assert(flags[1] == "embedding" and flags[2] == "mean")
end)

test("linear: P from another line's profiles, whether or not they train", function()
  local rows, delta, other = {}, {}, core.randn(1, 4, 5, "double")
  for i = 1, 8 do
    local k = (i - 1) % 4 + 1
    rows[i] = { perturbation = ("abcd"):sub(k, k), context = i <= 4 and "K" or "R" }
    delta[i] = other:select(1, k):totable() -- both lines respond alike
  end
  local R = responses.new { genes = { "v", "w", "x", "y", "z" }, contexts = { "K", "R" }, rows = rows, delta = d(delta),
    file = "x.csv" }
  local recipe = linear.linear { genes = "identity", perturbations = "other", dim = 4, gene_ridge = 1e-9,
    perturbation_ridge = 1e-9, control = false }
  local got, flags = recipe:fit { responses = R, train = { 1, 2, 3, 4 } }:predict { 1, 2, { perturbation = "q", context = "K" } }
  same(got:rows(1, 2), { delta[1], delta[2] }, 1e-5)
  assert(flags[1] == "embedding" and flags[3] == "mean")
  raises("no context 'Q'", function() linear.linear { perturbations = "other", from = "Q" }:fit { responses = R,
    train = { 1 } }:predict { 1 } end)
  raises("needs a line beside 'K'", function()
    linear.linear { perturbations = "other" }:fit(env()):predict(query "j1")
  end)
end)

test("linear: gene scores are those of the SVD of the training profiles", function()
  local n, G = 12, 30
  local names, control = {}, core.randn(5, 1, G, "double")
  for i = 1, n do names[i] = "x" .. i end
  local R = data(names, core.randn(3, n, G, "double"):totable(), { control = control })
  local train = {}
  for i = 1, n - 2 do train[i] = i end
  local got = baseline.linear { dim = 4 }:fit { responses = R, train = train }:predict { R.rows[11], R.rows[12] }
  -- by hand: X genes x conditions, columns centred, U S
  local y = R.delta:index(1, train)
  local X = core.cat({ y + control, control }, 1):t()
  X = X - X:mean(1)
  local U, S = core.svd(X)
  local Z = (U * S):narrow(2, 1, 4):clone()
  local at, list = responses.places(R.genes), {}
  for k, i in ipairs(train) do list[k] = at[R.rows[i].targets[1]] end
  local b = y:sum(1) / 11
  local f = linear.bilinear(Z, Z:index(1, list), y, b, .1, .1)
  local want = f(Z:index(1, { at[R.rows[11].targets[1]], at[R.rows[12].targets[1]] })) + b
  assert((got - want):abs():max():item() < 1e-10)
end)

test("knn: the worked example of full memberships", function()
  local idf = { 0.916290731874155, 0.693147180559945, 0.693147180559945, 0.916290731874155 }
  local function m(...)
    local v = { ... }
    for k = 1, 4 do v[k] = v[k] * idf[k] end
    return v
  end
  local e = embedding({ j1 = { 1 }, j2 = { 1 }, j3 = { 1 }, q = { 1 } },
    { j1 = m(1, 1, 0, 0), j2 = m(0, 1, 1, 0), j3 = m(0, 0, 1, 1), q = m(1, 1, 1, 0) })
  local s = e:similarity({ "q" }, { "j1", "j2", "j3" })
  near(s:get(1, 1), 0.856244709034633) near(s:get(1, 2), 0.730540893106192) near(s:get(1, 3), 0.311645719307333)
  local fit = baseline.knn {}:fit(env { embedding = e })
  local got, flags = fit:predict(query("q", "nowhere", "q+q2"))
  same(got:rows(1, 2), { { 0.691246954744767, 0.469703953331249, -0.449820592630742 }, { 1, 2 / 3, 0 } })
  assert(flags[1] == "embedding" and flags[2] == "mean" and flags[3] == "mean")
  near(got:get(3, 1), 0.691246954744767 + 1)
  got = baseline.knn { k = 1 }:fit(env { embedding = e }):predict(query "q")
  local w = 0.856244709034633 ^ 2
  near(got:get(1, 1), 1 + w * (1 - 1) / (w + .05)) near(got:get(1, 3), -w / (w + .05))
end)

test("knn: labels with unobserved entries", function()
  local e = embedding { a = { 1, 0 }, b = { 1, 1 }, q = { 2, 1 } }
  local R = data({ "a", "b" }, { { 1, 0 }, { 1, 1 } }, { kind = "label", mask = d { { 1, 1 }, { 0, 1 } } })
  local got = baseline.knn {}:fit { responses = R, train = { 1, 2 }, embedding = e }:predict(query "q")
  local wa, wb = (2 / math.sqrt(5)) ^ 2, (3 / math.sqrt(10)) ^ 2
  near(got:get(1, 1), 2 / 3 + wa * (1 - 2 / 3) / (wa + .05))
  near(got:get(1, 2), 2 / 4 + (wa * (0 - .5) + wb * (1 - .5)) / (wa + wb + .05))
end)

test("ridge and kernel ridge: the worked examples, primal and dual", function()
  local e = embedding { j1 = { 1, 0 }, j2 = { 0, 1 }, j3 = { 1, 1 }, q = { 2, 0 } }
  same(baseline.ridge { alpha = 1 }:fit(env { embedding = e }):predict(query("q", "none")), { { 1.75, .25, -.25 },
    { 1, 2 / 3, 0 } })
  -- the dual: the same vectors with columns of zeros
  local wide = embedding { j1 = { 1, 0, 0, 0 }, j2 = { 0, 1, 0, 0 }, j3 = { 1, 1, 0, 0 }, q = { 2, 0, 0, 0 } }
  same(baseline.ridge { alpha = 1 }:fit(env { embedding = wide }):predict(query "q"), { { 1.75, .25, -.25 } })
  local K = { j1 = { j1 = 1, j2 = .5, j3 = 0 }, j2 = { j1 = .5, j2 = 1, j3 = .2 }, j3 = { j1 = 0, j2 = .2, j3 = 1 },
    q = { j1 = .6, j2 = .3, j3 = .1 } }
  local kernel = { has = function(_, g) return K[g] ~= nil end, similarity = function(_, a, b)
    local out = {}
    for i, x in ipairs(a) do
      out[i] = {}
      for j, y in ipairs(b) do out[i][j] = K[x][y] end
    end
    return d(out)
  end }
  same(baseline.kernel_ridge {}:fit(env { embeddings = { kernel, kernel } }):predict(query "q"),
    { { 0.966981132075472, 0.518553459119497, -0.238679245283019 } })
  raises("baseline.ridge: needs an embedding", function() baseline.ridge {}:fit(env()) end)
end)

test("means: classes, cells, control, labels", function()
  local R = data({ "a", "b", "a+b" }, { { 1, 0 }, { 3, 0 }, { 8, 2 } })
  local e = { responses = R, train = { 1, 2, 3 } } -- sorted: a, a+b, b
  same(baseline.mean {}:fit(e):predict(query "z"), { { 4, 2 / 3 } })
  same(baseline.mean { class = true }:fit(e):predict(query("z", "z+a")), { { 2, 0 }, { 8, 2 } })
  same(baseline.mean { with_control = true }:fit(e):predict(query "z"), { { 3, .5 } })
  R.rows[1].n_cells, R.rows[2].n_cells, R.rows[3].n_cells = 6, 2, 2
  same(baseline.mean { weight = "cells" }:fit(e):predict(query "z"), { { (6 + 16 + 6) / 10, .4 } })
  local L = data({ "a", "b" }, { { 1, 0 }, { 1, 0 } }, { kind = "label", mask = d { { 1, 1 }, { 1, 0 } } })
  same(baseline.mean {}:fit { responses = L, train = { 1, 2 } }:predict(query "z"), { { 3 / 4, 1 / 3 } })
  same(baseline.no_change {}:fit(e):predict(query("z", "a")), { { 0, 0 }, { 0, 0 } })
  local s, flags = baseline.shuffled {}:fit { responses = R, train = { 1, 3 }, seed = 4 }:predict(query("z", "y"))
  assert(s:get(1, 1) + s:get(2, 1) == 4 and flags[1] == "mean")
end)

test("combinations: additive with fallback and scale, matching mean", function()
  local R = data({ "a", "b", "a+b" }, { { 1, 0 }, { 3, 2 }, { 2, 1 } })
  local e = { responses = R, train = { 1, 2, 3 } }
  local got, flags = baseline.additive {}:fit(e):predict(query("a+b", "a", "a+z"))
  same(got, { { 4, 2 }, { 1, 0 }, { 1 + 2, 0 + 1 } })
  assert(flags[1] == "seen" and flags[2] == "seen" and flags[3] == "mean")
  got = baseline.additive { scale = "fit" }:fit(e):predict(query("a+b", "a"))
  same(got, { { 2, 1 }, { 1, 0 } })
  same(baseline.additive { scale = .5 }:fit(e):predict(query "a+b"), { { 2, 1 } })
  same(baseline.matching_mean {}:fit(e):predict(query "a+b"), { { 2, 1 } })
  local _, f = baseline.additive {}:fit { responses = R, train = { 1, 2, 3 }, embedding = embedding { a = { 1 },
    b = { 1 }, z = { 1 } } }:predict(query("a+z", "z"))
  assert(f[1] == "embedding" and f[2] == "embedding")
end)

-- two lines with different responses
local function lines()
  local rows, delta = {}, { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 10, 1 }, { 20, 1 }, { 30, 1 } }
  for i, c in ipairs { "K", "K", "K", "R", "R", "R" } do
    rows[i] = { perturbation = ("abc"):sub((i - 1) % 3 + 1, (i - 1) % 3 + 1), context = c }
  end
  return responses.new { genes = { "x", "y" }, contexts = { "K", "R" }, rows = rows, delta = d(delta), file = "x.csv" }
end

test("contexts: each has its own fit; without training rows the others' is applied unchanged", function()
  local R = lines()
  local both = { responses = R, train = { 1, 2, 4, 5 } }
  same(baseline.mean {}:fit(both):predict { { perturbation = "c", context = "R" }, { perturbation = "c",
    context = "K" } }, { { 15, 1 }, { 1.5, 0 } })
  local one = { responses = R, train = { 1, 2 }, native = { 4, 5 } }
  same(baseline.mean {}:fit(one):predict { 6 }, { { 1.5, 0 } })
  same(baseline.carried { base = baseline.mean {} }:fit(both):predict { 6 }, { { 1.5, 0 } })
  same(baseline.template { base = baseline.mean {} }:fit(one):predict { 6 }, { { 15, 1 } })
  same(baseline.template { base = baseline.additive { fallback = "mean" } }:fit(one):predict { 5 }, { { 2 + 15 - 1.5,
    1 } })
  local got, flags = baseline.copy {}:fit(one):predict { 6, { perturbation = "q", context = "R" } }
  same(got, { { 3, 0 }, { 1.5, 0 } })
  assert(flags[1] == "seen" and flags[2] == "mean")
  raises("no training rows in context 'R'",
    function() baseline.template { base = baseline.mean {} }:fit { responses = R, train = { 1 } }:predict { 6 } end)
  raises("no context 'Q'", function() baseline.copy { from = "Q" }:fit(one) end)
end)

test("baselines: recipes, standard rows, errors", function()
  assert(tostring(baseline.knn { k = 3 }) == "baseline.knn { k = 3, lambda = 0.05, power = 2, similarity = \"auto\" }",
    tostring(baseline.knn { k = 3 }))
  raises("unknown option 'pwoer'; did you mean 'power'?", baseline.knn, { pwoer = 1 })
  local names = {}
  for i, r in ipairs(baseline.standard { combinations = true, embedding = true, transfer = true }) do
    names[i] = r.name
  end
  assert(table.concat(names, " ") == "no_change mean additive matching_mean linear knn ridge copy")
  local none = baseline.mean {}:fit(env()):predict {}
  assert(none:size(1) == 0 and none:size(2) == 3)
end)

test("lines: context mean, TxPert's general, State's perturbation mean", function()
  local R = lines()
  R.rows[1].n_cells, R.rows[4].n_cells = 3, 1
  local e = { responses = R, train = { 1, 2, 4 } } -- a and b in K, a in R
  same(baseline.context_mean {}:fit(e):predict { { perturbation = "q", context = "K" } }, { { (3 * 1 + 2) / 4, 0 } })
  local got, flags = baseline.general {}:fit(e):predict { { perturbation = "a", context = "R" },
    { perturbation = "c", context = "R" }, { perturbation = "b+a", context = "R" } }
  local mean = { (1.5 + 10) / 2, .5 } -- of the lines' means
  same(got, { { 13 / 4, 1 / 4 }, mean, { 13 / 4 + 2, 1 / 4 } })
  assert(flags[1] == "seen" and flags[2] == "mean" and flags[3] == "seen")
  got, flags = baseline.perturb_mean {}:fit(e):predict { { perturbation = "a", context = "R" },
    { perturbation = "c", context = "R" } }
  same(got, { { 5.5, .5 }, { 0, 0 } })
  assert(flags[1] == "seen" and flags[2] == "mean")
  local doubles = data({ "a", "b", "a+b" }, { { 1, 0 }, { 3, 2 }, { 9, 9 } })
  same(baseline.general {}:fit { responses = doubles, train = { 1, 2, 3 } }:predict(query("b+a", "a+z")),
    { { 9, 9 }, { 1 + 13 / 3, 11 / 3 } })
end)

test("knn: similarities in a graph against counting by hand", function()
  local graph = require "dynamo.graph"
  local g = graph.from_edges { { "q", "j1", 1 }, { "j1", "j2", 1 }, { "j2", "j3", 1 }, { "q", "j2", 1 } }
  local function s(kind, a, b) return similarity.new(kind, g):similarity({ a }, { b }):get(1, 1) end
  assert(s("hops", "q", "q") == 1 and s("hops", "q", "j1") == .5 and s("hops", "q", "j3") == .25)
  assert(s("hops", "q", "no") == 0 and s("jaccard", "no", "q") == 0 and s("ppr", "q", "no") == 0)
  near(s("jaccard", "q", "j1"), 1 / 3) -- {j1 j2} and {q j2}
  near(s("jaccard", "q", "j3"), 1 / 2)
  near(s("ppr", "q", "q"), 1)
  -- stationary: p = .85 W p + .15 e_q, solved
  local W = d { { 0, 1 / 2, 1 / 3, 0 }, { 1 / 2, 0, 1 / 3, 0 }, { 1 / 2, 1 / 2, 0, 1 }, { 0, 0, 1 / 3, 0 } } -- q j1 j2 j3
  local p = core.solve(core.eye(4, "double") - W * .85, d { { .15 }, { 0 }, { 0 }, { 0 } })
  near(s("ppr", "q", "j1"), p:get(2, 1) / p:get(1, 1), 1e-6)
  near(s("ppr", "q", "j3"), p:get(4, 1) / p:get(1, 1), 1e-6)
  for _, kind in ipairs(similarity.kinds) do
    local got, flags = baseline.knn { similarity = kind }:fit(env { graph = g }):predict(query("q", "none"))
    assert(flags[1] == "neighbours" and flags[2] == "mean" and got:size(1) == 2)
    near(got:get(2, 1), 1)
  end
  local got = baseline.knn { similarity = "hops" }:fit(env { graph = g }):predict(query "q")
  local w = { .25, .25, .0625 }
  near(got:get(1, 1), 1 + (w[2] * -1 + w[3] * 1) / (w[1] + w[2] + w[3] + .05))
  raises("similarity 'ppr' needs a graph", function() baseline.knn { similarity = "ppr" }:fit(env()) end)
  raises("needs an embedding made from sets", function()
    baseline.knn { similarity = "annotation" }:fit(env { embedding = embedding { j1 = { 1 } } })
  end)
end)

test("controls of the embedding: random and permuted, and the direct network", function()
  local e = require "dynamo.embedding".new { genes = { "j1", "j2", "j3", "q" },
    values = core.tensor { { 1, 0 }, { 0, 1 }, { 1, 1 }, { 2, 0 } } }
  local kinds = { baseline.random, baseline.permuted }
  for k, kind in ipairs(kinds) do
    local got, flags = kind { base = baseline.ridge { alpha = 1 } }:fit(env { embedding = e }):predict(query "q")
    local other = k == 2 and e:permuted(1) or require "dynamo.embed".random(e.genes, { dim = 2, seed = 1 })
    local want = baseline.ridge { alpha = 1 }:fit(env { embedding = other }):predict(query "q")
    assert(got == want or (got - want):abs():max():item() == 0)
    assert(flags[1] == "embedding")
  end
  local cosine = baseline.knn { similarity = "cosine" }:fit(env { embedding = e }):predict(query "q")
  local plain = baseline.knn {}:fit(env { embedding = e }):predict(query "q")
  assert((cosine - plain):abs():max():item() < 1e-12)
  for _, kind in ipairs { "mlp", "mlp_delta" } do
    local fitted = baseline[kind] { epochs = 2, members = 1, latent = 2, hidden = 4, rank = 1 }:fit(env { embedding = e })
    assert(fitted:predict(query "q"):size(2) == 3)
  end
end)
