-- The fused normalisations against the same written with plain operations.
local core = require "dynamo.core"
local layers = require "dynamo.layers"

local function far(a, b) return (a - b):abs():max():item() end

-- Value and gradients of f on the leaves t, weighted so that no gradient is constant.
local function pass(t, f)
  local tape, v = core.tape(), {}
  for k, x in pairs(t) do v[k] = tape:leaf(x, true) end
  local y, extra = f(v)
  y:square():sum():backward()
  local out = { y = y:value():clone(), extra = extra }
  for k in pairs(t) do out[k] = v[k]:grad():clone() end
  tape:close()
  return out
end

local function same(a, b, tol)
  for k in pairs(a) do
    if k ~= "extra" then
      local d = far(a[k], b[k])
      assert(d < tol, ("%s differs by %g"):format(k, d))
    end
  end
end

test("batch_norm is that of the layers, with an activation and with rows that stand for several", function()
  local t = { x = core.randn(1, 9, 4, "double"), scale = core.randn(2, 4, "double"), shift = core.randn(3, 4, "double") }
  local fused = pass(t, function(v)
    local y = v.x:batch_norm(v.scale, v.shift, 1e-3, 0)
    return y, y:statistics():clone()
  end)
  local plain = pass(t, function(v) return (layers.batch_norm(v.x, v, { eps = 1e-3 })):relu() end)
  same(fused, plain, 1e-10)
  near(fused.extra:get(2), t.x:select(2, 2):mean():item())
  near(fused.extra:get(4 + 2), (t.x:select(2, 2) - fused.extra:get(2)):square():mean():item())
  -- rows twice and once
  local w = core.tensor({ 2, 2, 2, 1, 1, 1, 2, 1, 1 }, "double")
  local list = {}
  for i = 1, 9 do
    for _ = 1, w:get(i) do list[#list + 1] = i end
  end
  local weighted = pass(t, function(v)
    local y = v.x:batch_norm(v.scale, v.shift, 1e-3, .01, w)
    return y:rows(list)
  end)
  local repeated = pass(t, function(v) return v.x:rows(list):batch_norm(v.scale, v.shift, 1e-3, .01) end)
  same(weighted, repeated, 1e-10)
  local tape = core.tape()
  local x = tape:leaf(t.x)
  assert(x:statistics() == nil)
  raises("one element per column", x.batch_norm, x, t.x, t.shift)
  raises("eps is below 0", x.batch_norm, x, t.scale, t.shift, -1)
  raises("scale and shift expected", x.batch_norm, x, t.scale)
  tape:close()
end)

-- The decoder with operations that everybody has; base (blocks, G, d).
local function plain_decoder(v, eps)
  local blocks, G, d = v.base:size()
  local B = v.cells:size(1)
  local parts = {}
  for b = 1, B do
    local k = math.min(b, blocks)
    parts[b] = v.base:narrow(1, k, k):reshape(G, d) + v.cells:narrow(1, b, b)
  end
  local x = B > 1 and parts[1]:cat({ (table.unpack or unpack)(parts, 2) }, 1) or parts[1]
  local u = x:batch_norm(v.scale0, v.shift0, eps, 0):linear(v.w1):batch_norm(v.scale1, v.shift1, eps, 0)
  local o = u:linear(v.w2):batch_norm(v.scale2, v.shift2, eps)
  return (o:reshape(B, G, o:size(2)) * v.w):sum(3) + v.c
end

local function fused_decoder(v, eps)
  return v.base:gene_decoder({ v.cells, v.scale0, v.shift0, v.w1, v.scale1, v.shift1, v.w2, v.scale2, v.shift2, v.w, v.c },
    eps)
end

local function decoder_leaves(blocks, B, G, d, m, q, kind)
  local n = 0
  local function r(...)
    n = n + 1
    return core.randn(n, ...):to(kind)
  end
  return { base = r(blocks, G, d), cells = r(B, d), scale0 = r(d), shift0 = r(d), w1 = r(d, m), scale1 = r(m),
    shift1 = r(m), w2 = r(m, q), scale2 = r(q), shift2 = r(q), w = r(G, q), c = r(G) }
end

test("gene_decoder is its composition: tiles that are full, cut and single, blocks shared and own", function()
  for _, s in ipairs { { 1, 3, 130, 4, 6, 4 }, { 2, 11, 65, 3, 5, 2 }, { 1, 1, 7, 2, 3, 2 }, { 4, 4, 64, 2, 4, 3 },
    { 1, 600, 9, 2, 2, 2 } } do
    local t = decoder_leaves(s[1], s[2], s[3], s[4], s[5], s[6], "double")
    same(pass(t, function(v) return fused_decoder(v, 1e-5) end), pass(t, function(v) return plain_decoder(v, 1e-5) end),
      1e-6)
  end
  local t = decoder_leaves(2, 5, 100, 8, 16, 8, "float")
  same(pass(t, function(v) return fused_decoder(v, 1e-5) * .1 end), pass(t, function(v)
    return plain_decoder(v, 1e-5) * .1
  end), 2e-2) -- sums of squares of 500 elements in float
end)

test("gene_decoder: the same bits for any number of threads, and sizes that do not fit", function()
  local t, first = decoder_leaves(2, 4, 300, 8, 16, 8, "float"), nil
  local before = core.threads()
  for n = 1, 3 do
    core.threads(n)
    local r = pass(t, function(v) return fused_decoder(v, 1e-5) end)
    first = first or r
    for k in pairs(t) do assert(far(r[k], first[k]) == 0, k) end
  end
  core.threads(before)
  local tape = core.tape()
  local base = tape:leaf(t.base)
  local function with(k, x)
    local list = { t.cells, t.scale0, t.shift0, t.w1, t.scale1, t.shift1, t.w2, t.scale2, t.shift2, t.w, t.c }
    list[k] = x
    return function() return base:gene_decoder(list) end
  end
  raises("the layers do not match", with(10, t.w1))
  raises("strided view", with(10, core.randn(1, 8, 300):t()))
  raises("another type", with(10, t.w:to "double"))
  raises("expected (blocks, genes, d) and (cells, d)", with(1, t.c))
  raises("the layers do not match", with(1, core.zeros(1, 8))) -- fewer cells than blocks
  raises("12", function() base:gene_decoder { t.cells } end)
  tape:close()
end)
