-- Training steps of GEARS (batch x genes, 64 dimensions, faithful) and scGen (800-800-100) against PyTorch's full computation
-- of the same equations, as its users write them.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_peers.lua [genes [batch]]
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"
local gears = require "dynamo.gears_net"
local gears_loss = require "dynamo.gears_loss"
local scgen = require "dynamo.scgen_net"

local args = arg or {}
local G, B = tonumber(args[1] or 5000), tonumber(args[2] or 32)

-- Every node with itself and 20 others.
local function ring(n)
  local from, to, weight = {}, {}, {}
  for i = 1, n do
    for k = 0, 20 do from[#from + 1], to[#to + 1], weight[#weight + 1] = (i - 1 + 7 * k) % n + 1, i, .5 end
  end
  return gears.propagation(n, from, to, weight)
end

local x, y, control = core.rand(1, B, G), core.rand(2, B, G), core.rand(3, G)

local function gears_step()
  local net = gears.new({ genes = G, nodes = G, dim = 64, faithful = true }, { expression = ring(G), perturbation = ring(G) }, 1)
  local optimiser = core.adamw(net.params, { lr = 1e-3, decay = 0, l2 = 5e-4, bound = 1 })
  local genes, names = {}, {}
  for b = 1, B do genes[b], names[b] = b % 8 > 0 and { b } or {}, tostring(b) end
  local weight, o = gears_loss.weights(names, {}, G), { exponent = 4, direction = "sign", lambda = .1 }
  return function()
    local tape = core.tape()
    local change, pass = gears.forward(net, tape, genes)
    local loss = gears_loss.loss(change + x, y, weight, control, o):backward(pass.rules)
    net.params:collect()
    gears.learn_statistics(net, pass)
    local value = loss:item()
    tape:close()
    optimiser:step()
    return value
  end
end

local function scgen_step()
  local net = scgen.new({ genes = G, hidden = 800, latent = 100, dropout = .2, kl = 5e-5 }, 1)
  local optimiser = core.adamw(net.params, { lr = 1e-3, eps = .01, decay = 0, l2 = 1e-6 })
  local n = 0
  return function()
    n = n + 1
    local tape = core.tape()
    local loss, pass = scgen.loss(net, tape, x, core.randn(n, B, 100), n)
    loss:backward()
    net.params:collect()
    scgen.learn_statistics(net, pass)
    local value = loss:item()
    tape:close()
    optimiser:step()
    return value
  end
end

local peer = bench.peer("tests/bench/peer_peers.py", ("%d %d"):format(G, B))
for _, case in ipairs { { "scgen", scgen_step(), 9 }, { "gears", gears_step(), 5 } } do
  local t = peer[case[1]]
  bench.row { name = "peers", case = ("%s step, batch %d, %d genes"):format(case[1], B, G),
    seconds = bench.median(case[2], { runs = case[3] }), peak_mb = bench.peak_mb(), peer = t and "pytorch", peer_seconds = t and t.seconds }
end
