--- Layers as plain functions of variables and parameters: no objects, no hidden state.
--
-- A parameter is a variable (of params:bind, or of the function given to dynamo.grad). `init` gives starting values as
-- tensors in tables of the same form.
--
--     local L = require "dynamo.layers"
--     local p = L.init.mlp(seed, { 50, 64, 10 })
--     local loss, g = grad.value_and_grad(function(p) return L.mlp(x, p):mse(y) end)(p)
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = { init = {} }

M.schema = {
  mlp = {
    activation = { type = "string", default = "relu", values = { "none", "relu", "tanh", "sigmoid", "gelu", "softplus" },
      help = "after every layer but the last" },
    dropout = { type = "number", default = 0, min = 0, max = 0.99, help = "rate after every layer but the last" },
    seed = { type = "integer", default = 1, help = "of the dropout masks: another one for every step" },
  },
  norm = {
    eps = { type = "number", default = 1e-5, min = 0, help = "added to the variance" },
  },
}

local function fail(fmt, ...) err.raise { code = "EVALUE", message = fmt:format(...) } end

-- x on the tape of its layer; a tensor is a constant there.
local function variable(name, x, like)
  if core.is_tensor(x) and core.is_var(like) then return (like:custom(x, {})) end
  if not core.is_var(x) then fail("%s: a variable is expected, got %s", name, tostring(x)) end
  return x
end

--- act(x w + b), fused. x may be a tensor.
---@param x dynamo.Var (n, k)
---@param p table w (k, m) and, unless absent, b (m)
---@param activation? string none, relu, tanh, sigmoid, gelu, softplus
---@return dynamo.Var (n, m)
function M.linear(x, p, activation)
  return variable("linear", x, p.w):linear(p.w, p.b, activation or "none")
end

--- Starting values of linear: w uniform in +-sqrt(6 / (k + m)) (Glorot and Bengio, AISTATS 2010), b zero.
---@param seed integer
---@param k integer inputs
---@param m integer outputs
---@param kind? string "float" (default) or "double"
---@return table p w, b
function M.init.linear(seed, k, m, kind)
  local bound = math.sqrt(6 / math.max(k + m, 1))
  return { w = (core.rand(seed, k, m, kind or "float") * 2 - 1) * bound, b = core.zeros(m, kind or "float") }
end

--- Linear layers one after the other, with an activation (and dropout) between them.
---@param x dynamo.Var (n, k)
---@param p table list of parameters of linear
---@param opts? table activation, dropout, seed
---@return dynamo.Var
function M.mlp(x, p, opts)
  opts = options.check("mlp", opts or {}, M.schema.mlp)
  x = variable("mlp", x, p[1] and p[1].w)
  for i, layer in ipairs(p) do
    if i == #p then return x:linear(layer.w, layer.b) end
    x = x:linear(layer.w, layer.b, opts.activation, opts.dropout, opts.seed + i)
  end
  return fail("mlp: there are no layers")
end

--- Starting values of mlp.
---@param seed integer layer i draws from seed + i
---@param sizes table widths: inputs, hidden, ..., outputs
---@param kind? string
---@return table p
function M.init.mlp(seed, sizes, kind)
  local p = {}
  for i = 1, #sizes - 1 do p[i] = M.init.linear(seed + i, sizes[i], sizes[i + 1], kind) end
  return p
end

