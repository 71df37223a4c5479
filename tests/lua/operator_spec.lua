local core = require "dynamo.core"

local function t(x) return core.tensor(x, "double") end
local U, V = t { { 1, 0 }, { 0, 1 }, { .5, -.5 }, { 0, .2 } }, t { { .2, 0 }, { .1, -.3 }, { 0, .4 }, { .3, .1 } }
local W, Y = t { { 0, .5 }, { 1, 0 }, { -.5, .5 }, { .2, 1 } }, t { { -.1, .2 }, { 0, .3 }, { .2, -.2 }, { .1, .1 } }

local function pair(form)
  return core.operator(U, V, t { .1, -.2, 0, .3 }, { form = form, name = "KLF1" }),
    core.operator(W, Y, t { 0, .1, .2, -.1 }, { form = form })
end

local function is(x, want)
  for i, v in ipairs(want) do near(x:get(i), v, 1e-12) end
end

test("operators act, compose and say what they are", function()
  local a, b, z = pair "affine", select(2, pair "affine"), t { 1, 0, -1, 2 }
  is(a:apply(z), { 1.9, -.4, -.5, 2.26 })
  is(a:effect(z), { .9, -.4, .5, .26 })
  is((a * b):apply(z), { 2.404, -.132, .018, 2.7936 }) -- b acts first
  is(a:compose(b, "additive"):apply(z), { 2.2, -.4, .05, 2.74 })
  is(core.compose({ b, a }, "product"):apply(z), { 2.193, -.364, .025, 2.7332 })
  is(a:epistasis(b, z), { .204, .268, -.032, .0536 })
  is(a:power(.5):apply(z), { 1.4294143617888, -.255729821653506, -.732427908278847, 2.118854035669299 })
  is((a ^ .5 * a ^ .5):apply(z), { 1.9, -.4, -.5, 2.26 })
  is(a:linear_dose(.5):apply(z), { 1.45, -.2, -.75, 2.13 })
  is((a:inverse() * a):apply(z), { 1, 0, -1, 2 })
  is(a:log():apply(z), { 1.9, -.4, -.5, 2.26 })
  is(a:apply(t { { 1, 0, -1, 2 }, { 1, 0, -1, 2 } }):select(1, 2), { 1.9, -.4, -.5, 2.26 })
  assert(a:rank() == 2 and a:dim() == 4 and a:form() == "affine" and a:log():form() == "exponential")
  assert(tostring(a) == "Operator KLF1: latent 4, rank 2, |eig| max 1.24, norm 0.714", tostring(a))
  a:label("KLF1", "nearest trained GATA1 .81")
  assert(tostring(a):find("norm 0.714, nearest trained GATA1 .81", 1, true))
end)

test("measures of one and of two operators", function()
  local a, b = pair "affine"
  near(a:norm(), .71442284397967, 1e-13) near(a:norm "two", .59034864382056, 1e-13)
  local m = a:measures()
  near(m.det, .592) near(m.log_norm, .32396534130644) near(m.henrici, .176)
  local l = a:eigenvalues()
  near(l[1].re, 1.244187454245971) assert(#l == 2 and l[1].angle == 0 and l[1].modulus == l[1].re)
  local modes = a:modes()
  assert(modes.right:size(1) == 4 and modes.left:size(2) == 2 and #modes.values == 2)
  is(a:singular_values(), { 1.335333475319849, 1.039802059973854, .937748808248152, .454668404877131 })
  local linear = core.operator(U, V)
  local c = linear:commutator(core.operator(W, Y))
  near(c.norm, .39196561073645225, 1e-13) is(c.operator:effect(t { 1, 0, -1, 2 }), { .226, .212, .008, .0464 })
  near(c.relative, c.norm / (a:norm() * b:norm()), 1e-13)
  near(linear:cosine(core.operator(W, Y)), .463564564782493, 1e-13)
  local clipped, factor = a:clip(.5)
  near(clipped:norm "two", .5) near(factor, .846957141739412)
  near(select(2, a:limit(10)), 1)
  near(a:angles(a):get(1), 0, 1e-7)
  near(a:overlap(b):get(2, 1), -.48)
  near(a:recompress(1):rank(), 1)
  near((a:dense() - linear:dense()):norm():item(), 0)
end)

test("orders: mean and spread", function()
  local a, b = pair "affine"
  local r = core.order_spread({ a, b }, t { 1, 0, -1, 2 })
  near(r.spread, .31944038567469835 / 2, 1e-13) assert(r.orders == 2)
  is(core.compose { a, b }:apply(t { 1, 0, -1, 2 }), r.mean:totable())
end)

test("exponential operators are doses", function()
  local g = pair "exponential"
  is(g:power(.25):apply(t { 1, 0, -1, 2 }), { 1.232070341584733, -.089493968011941, -.876717845201663, 2.067101206397612 })
  local u, v, b = g:affine():factors()
  assert(u:size(1) == 4 and v:size(2) == 2)
  is(b, { .150530055285676, -.158490091679705, .004510073482691, .308301981664059 })
end)

test("wrong operators are refused", function()
  local a = pair "affine"
  raises("operator: U 4x2, V 2x4 and b none do not match", core.operator, U, V:t())
  raises("unknown option 'from'", core.operator, U, V, nil, { from = "affine" })
  raises("apply: states 3, the latent space has 4", a.apply, a, t { 1, 2, 3 })
  raises("product, symmetric, generator or additive", a.compose, a, a, "sum")
  raises("not_invertible", function() core.operator(t { { 1 }, { 0 } }, t { { -1 }, { 0 } }):inverse() end)
  raises("U is not finite", core.operator, t { { 0 / 0 } }, t { { 1 } })
  a:close()
  raises("operator was closed", a.rank, a)
  assert(tostring(a) == "Operator(closed)")
end)
