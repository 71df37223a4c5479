-- What our GEARS and scGen compute for tests/interop/torch_peers.py: starting values, batches, first gradients, losses.
-- usage: build/dynamo tests/interop/peers.lua FOLDER
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local gears = require "dynamo.gears_net"
local gears_loss = require "dynamo.gears_loss"
local scgen = require "dynamo.scgen_net"

local folder = arg[1]
local STEPS = 10

-- Tensors by name as one file.
local function write(name, t)
  local names, values = {}, {}
  for k in pairs(t) do names[#names + 1] = k end
  table.sort(names)
  for i, k in ipairs(names) do values[i] = t[k] end
  core.npz_write(("%s/%s.npz"):format(folder, name), names, values)
end

local function starting(out, params)
  for _, name in ipairs(params:names()) do out["p_" .. name] = params:view(name):clone() end
end

local function gradients(out, params)
  for _, name in ipairs(params:names()) do out["g_" .. name] = params:grad(name):clone() end
end

-- ---- GEARS --------------------------------------------------------------------------

local G, NODES, D, B = 60, 25, 8, 9

-- Edges into every node from itself and three others, as tensors from 0 too.
local function edges(n, seed)
  local from, to, weight = {}, {}, {}
  for i = 1, n do
    local other = core.permutation(n, seed * 100 + i, "edges")
    from[#from + 1], to[#to + 1], weight[#weight + 1] = i, i, 1
    for k = 1, 3 do
      if other[k] ~= i then from[#from + 1], to[#to + 1], weight[#weight + 1] = other[k], i, .3 + .1 * k end
    end
  end
  return { from = from, to = to, weight = weight }
end

local function gears_case(name, mode)
  local expression, perturbation = edges(G, 1), edges(NODES, 2)
  local function S(n, e) return gears.propagation(n, e.from, e.to, e.weight) end
  local net = gears.new({ genes = G, nodes = NODES, dim = D, faithful = mode.faithful, uncertainty = mode.uncertainty },
    { expression = S(G, expression), perturbation = S(NODES, perturbation) }, 3)
  local out = { x = core.rand(4, B, G), y = core.rand(5, B, G), control = core.rand(6, G),
    mask = core.rand(7, 3, G):gt(.3) }
  for k, e in pairs { expression = expression, perturbation = perturbation } do
    for field, list in pairs(e) do out[k .. "_" .. field] = core.tensor(list, "double") end
  end
  starting(out, net.params)
  local lists, labels = { {}, { 3 }, { 4, 7 }, { 3 }, {}, { 4, 7 }, { 3 }, { 12 }, { 12 } }, {}
  if mode.lone then lists = { {}, {}, {}, { 3 }, {}, {}, {}, {}, {} } end
  for b, list in ipairs(lists) do labels[b] = table.concat(list, "+") end
  local masks = { ["3"] = out.mask:select(1, 1), ["4+7"] = out.mask:select(1, 2), ["12"] = out.mask:select(1, 3) }
  local weight = gears_loss.weights(labels, masks, G)
  local optimiser = core.adamw(net.params, { lr = 1e-3, decay = 0, l2 = 5e-4, bound = 1 })
  local losses = {}
  for step = 1, STEPS do
    local tape = core.tape()
    local change, pass = gears.forward(net, tape, lists)
    local loss = gears_loss.loss(change + out.x, out.y, weight, out.control, { exponent = mode.exponent,
      direction = mode.direction, lambda = .1, reg = 1, logvar = pass.logvar })
    loss:backward(pass.rules)
    net.params:collect()
    gears.learn_statistics(net, pass)
    if step == 1 then
      out.forward = (change:value() + out.x):clone()
      gradients(out, net.params)
    end
    losses[step] = loss:item()
    optimiser:step()
    tape:close()
  end
  out.losses = core.tensor(losses, "double")
  out.predicted = gears.predict(net, { { 3 }, { 4, 12 } }, 5)
  write(name, out)
end

gears_case("gears_faithful", { faithful = true, exponent = 4, direction = "sign" })
gears_case("gears_fixed", { faithful = false, exponent = 2, direction = "tanh" })
gears_case("gears_uncertain", { faithful = true, exponent = 4, direction = "sign", uncertainty = true })
gears_case("gears_lone", { faithful = true, exponent = 4, direction = "sign", lone = true })

-- ---- scGen --------------------------------------------------------------------------

local function scgen_case()
  local n, genes, latent = 16, 40, 6
  local net = scgen.new({ genes = genes, hidden = 24, latent = latent, dropout = 0, kl = 5e-5 }, 2)
  local out = { x = core.rand(8, n, genes) * 3 }
  starting(out, net.params)
  local optimiser = core.adamw(net.params, { lr = 1e-3, eps = .01, decay = 0, l2 = 1e-6 })
  local losses, noises = {}, {}
  for step = 1, STEPS do
    local tape = core.tape()
    noises[step] = core.randn(100 + step, 1, n, latent)
    local loss, pass = scgen.loss(net, tape, out.x, noises[step]:reshape(n, latent), step)
    loss:backward()
    net.params:collect()
    scgen.learn_statistics(net, pass)
    if step == 1 then
      out.forward = pass.out:value():clone()
      gradients(out, net.params)
    end
    losses[step] = loss:item()
    optimiser:step()
    tape:close()
  end
  out.noise, out.losses = core.cat(noises, 1), core.tensor(losses, "double")
  out.latent = scgen.encode(net, out.x)
  out.predicted = scgen.decode(net, out.latent)
  write("scgen", out)
end

scgen_case()
