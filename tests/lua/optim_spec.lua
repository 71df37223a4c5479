local core = require "dynamo.core"

local function quadratic(opts, make, steps)
  local p = core.params({ { "x", 3 }, { "y", 2, 2 } }, "double")
  p:flat():fill_(1)
  local opt, loss = core[make](p, opts), nil
  for _ = 1, steps do
    local tape = core.tape()
    local v = p:bind(tape)
    loss = ((v.x - 3):square():sum() + v.y:square():sum()):backward():item()
    p:collect()
    opt:step()
    tape:close()
  end
  return p, loss, opt
end

test("parameters are views of one buffer", function()
  local p = core.params { { "w", 2, 3 }, { "b", 3 }, { "s" } }
  assert(p:count() == 10 and p:count "w" == 6 and p:flat():count() == 10 and p:type() == "float")
  assert(table.concat(p:names(), " ") == "w b s")
  p:view "b":fill_(2)
  assert(p:flat():get(7) == 2 and p:flat():sum():item() == 6)
  assert(p:grad "w":size(2) == 3 and p:grad():count() == 10)
  assert(tostring(p) == "Params(3 tensors, 10 numbers, float)")
  raises("there is no parameter 'c'", p.view, p, "c")
  raises("there are two of 'w'", core.params, { { "w", 1 }, { "w", 2 } })
  raises("size 1 of 'w' is not a whole number", core.params, { { "w", 1.5 } })
  raises("{ name, size, ... } expected", core.params, { { 1, 2 } })
  p:close()
  raises("parameters were closed", p.flat, p)
end)

test("gradients arrive in the flat buffer, zeros where nothing flowed", function()
  local p = core.params({ { "a", 2 }, { "b", 2 }, { "c", 2 } }, "double")
  p:flat():fill_(2)
  p:grad():fill_(9)
  local tape = core.tape()
  local v = p:bind(tape, { "b" })
  assert(v.a:need() and not v.b:need())
  local y = (v.a * v.b):sum() + (v.a * v.b):sum()
  y:backward()
  near(p:collect(), math.sqrt(2 * 16))
  local g = p:grad():totable()
  assert(g[1] == 4 and g[3] == 0 and g[5] == 0)
  tape:close()
  raises("not bound to an open tape", p.collect, p)
end)

test("AdamW takes the steps of the paper", function()
  local p = core.params({ { "x", 1 } }, "double")
  p:flat():fill_(1)
  local opt = core.adamw(p, { lr = 0.1, beta1 = 0.9, beta2 = 0.99, eps = 1e-8, decay = 0.1 })
  local x, m, v = 1, 0, 0
  for t = 1, 5 do
    local g = 2 * x
    p:grad():fill_(g)
    opt:step()
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
    x = x - 0.1 * (m / (1 - 0.9 ^ t) / (math.sqrt(v / (1 - 0.99 ^ t)) + 1e-8) + 0.1 * x)
    near(p:flat():get(1), x, 1e-13)
  end
  assert(opt:steps() == 5)
end)

test("both optimisers find the minimum", function()
  local p, loss = quadratic({ lr = 0.1, decay = 0 }, "adamw", 300)
  assert(loss < 1e-6, loss) near(p:view "x":get(1), 3, 1e-3)
  local _, loss2 = quadratic({ lr = 0.05, momentum = 0.8 }, "sgd", 200)
  assert(loss2 < 1e-9, loss2)
end)

test("adam with weight decay in the gradient and bounded elements, against the formulas", function()
  local p = core.params({ { "w", 3 } }, "double")
  local start, g = { .5, -2, 1 }, { .3, 4, -5 }
  p:view("w"):copy_(core.tensor(start, "double"))
  local opt = core.adamw(p, { lr = .1, decay = 0, l2 = .01, bound = 1, eps = .01 })
  local w, m, v = { .5, -2, 1 }, { 0, 0, 0 }, { 0, 0, 0 }
  for t = 1, 3 do
    p:grad():copy_(core.tensor(g, "double"))
    opt:step()
    for i = 1, 3 do
      local d = math.max(-1, math.min(1, g[i])) + .01 * w[i]
      m[i], v[i] = .9 * m[i] + .1 * d, .999 * v[i] + .001 * d * d
      w[i] = w[i] - .1 * (m[i] / (1 - .9 ^ t)) / (math.sqrt(v[i] / (1 - .999 ^ t)) + .01)
      near(p:view("w"):get(i), w[i], 1e-12)
    end
  end
  raises("bound -1 is not 0 or more", core.adamw, p, { bound = -1 })
  raises("l2 -1 is not 0 or more", core.sgd, p, { l2 = -1 })
end)

