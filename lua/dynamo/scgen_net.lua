--- The network of scGen (Lotfollahi, Wolf and Theis, Nature Methods 2019): a variational autoencoder of cells.
--
-- Encoder and decoder are two blocks of linear, batch norm (momentum .01, eps 1e-3), leaky ReLU .01 and dropout; the
-- posterior has variance exp(.) + 1e-4. Linear layers before a norm have no bias: it would cancel.
local core = require "dynamo.core"

local M = {}

local EPS, MOMENTUM, SLOPE, LEAST = 1e-3, 0.01, 0.01, 1e-4

--- Names and sizes of the parameters, as core.params takes them.
---@param s table  { genes =, hidden =, latent = }
function M.layout(s)
  local G, h, z, out = s.genes, s.hidden, s.latent, {}
  for _, b in ipairs { { "enc1", G, h }, { "enc2", h, h }, { "dec1", z, h }, { "dec2", h, h } } do
    out[#out + 1] = { b[1] .. ".w", b[2], b[3] }
    out[#out + 1] = { b[1] .. ".scale", h }
    out[#out + 1] = { b[1] .. ".shift", h }
  end
  for _, l in ipairs { { "mean", h, z }, { "logvar", h, z }, { "out", h, G } } do
    out[#out + 1], out[#out + 2] = { l[1] .. ".w", l[2], l[3] }, { l[1] .. ".b", l[3] }
  end
  return out
end

--- A new network: weights and biases uniform in +-1/sqrt(inputs), norms 1 and 0.
---@param spec table  { genes =, hidden =, latent =, dropout =, kl = }
---@param seed integer
---@return table
function M.new(spec, seed)
  local layout = M.layout(spec)
  local p, running, inputs = core.params(layout), {}, {}
  for i, entry in ipairs(layout) do
    local name, view = entry[1], p:view(entry[1])
    local block, kind = name:match "^(.*)%.(.*)$"
    if kind == "scale" then
      view:fill_(1)
      running[block] = { mean = core.zeros(spec.hidden, "double"), var = core.full(1, spec.hidden, "double") }
    elseif kind ~= "shift" then
      inputs[block] = inputs[block] or entry[2]
      view:copy_((core.rand(seed * 1000 + i, view:size()) * 2 - 1) / math.sqrt(inputs[block]))
    end
  end
  return { spec = spec, params = p, running = running }
end

-- One block; its statistics are kept for the running ones.
local function block(pass, net, name, x)
  local v = pass.v
  local y = x:linear(v[name .. ".w"]):batch_norm(v[name .. ".scale"], v[name .. ".shift"], EPS, SLOPE)
  pass.seen[#pass.seen + 1] = { name = name, stats = y:statistics(), n = x:size(1) }
  if net.spec.dropout == 0 then return y end
  return y:dropout(net.spec.dropout, pass.seed * 8 % 2 ^ 50 + #pass.seen)
end

--- Record the loss of a batch: the mean over cells of half the squared error plus kl / 2 times KL(q || N(0, I)).
---@param net table
---@param tape userdata
---@param x userdata cells (n, G), float
---@param noise userdata N(0, 1) (n, latent)
---@param seed integer of the dropout
---@return dynamo.Var loss, table pass  { out = reconstruction, dynamo.Var }
function M.loss(net, tape, x, noise, seed)
  local v = net.params:bind(tape)
  local pass, n = { v = v, seen = {}, seed = seed }, x:size(1)
  local h = block(pass, net, "enc2", block(pass, net, "enc1", tape:leaf(x)))
  local mean = h:linear(v["mean.w"], v["mean.b"])
  local var = h:linear(v["logvar.w"], v["logvar.b"]):exp() + LEAST
  local z = mean + var:sqrt() * noise
  pass.out = block(pass, net, "dec2", block(pass, net, "dec1", z)):linear(v["out.w"], v["out.b"])
  local kl = (mean:square() + var - var:log() - 1):sum() * (0.5 / n)
  return pass.out:mse(x) * (0.5 * net.spec.genes) + kl * (0.5 * net.spec.kl), pass
end

--- Move the running statistics of the norms towards those of a pass: r = .99 r + .01 batch, variances with n - 1.
---@param net table
---@param pass table
function M.learn_statistics(net, pass)
  local m = net.spec.hidden
  for _, s in ipairs(pass.seen) do
    local r = net.running[s.name]
    r.mean = r.mean * (1 - MOMENTUM) + s.stats:narrow(1, 1, m) * MOMENTUM
    r.var = r.var * (1 - MOMENTUM) + s.stats:narrow(1, m + 1, 2 * m) * (MOMENTUM * s.n / math.max(s.n - 1, 1))
  end
end

local function settled(net, name, x)
  local p, r = net.params, net.running[name]
  local a = p:view(name .. ".scale"):to "double" / (r.var + EPS):sqrt()
  local c = p:view(name .. ".shift"):to "double" - r.mean * a
  local y = x:matmul(p:view(name .. ".w")) * a:to "float" + c:to "float"
  return y:maximum(0) + y:minimum(0) * SLOPE
end

local function linear(net, name, x)
  return x:matmul(net.params:view(name .. ".w")) + net.params:view(name .. ".b")
end

--- Posterior means (n, latent) and log variances of cells x (n, G), by the running statistics.
function M.encode(net, x)
  local h = settled(net, "enc2", settled(net, "enc1", x))
  return linear(net, "mean", h), linear(net, "logvar", h)
end

--- Cells (n, G) of latent states (n, latent), by the running statistics.
function M.decode(net, z) return linear(net, "out", settled(net, "dec2", settled(net, "dec1", z))) end

--- Mean loss of cells after training, without sampling: what early stopping looks at.
function M.error(net, x)
  local mean, logvar = M.encode(net, x)
  local var, n = logvar:exp() + LEAST, x:size(1)
  local kl = (mean:square() + var - var:log() - 1):sum():item() * 0.5 / n
  return (M.decode(net, mean) - x):square():sum():item() * 0.5 / n + 0.5 * net.spec.kl * kl
end

return M
