-- The training step of the anchors: batch x 5,000 genes, lift 5000-512-128, operators of rank 16 generated from
-- 128-dimensional embeddings through a 256-wide trunk, decoder 128-512-5000, MSE, AdamW; 6.34 M parameters.
-- usage: build/dynamo tests/bench/bench_train.lua [batch [steps]]; on 1 thread and on all, PyTorch in the same run
-- Beside it, in turn with the steps, the products of the step alone: what a step could cost at best here.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"

local args = arg or {}
local B, steps = tonumber(args[1] or 256), tonumber(args[2] or 20)
local G, H, D, R, T, E, N = 5000, 512, 128, 16, 256, 128, 20000

local p = core.params { { "w1", G, H }, { "b1", H }, { "w2", H, D }, { "b2", D }, { "w3", E, T }, { "b3", T },
  { "w4", T, 2 * D * R }, { "b4", 2 * D * R }, { "w5", D, H }, { "b5", H }, { "w6", H, G }, { "b6", G } }
local start = {} -- of every parameter
for i, name in ipairs(p:names()) do
  local w = p:view(name)
  local n = select("#", w:size()) == 2 and w:size(1) or nil
  start[name] = n and core.randn(i, w:size()):mul_(1 / math.sqrt(n)) or core.zeros(w:size())
end
local opt
local function begin()
  for name, w in pairs(start) do p:view(name):copy_(w) end
  opt = core.adamw(p, { lr = 1e-3, decay = 0 })
end
local embedding = core.randn(99, N, E)
local x = core.rand(7, 2048, G)
x:mul_(core.rand(8, 2048, G):lt(0.1))

local rows = {}
local function step(i, precision)
  local lo = (i * B) % (2048 - B + 1) + 1
  for k = 1, B do rows[k] = (k * 7919 + i * 104729) % N + 1 end
  local tape = core.tape { precision = precision }
  local v = p:bind(tape)
  local batch = x:rows(lo, lo + B - 1)
  local z = tape:leaf(batch):linear(v.w1, v.b1, "relu"):linear(v.w2, v.b2)
  local uv = tape:leaf(embedding:index(1, rows)):linear(v.w3, v.b3, "relu"):linear(v.w4, v.b4)
  local u = uv:narrow(2, 1, D * R):reshape(B, D, R)
  local w = uv:narrow(2, D * R + 1, 2 * D * R):reshape(B, D, R)
  z = z + u:matmul(w:swap(2, 3):matmul(z:reshape(B, D, 1))):reshape(B, D)
  local y = z:linear(v.w5, v.b5, "relu"):linear(v.w6, v.b6)
  local loss = y:mse(batch):backward():item()
  p:collect()
  opt:step()
  tape:close()
  return loss
end

-- The products alone: forward, and backward for weights and inputs.
local shapes = { { G, H, false }, { H, D, true }, { E, T, false }, { T, 2 * D * R, true }, { D, H, true }, { H, G, true } }
local products, flops = {}, 0
for i, s in ipairs(shapes) do
  products[i] = { core.randn(1, B, s[1]), core.randn(2, s[1], s[2]), core.randn(3, B, s[2]), s[3] }
  flops = flops + 2 * B * s[1] * s[2] * (s[3] and 3 or 2)
end
local function gemms()
  for _, q in ipairs(products) do
    q[1]:matmul(q[2]):close()
    q[1]:t():matmul(q[3]):close()
    if q[4] then q[3]:matmul(q[2]:t()):close() end
  end
end

local function median(t)
  table.sort(t)
  return t[math.floor(#t / 2) + 1]
end

-- Medians of the step and of its products, in turn, and the loss of the last step.
local function measure(precision)
  local clock, times, bare, loss = core.time, {}, {}, nil
  begin()
  for i = 1, 3 do
    step(i, precision)
    gemms()
  end
  for i = 1, steps do
    local t0 = clock()
    loss = step(i + 3, precision)
    local t1 = clock()
    gemms()
    times[i], bare[i] = t1 - t0, clock() - t1
  end
  return median(times), median(bare), loss
end

local function report(threads, precision, peer)
  core.threads(threads)
  local s, g, loss = measure(precision)
  local p_row = peer[precision] or {}
  bench.row { name = "train", case = ("step %s, batch %d"):format(precision, B), seconds = s, peak_mb = bench.peak_mb(), quality = loss,
    limit_ratio = precision == "float" and s / g or nil, peer = "torch", peer_seconds = p_row.seconds }
  print(("# %d parameters, %.2f GFLOP a step: %.1f steps/s, %.0f GFLOP/s; its float products alone %.0f GFLOP/s; loss %.5f%s"):format(
    p:count(), flops / 1e9, 1 / s, flops / s / 1e9, flops / g / 1e9, loss,
    p_row.peak_mb and ("; torch: loss %.5f, peak %.0f MB"):format(p_row.quality, p_row.peak_mb) or ""))
end

local all = core.threads()
print("# " .. core.blas())
for threads = 1, all, math.max(1, all - 1) do
  local peer = bench.peer("tests/bench/peer_train.py", ("%d %d"):format(B, steps), threads)
  report(threads, "float", peer)
  if core.bf16() then report(threads, "bf16", peer) end
end
core.threads(all)
