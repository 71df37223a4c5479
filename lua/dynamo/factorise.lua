--- Networks as matrices to factorise: NetMF and ProNE. What dynamo.embed.netmf is made of.
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}

-- NetMF works on a dense matrix of all pairs of nodes.
local LIMIT = 6000

-- Symmetric adjacency (|weight|) and degrees as tensors (n, 1) and (1, n).
local function matrices(g, weighted)
  local a = g:adjacency { direction = "both", weighted = weighted }
  local n = g:nodes()
  local d = a:row_sums():maximum(1e-300)
  return a, d:reshape(n, 1), d:reshape(1, n), n
end

-- U sqrt(S) of a sparse matrix.
local function half(m, o)
  local us, s = core.sparse_svd(m, math.min(o.dim, (m:size())), { power = o.power, seed = o.seed, progress = o.progress })
  local k = s:count()
  return us / s:maximum(1e-300):sqrt():reshape(1, k), k
end

-- log(vol / (b T) sum_r (D^-1 A)^r D^-1), truncated at 0: what skip-gram factorises in the limit.
local function netmf(g, o)
  local a, dcol, drow, n = matrices(g, o.weighted)
  if n > LIMIT then
    err.raise { code = "EVALUE", message = ("netmf: %d nodes; the dense matrix is for up to %d"):format(n, LIMIT),
      hint = "method = \"prone\"" }
  end
  local p = a:dense "double" / dcol
  local sum, power = p, p
  for r = 2, o.window do
    power = a:matmul(power) / dcol
    sum = sum + power
    if o.progress then o.progress(r, o.window) end
  end
  local vol = dcol:sum():item()
  local m = (sum / drow * (vol / (o.negatives * o.window))):maximum(1):log()
  return (half(core.sparse_from_dense(m:to "float"), o))
end

-- The modified Bessel function of the first kind, by its series.
local function bessel(k, x)
  local term = 1
  for i = 1, k do term = term * x / 2 / i end
  local sum, i = 0, 0
  while term > 1e-18 * sum do
    sum, i = sum + term, i + 1
    term = term * (x / 2) ^ 2 / (i * (i + k))
  end
  return sum
end
M.bessel = bessel

-- Entries ln(a_ij / d_i) - ln(b c_j), c_j ~ (sum_i a_ij / d_i)^0.75, at the edges alone.
local function log_ratio(a, dcol, n, negatives)
  local p = a:scale_rows(dcol:reshape(n):reciprocal())
  local c = p:col_sums():pow(0.75)
  c = (c / c:sum():item() * negatives):totable()
  local rows, cols, values = {}, {}, {}
  for i = 1, n do
    local js, vs = p:row(i)
    for k, j in ipairs(js) do
      if vs[k] > 0 then
        local at = #rows + 1
        rows[at], cols[at], values[at] = i, j, math.log(vs[k]) - math.log(c[j])
      end
    end
  end
  return core.sparse(n, n, rows, cols, values)
end

-- A band-pass filter of the Laplacian's spectrum as a Chebyshev series; x (n, k).
local function propagate(x, a, dcol, o)
  local scale = dcol + 1
  local function average(v) return (v + a:matmul(v)) / scale end       -- D^-1 (I + A)
  local function shifted(v) return v * (1 - o.mu) - average(v) end     -- L - mu I
  local last, now = x, shifted(shifted(x)) * 0.5 - x
  local sum = last * bessel(0, o.theta) - now * (2 * bessel(1, o.theta))
  for i = 2, o.order - 1 do
    local next_ = shifted(shifted(now)) - now * 2 - last
    sum = sum + next_ * ((i % 2 == 0 and 2 or -2) * bessel(i, o.theta))
    last, now = now, next_
    if o.progress then o.progress(i, o.order) end
  end
  local v = x - sum
  return v + a:matmul(v)
end

-- U sqrt(S) of a dense matrix with few columns, rows of length 1.
local function finish(x)
  local n, k = x:size()
  local w, v = core.eigh(x:t():matmul(x))
  local order = {}
  for j = 1, k do order[j] = k + 1 - j end
  local s = w:index(1, order):maximum(1e-300):sqrt():sqrt()
  local u = x:matmul(v:index(2, order)) / s:reshape(1, k)
  return u / u:square():sum(2):sqrt():maximum(1e-30):reshape(n, 1)
end

local function prone(g, o)
  local a, dcol, _, n = matrices(g, o.weighted)
  local x = half(log_ratio(a, dcol, n, o.negatives), o)
  return finish(o.order > 1 and propagate(x, a, dcol, o) or x)
end

--- Vectors of the nodes of a graph, tensor double (nodes, dim): method "netmf" (Qiu et al., WSDM 2018; exact small-window
--- form, dense) or "prone" (Zhang et al., IJCAI 2019; sparse factorisation, then spectral propagation).
---
--- Edges count in both directions with |weight|. Raises EVALUE: too many nodes for "netmf".
---@param g userdata
---@param o table  dim, method, window, negatives, order, mu, theta, weighted, power, seed, progress
---@return userdata
function M.vectors(g, o)
  if o.method == "netmf" then return netmf(g, o) end
  return prone(g, o)
end

return M
