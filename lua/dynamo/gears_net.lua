--- The network of GEARS (Roohani, Huang and Leskovec, Nature Biotechnology 2023): parameters, training pass, prediction.
--
-- A gene has a vector (gene_emb) and a place in the co-expression graph (emb_pos), a perturbation a vector in a graph of
-- genes (pert_emb). A cell is the genes' vectors plus one vector for what was perturbed; a network shared by all genes and
-- two read-outs per gene make of it a change of expression, which is added to the control cell. Nothing in it depends on
-- the control cell, so that all cells of one perturbation are predicted at once, and what does not depend on the
-- perturbation is computed once per step and not once per cell: exact, with the number of equal rows as weights in the
-- batch norms. Layers before a norm have no bias: it would cancel.
--
-- mode "faithful" propagates over the co-expression graph in the first cell of a batch only, as the published code does
-- (its edge list has no offset per cell), "fixed" in every cell.
local core = require "dynamo.core"

local M = {}

local EPS, MOMENTUM = 1e-5, 0.1

-- ---- parameters -------------------------------------------------------------------

-- Layers with a norm behind each: { prefix, sizes }.
local function stacks(s)
  local d, out = s.dim, nil
  out = { { "emb", { d, d, d } }, { "fuse", { d, d, d } }, { "rec", { d, 2 * d, d } }, { "cross", { s.genes, d, d } } }
  if s.uncertainty then out[5] = { "unc", { d, 2 * d, d, 1 } } end
  return out
end