--- Rows of a table of vectors; those longer than max_norm are scaled down to it (the gradient sees the scaling as a
-- constant, as in PyTorch, but the table itself is not changed).
---@param table_ dynamo.Var (n, d)
---@param rows table list or tensor of rows, from 1
---@param max_norm? number
---@return dynamo.Var (#rows, d)
function M.embedding(table_, rows, max_norm)
  local x = variable("embedding", table_):rows(rows)
  if not max_norm then return x end
  if not (max_norm > 0) then fail("embedding: max_norm is %g, must be above 0", max_norm) end
  local norm = x:value():norm(2)
  return x * core.where(norm:gt(max_norm), max_norm / norm, 1):reshape(-1, 1)
end

-- (x - mean) / sqrt(var + eps) over dimension dim of a matrix, variance with n in the denominator.
local function standardised(x, dim, eps)
  local rows, cols = x:size()
  local a, b = dim == 1 and 1 or rows, dim == 1 and cols or 1
  local mean = x:mean(dim)
  local centred = x - mean:reshape(a, b)
  local var = centred:square():mean(dim)
  return centred / (var + eps):sqrt():reshape(a, b), mean, var
end

--- Every row to mean 0 and variance 1, then scale and shift (Ba, Kiros and Hinton, arXiv 1607.06450).
---@param x dynamo.Var (n, d)
---@param p table scale (d) and shift (d), either may be absent
---@param opts? table eps
---@return dynamo.Var (n, d)
function M.layer_norm(x, p, opts)
  opts = options.check("norm", opts or {}, M.schema.norm)
  local y = standardised(variable("layer_norm", x), 2, opts.eps)
  if p.scale then y = y * p.scale end
  return p.shift and y + p.shift or y
end

--- Every column to mean 0 and variance 1 over the batch, then scale and shift (Ioffe and Szegedy, ICML 2015).
--
-- In training pass no statistics; the second result are those of this batch (tensors, variance with n in the
-- denominator), of which the caller keeps a running mean. For prediction pass that: { mean =, var = }.
---@param x dynamo.Var (n, d)
---@param p table scale (d) and shift (d), either may be absent
---@param opts? table eps
---@param statistics? table mean (d), var (d)
---@return dynamo.Var (n, d)
---@return table statistics
function M.batch_norm(x, p, opts, statistics)
  opts = options.check("norm", opts or {}, M.schema.norm)
  variable("batch_norm", x)
  local y
  if statistics then
    y = (x - statistics.mean) / (statistics.var + opts.eps):sqrt()
  else
    local mean, var
    y, mean, var = standardised(x, 1, opts.eps)
    statistics = { mean = mean:value(), var = var:value() }
  end
  if p.scale then y = y * p.scale end
  return p.shift and y + p.shift or y, statistics
end

--- Starting values of both norms: scale 1, shift 0.
---@param d integer
---@param kind? string
---@return table p scale, shift
function M.init.norm(d, kind)
  return { scale = core.full(1, d, kind or "float"), shift = core.zeros(d, kind or "float") }
end

--- Zero with probability `rate`, else times 1 / (1 - rate) (Srivastava et al., JMLR 15, 2014); rate 0 does nothing.
---@param x dynamo.Var
---@param rate number in 0 .. 1
---@param seed integer another one for every step
---@return dynamo.Var
function M.dropout(x, rate, seed)
  if rate == 0 then return variable("dropout", x) end
  return variable("dropout", x):dropout(rate, seed)
end

--- What graph_conv multiplies with: D^-1/2 (A + I) D^-1/2 of an adjacency matrix.
---@param adjacency userdata Sparse (n, n) or tensor (n, n), symmetric
---@param kind? string "float" (default) or "double"
---@return userdata (n, n) dense
function M.propagation(adjacency, kind)
  local a = core.is_sparse(adjacency) and adjacency:dense(kind or "float") or adjacency
  a = a + core.eye(a:size(1), a:type())
  local d = a:sum(2):pow(-0.5)
  return a * d:reshape(-1, 1) * d:reshape(1, -1)
end

--- Graph convolution: act(S x w + b) (Kipf and Welling, ICLR 2017).
---@param s userdata tensor (n, n), see propagation
---@param x dynamo.Var (n, k) features of the nodes
---@param p table w (k, m), b (m) or absent
---@param activation? string
---@return dynamo.Var (n, m)
function M.graph_conv(s, x, p, activation)
  return s:matmul(variable("graph_conv", x)):linear(p.w, p.b, activation or "none")
end

return M
