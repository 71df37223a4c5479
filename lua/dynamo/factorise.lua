--- Networks as matrices to factorise: NetMF and ProNE. What dynamo.embed.netmf is made of.
local core = require "dynamo.core"

local M = {}

-- NetMF works on a dense matrix of all pairs of nodes up to so many of them; beyond, on pairs that walks see.
local LIMIT = 6000
local PAIRS = 2e6 -- drawn at most

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
  local a, dcol, drow = matrices(g, o.weighted)
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

-- Pairs of nodes up to `window` steps apart and how often walks have them: walks start at every node equally often, and
-- count in proportion to the degree of their start, as if they were in equilibrium. Tensors from, to, weight (all sum 1).
local function pairs_of_walks(a, d, n, o)
  local walks = math.max(1, math.min(o.samples, math.floor(PAIRS / (n * o.window))))
  local w = core.walks(a, { walks = walks, length = o.window + 1, seed = o.seed })
  local start = w:select(2, 1):clone()
  local weight = d:index(1, start)
  local from, to, weights = {}, {}, {}
  for r = 1, o.window do from[r], to[r], weights[r] = start, w:select(2, r + 1):clone(), weight end
  weights = core.cat(weights, 1)
  return core.cat(from, 1), core.cat(to, 1), weights * (1 / weights:sum():item())
end

-- The matrix of `netmf` where it is positive, from sampled pairs (NetSMF: Qiu et al., WWW 2019; by whole walks instead of
-- paths through a random edge): log(share of the pairs / (b p_i p_j)), p the shares of the degrees.
local function netsmf(g, o)
  local a, dcol, _, n = matrices(g, o.weighted)
  local d = dcol:reshape(n)
  local from, to, weight = pairs_of_walks(a, d, n, o)
  local m = core.sparse(n, n, core.cat({ from, to }, 1), core.cat({ to, from }, 1), core.cat({ weight, weight }, 1) * 0.5)
  local start, cols, share = m:csr()
  local p = d * (1 / d:sum():item())
  local count = (start:narrow(1, 2, n + 1) - start:narrow(1, 1, n)):totable()
  local rows, at = {}, 0
  for i = 1, n do
    for _ = 1, count[i] do
      at = at + 1
      rows[at] = i
    end
  end
  local expected = p:index(1, rows) * p:index(1, cols) * o.negatives
  local value = (share:to "double" / expected):maximum(1):log()
  return (half(core.sparse_csr(n, n, start, cols, value), o))
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
--- form, dense, up to 6,000 nodes; beyond, and as "netsmf", from pairs that walks see) or "prone" (Zhang et al., IJCAI 2019;
--- sparse factorisation, then spectral propagation).
---
--- Edges count in both directions with |weight|.
---@param g userdata
---@param o table  dim, method, window, negatives, samples, order, mu, theta, weighted, power, seed, progress
---@return userdata
function M.vectors(g, o)
  if o.method == "netmf" and g:nodes() <= LIMIT then return netmf(g, o) end
  if o.method ~= "prone" then return netsmf(g, o) end
  return prone(g, o)
end

return M