--- Names and sizes of the parameters, as core.params takes them.
---@param s table  { genes =, nodes =, dim =, uncertainty = }
function M.layout(s)
  local d, out = s.dim, nil
  out = { { "gene_emb", s.genes, d }, { "emb_pos", s.genes, d }, { "pert_emb", s.nodes, d }, { "pos.w", d, d },
    { "pos.b", d }, { "sim.w", d, d }, { "sim.b", d } }
  for _, name in ipairs { "bn_emb", "bn_base" } do
    out[#out + 1], out[#out + 2] = { name .. ".scale", d }, { name .. ".shift", d }
  end
  for _, stack in ipairs(stacks(s)) do
    local name, size = stack[1], stack[2]
    for i = 1, #size - 1 do
      out[#out + 1] = { ("%s.w%d"):format(name, i), size[i], size[i + 1] }
      out[#out + 1] = { ("%s.scale%d"):format(name, i), size[i + 1] }
      out[#out + 1] = { ("%s.shift%d"):format(name, i), size[i + 1] }
    end
  end
  for _, p in ipairs { { "w1", s.genes, d }, { "b1", s.genes }, { "w2", s.genes, d + 1 }, { "b2", s.genes } } do
    out[#out + 1] = p
  end
  return out
end

-- Standard deviation of Xavier's normal start on PyTorch's shapes: fan_in = size 2 x rest, fan_out = size 1 x rest.
local function xavier(size)
  local rest = 1
  for i = 3, #size do rest = rest * size[i] end
  return math.sqrt(2 / (size[2] * rest + size[1] * rest))
end

--- The standard deviations of the read-outs' starting values: w1, b1, w2, b2.
---@param genes integer
---@param dim integer
---@return table
function M.readout_sd(genes, dim)
  return { w1 = xavier { genes, dim, 1 }, b1 = xavier { genes, 1 }, w2 = xavier { 1, genes, dim + 1 },
    b2 = xavier { 1, genes } }
end

-- Starting values: embeddings N(0, 1), layers uniform +-1/sqrt(inputs), norms 1 and 0, read-outs Xavier normal.
local function initialise(p, layout, spec, seed)
  local sd = M.readout_sd(spec.genes, spec.dim)
  for i, entry in ipairs(layout) do
    local name, view, own = entry[1], p:view(entry[1]), seed * 1000 + i
    local size = { (table.unpack or unpack)(entry, 2) }
    if name:find "%.scale" then
      view:fill_(1)
    elseif name:find "emb$" or name == "emb_pos" then
      view:copy_(core.randn(own, view:size()))
    elseif sd[name] then
      view:copy_(core.randn(own, view:size()) * sd[name])
    elseif name:find "%.[wb]%d?$" then
      local bound = 1 / math.sqrt(name:find "%.b" and spec.dim or size[1])
      view:copy_((core.rand(own, view:size()) * 2 - 1) * bound)
    end
  end
end

-- Running statistics of every norm: mean 0, variance 1.
local function running(spec)
  local r = {}
  local function add(name, m) r[name] = { mean = core.zeros(m, "double"), var = core.full(1, m, "double") } end
  add("bn_emb", spec.dim)
  add("bn_base", spec.dim)
  for _, stack in ipairs(stacks(spec)) do
    for i = 2, #stack[2] do add(stack[1] .. (i - 1), stack[2][i]) end
  end
  return r
end

--- A propagation matrix of SGConv (Wu et al., ICML 2019; one step) with value_i = sum_j w_ji / sqrt(deg_j deg_i) x_j.
---
--- deg_i is the sum of the weights into i; a node without an edge to itself gets one of weight 1.
---@param n integer nodes
---@param from integer[]
---@param to integer[]
---@param weight number[]
---@return table  { forward = Sparse (n, n), back = its transpose, edges = { from =, to =, weight = } with their final weights }
function M.propagation(n, from, to, weight)
  local deg, own = {}, {}
  local f, t, w = {}, {}, {}
  for i = 1, n do deg[i] = 0 end
  for k = 1, #from do
    f[k], t[k], w[k] = from[k], to[k], weight[k]
    own[from[k]] = own[from[k]] or from[k] == to[k]
  end
  for i = 1, n do
    if not own[i] then f[#f + 1], t[#t + 1], w[#w + 1] = i, i, 1 end
  end
  for k = 1, #f do deg[t[k]] = deg[t[k]] + w[k] end
  for k = 1, #f do
    local d = deg[f[k]] * deg[t[k]]
    w[k] = d > 0 and w[k] / math.sqrt(d) or 0
  end
  local S = core.sparse(n, n, t, f, w)
  return { forward = S, back = S:t(), edges = { from = f, to = t, weight = w } }
end

--- A new network. `graphs` are propagations: expression over the genes, perturbation over the nodes.
---@param spec table  { genes =, nodes =, dim =, uncertainty =, faithful = }
---@param graphs table  { expression =, perturbation = } of gears_net.propagation
---@param seed integer
---@return table
function M.new(spec, graphs, seed)
  local layout = M.layout(spec)
  local net = { spec = spec, graphs = graphs, params = core.params(layout), running = running(spec) }
  initialise(net.params, layout, spec, seed)
  return net
end

-- ---- a training pass ----------------------------------------------------------------

-- Rows of the embeddings longer than 1 are cut to it, in place (max_norm of torch.nn.Embedding).
local function clip_rows(params)
  for _, name in ipairs { "gene_emb", "emb_pos", "pert_emb" } do
    local view = params:view(name)
    local norm = view:norm(2)
    view:copy_(view * core.where(norm:gt(1), 1 / (norm + 1e-7), 1):reshape(-1, 1))
  end
end

-- S x on the tape, S sparse, back its transpose.
local function propagate(pass, S, back, x)
  local y, entry = x:custom(S:matmul(x:value()), { x })
  pass.rules[entry] = function(g) return back:matmul(g) end
  return y
end

-- A norm; its statistics are kept for the running ones. `n`: rows it stands for.
local function norm(pass, name, at, x, slope, n, weight)
  local v = pass.v
  local y = x:batch_norm(v[at.scale], v[at.shift], EPS, slope, weight)
  pass.seen[#pass.seen + 1] = { name = name, stats = y:statistics(), from = 0, n = n }
  return y
end

-- Linear and norm, with ReLU after all but the last.
local function stack(pass, name, layers, x, n, weight)
  for i = 1, layers do
    x = norm(pass, name .. i, { scale = ("%s.scale%d"):format(name, i), shift = ("%s.shift%d"):format(name, i) },
      x:linear(pass.v[("%s.w%d"):format(name, i)]), i < layers and 0 or 1, n, weight)
  end
  return x
end

-- The genes' vectors in the co-expression graph: (blocks, G, d), one block per kind of cell.
local function bases(pass, net, B)
  local v, s = pass.v, net.spec
  local G, d = s.genes, s.dim
  local base = norm(pass, "bn_emb", { scale = "bn_emb.scale", shift = "bn_emb.shift" }, v.gene_emb, 0, B * G)
  local g = net.graphs.expression
  local pos, weight, blocks = propagate(pass, g.forward, g.back, v.emb_pos), nil, 1
  if s.faithful and B > 1 then
    blocks, weight = 2, core.cat({ core.full(1, G), core.full(B - 1, G) }, 1)
    pos, base = pos:cat { v.emb_pos }, base:cat { base }
  end
  base = base + pos:linear(v["pos.w"], v["pos.b"]) * 0.2
  return stack(pass, "emb", 2, base, B * G, weight):reshape(blocks, G, d)
end

-- The places of the perturbed nodes of a batch: distinct nodes, and which cell has which of them.
local function incidence(genes)
  local place, nodes, cells, of_cell, of_node = {}, {}, {}, {}, {}
  for b, list in ipairs(genes) do
    if #list > 0 then
      cells[#cells + 1] = b
      for _, node in ipairs(list) do
        if not place[node] then
          nodes[#nodes + 1] = node
          place[node] = #nodes
        end
        of_cell[#of_cell + 1], of_node[#of_node + 1] = #cells, place[node]
      end
    end
  end
  return nodes, cells, of_cell, of_node
end

-- Norms over a single row, by the running statistics.
local function lone_stack(pass, net, name, x)
  for i = 1, 2 do
    local r = net.running[name .. i]
    local a = (1 / (r.var + EPS):sqrt()):to "float"
    x = (x:linear(pass.v[("%s.w%d"):format(name, i)]) - r.mean:to "float") * a
    x = x * pass.v[("%s.scale%d"):format(name, i)] + pass.v[("%s.shift%d"):format(name, i)]
    if i == 1 then x = x:relu() end
  end
  return x
end

-- What was perturbed, one vector per cell (B, d); zeros for controls. A lone perturbed cell counts twice, or is
-- normalised by the running statistics (fixed).
local function perturbations(pass, net, genes)
  local v, d = pass.v, net.spec.dim
  local nodes, cells, of_cell, of_node = incidence(genes)
  if #cells == 0 then return core.zeros(#genes, d) end
  local S = net.graphs.perturbation.forward:rows(nodes)
  local q = propagate(pass, S, S:t(), v.pert_emb):linear(v["sim.w"], v["sim.b"])
  local s = q:rows(of_node):scatter_rows(of_cell, #cells)
  if #cells == 1 and not net.spec.faithful then
    s = lone_stack(pass, net, "fuse", s)
  else
    local twice = #cells == 1 and core.full(2, 1) or nil
    s = stack(pass, "fuse", 2, s, math.max(#cells, 2), twice)
  end
  return s:scatter_rows(cells, #genes)
end

local readout = { "bn_base.scale", "bn_base.shift", "rec.w1", "rec.scale1", "rec.shift1", "rec.w2", "rec.scale2",
  "rec.shift2", "w1", "b1" }

-- What every gene makes of its vector in its cell, (B, G).
local function decode(pass, net, base, cells)
  local s, n = net.spec, cells:size(1) * net.spec.genes
  local operands = { cells }
  for i, name in ipairs(readout) do operands[i + 1] = pass.v[name] end
  local o = base:gene_decoder(operands, EPS)
  local from, stats = 0, o:statistics()
  for i, name in ipairs { "bn_base", "rec1", "rec2" } do
    pass.seen[#pass.seen + 1] = { name = name, stats = stats, from = from, n = n }
    from = from + 2 * (i == 2 and 2 * s.dim or s.dim)
  end
  return o
end

-- log variances (B, G) of a network with uncertainty: norm and ReLU of all cells' rows once more, then its own layers.
local function log_variance(pass, net, base, cells)
  local s, v, blocks = net.spec, pass.v, base:size(1)
  local B, parts = cells:size(1), {}
  for b = 1, B do
    local k = math.min(b, blocks)
    parts[b] = base:narrow(1, k, k):reshape(s.genes, s.dim) + cells:narrow(1, b, b)
  end
  local x = B > 1 and parts[1]:cat({ (table.unpack or unpack)(parts, 2) }, 1) or parts[1]
  local h = x:batch_norm(v["bn_base.scale"], v["bn_base.shift"], EPS, 0)
  return stack(pass, "unc", 3, h, B * s.genes):reshape(B, s.genes)
end

--- Record a training pass on a tape: y (B, G), the change that the network predicts for each cell.
---
--- Rows of embeddings are cut to length 1 first. `pass.rules` goes to y:backward; gears_net.learn_statistics afterwards.
---@param net table
---@param tape userdata
---@param genes integer[][]  nodes perturbed in each cell; {} for a control
---@return dynamo.Var y, table pass  { rules =, v =, logvar = dynamo.Var or nil }
function M.forward(net, tape, genes)
  clip_rows(net.params)
  local pass = { v = net.params:bind(tape), rules = {}, seen = {} }
  local v = pass.v
  local base = bases(pass, net, #genes)
  local cells = perturbations(pass, net, genes)
  if core.is_tensor(cells) then cells = tape:leaf(cells) end
  local o = decode(pass, net, base, cells)
  local cross = stack(pass, "cross", 2, o, #genes)
  local w = v.w2:t()
  local y = o * w:narrow(1, 1, 1) + cross:matmul(w:narrow(1, 2, net.spec.dim + 1)) + v.b2
  if net.spec.uncertainty then pass.logvar = log_variance(pass, net, base, cells) end
  return y, pass
end

--- Move the running statistics of the norms towards those of a pass: r = .9 r + .1 batch, variances with n - 1.
---@param net table
---@param pass table
function M.learn_statistics(net, pass)
  for _, s in ipairs(pass.seen) do
    local r = net.running[s.name]
    local m = r.mean:size(1)
    local mean, var = s.stats:narrow(1, s.from + 1, s.from + m), s.stats:narrow(1, s.from + m + 1, s.from + 2 * m)
    r.mean = r.mean * (1 - MOMENTUM) + mean * MOMENTUM
    r.var = r.var * (1 - MOMENTUM) + var * (MOMENTUM * s.n / math.max(s.n - 1, 1))
  end
end

-- ---- prediction ------------------------------------------------------------------------

-- (x - mean) / sd scale + shift with running statistics, x Tensor.
local function settled(net, name, scale, shift, x)
  local r, p = net.running[name], net.params
  local a = p:view(scale):to "double" / (r.var + EPS):sqrt()
  local c = p:view(shift):to "double" - r.mean * a
  return x * a:to "float" + c:to "float"
end

local function settled_stack(net, name, layers, x)
  for i = 1, layers do
    x = settled(net, name .. i, ("%s.scale%d"):format(name, i), ("%s.shift%d"):format(name, i),
      x:matmul(net.params:view(("%s.w%d"):format(name, i))))
    if i < layers then x = x:maximum(0) end
  end
  return x
end

-- The genes' vectors with the graph and, as most cells of faithful GEARS have them, without: a list of (G, d).
local function settled_bases(net)
  local p = net.params
  local base = settled(net, "bn_emb", "bn_emb.scale", "bn_emb.shift", p:view "gene_emb"):maximum(0)
  local out = {}
  for i, pos in ipairs { net.graphs.expression.forward:matmul(p:view "emb_pos"), p:view "emb_pos" } do
    if i == 1 or net.spec.faithful then
      out[i] = settled_stack(net, "emb", 2, base + (pos:matmul(p:view "pos.w") + p:view "pos.b") * 0.2)
    end
  end
  return out
end

--- Changes of expression (n, G), float, after training: one row per list of perturbed nodes.
---
--- A prediction of faithful GEARS is a mean over `cells` control cells in one batch, of which the first alone has the graph.
---@param net table
---@param queries integer[][]
---@param cells? integer  300
---@return userdata changes, userdata? logvar
function M.predict(net, queries, cells)
  local p, s = net.params, net.spec
  cells = cells or 300
  local nodes, _, of_cell, of_node = incidence(queries)
  local S = net.graphs.perturbation.forward:rows(nodes)
  local q = S:matmul(p:view "pert_emb"):matmul(p:view "sim.w") + p:view "sim.b"
  local effect = settled_stack(net, "fuse", 2, core.sparse(#queries, #nodes, of_cell, of_node):matmul(q))
  local list, share = settled_bases(net), { s.faithful and 1 / cells or 1, 1 - 1 / cells }
  local w1, w2, rows, logvars = p:view "w1", p:view "w2", {}, {}
  local gain, rest = w2:narrow(2, 1, 1):reshape(1, s.genes), w2:narrow(2, 2, s.dim + 1):t()
  for i = 1, #queries do
    local row, logvar
    for k, base in ipairs(list) do
      local h = settled(net, "bn_base", "bn_base.scale", "bn_base.shift", base + effect:rows(i, i)):maximum(0)
      local o = ((settled_stack(net, "rec", 2, h) * w1):sum(2) + p:view "b1"):reshape(1, s.genes)
      local y = (o * gain + settled_stack(net, "cross", 2, o):matmul(rest) + p:view "b2") * share[k]
      row = row and row + y or y
      if s.uncertainty then
        local u = settled_stack(net, "unc", 3, h):reshape(1, s.genes) * share[k]
        logvar = logvar and logvar + u or u
      end
    end
    rows[i], logvars[i] = row, logvar
  end
  return core.cat(rows, 1), s.uncertainty and core.cat(logvars, 1) or nil
end

return M