test("groups, frozen parameters, clipping", function()
  local p = core.params({ { "a", 1 }, { "b", 1 }, { "c", 1 } }, "double")
  p:flat():fill_(1)
  local opt = core.sgd(p, { lr = 1, momentum = 0, decay = 0.5, clip = 1,
    groups = { a = { lr = 0.5, decay = false }, b = { decay = false } } })
  p:freeze { "c" }
  p:grad():fill_(0)
  p:grad "a":fill_(3)
  p:grad "b":fill_(4)
  near(opt:step(0.1), 5)
  near(p:view "a":item(), 1 - 0.5 * 0.1 * 3 / 5)
  near(p:view "b":item(), 1 - 0.1 * 4 / 5)
  assert(p:view "c":item() == 1)
  raises("there is no parameter 'd'", core.sgd, p, { groups = { d = {} } })
  raises("unknown option 'lrr' (options: lr momentum decay clip bound l2 groups)", core.sgd, p, { lrr = 1 })
  raises("learning rate -1 is not 0 or more", core.adamw, p, { lr = -1 })
  p:grad():fill_(0 / 0)
  raises("the gradient is not finite", opt.step, opt)
end)

test("a stopped run goes on as if it had not", function()
  local whole = quadratic({ lr = 0.1 }, "adamw", 20)
  local p, _, opt = quadratic({ lr = 0.1 }, "adamw", 10)
  local state, values = opt:state(), p:flat():clone()
  local q = core.params({ { "x", 3 }, { "y", 2, 2 } }, "double")
  q:flat():copy_(values)
  local again = core.adamw(q, { lr = 0.1 }):load(state)
  for _ = 1, 10 do
    local tape = core.tape()
    local v = q:bind(tape)
    local y = (v.x - 3):square():sum() + v.y:square():sum()
    y:backward()
    q:collect()
    again:step()
    tape:close()
  end
  assert((q:flat() - whole:flat()):norm():item() == 0 and again:steps() == 20)
  raises("state: there is no tensor 'm'", again.load, again, { step = 1 })
  raises("'m' has 2", again.load, again, { step = 1, m = core.zeros(2) })
end)

test("schedules", function()
  near(core.schedule("cosine", 1, { warmup = 4, total = 20 }), 0.25)
  near(core.schedule("cosine", 5, { warmup = 4, total = 20 }), 1)
  near(core.schedule("cosine", 13, { warmup = 4, total = 20 }), 0.5)
  near(core.schedule("cosine", 99, { warmup = 4, total = 20, floor = 0.1 }), 0.1)
  assert(core.schedule("constant", 7) == 1 and core.schedule("constant", 1, { warmup = 2 }) == 0.5)
  raises("cosine needs the total number of steps", core.schedule, "cosine", 1)
end)

-- A small model with everything that runs in parallel: its parameters after three steps.
local function trained(threads)
  local before = core.threads()
  core.threads(threads)
  local p = core.params { { "w1", 700, 300 }, { "b1", 300 }, { "w2", 300, 1100 }, { "b2", 1100 } }
  for i, name in ipairs { "w1", "w2" } do
    local w = p:view(name)
    w:copy_(core.randn(i, w:size()):mul_(0.05))
  end
  local x, opt, losses = core.randn(3, 200, 700), core.adamw(p, { lr = 1e-2, clip = 1 }), {}
  local y = core.randn(4, 200, 1100)
  for i = 1, 3 do
    local tape = core.tape()
    local v = p:bind(tape)
    local h = tape:leaf(x):linear(v.w1, v.b1, "gelu", 0.3, i)
    local z = h:linear(v.w2, v.b2)
    local loss = z:mse(y) + z:row_pearson(y) * 0.1
    loss:backward()
    losses[i] = loss:item()
    p:collect()
    opt:step(core.schedule("cosine", i, { total = 3 }))
    tape:close()
  end
  core.threads(before)
  return p:flat(), losses
end

test("training gives the same bytes with one and with two threads", function()
  local a, la = trained(1)
  local b, lb = trained(2)
  assert(a:ne(b):sum():item() == 0 and a:norm():item() > 0)
  for i = 1, 3 do assert(la[i] == lb[i]) end
  assert(la[3] < la[1])
end)

test("without memory a step raises ENOMEM and leaks nothing", function()
  local x, y = core.randn(1, 4, 3), core.randn(2, 4, 2)
  local function steps()
    local p = core.params { { "w", 3, 2 }, { "b", 2 } }
    local opt = core.adamw(p, { groups = { b = { decay = false } } })
    local tape = core.tape()
    local v = p:bind(tape)
    local z = tape:leaf(x):linear(v.w, v.b, "gelu", 0.5, 1)
    tape:cat({ z, z:rows { 1, 2 } }):sum(1):log_softmax():sum():add(z:mse(y)):backward()
    p:collect()
    opt:step()
    tape:close()
  end
  local n, done = 0, false
  while not done and n < 500 do
    core.fail_after(n)
    local ok, e = pcall(steps)
    core.fail_after(-1)
    assert(ok or e.code == "ENOMEM", tostring(e))
    done, n = ok, n + 1
  end
  assert(done and n > 20)
end)
