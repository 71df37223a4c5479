--- How much two embeddings say the same: on the genes that both have, in any two numbers of dimensions.
--
--     local r = dynamo.agreement.report(a, b, { k = 10 })
--     r.cka, r.neighbours.mean, r.distance_correlation, r.procrustes.disparity, r.angles
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = { schema = {} }

local function raise(message) err.raise { code = "EVALUE", message = message } end

-- Genes of both, and their vectors, double.
local function shared(name, a, b)
  if not (embedding.is(a) and embedding.is(b)) then
    err.raise { code = "EOPTION", message = ("agreement.%s: two embeddings expected"):format(name) }
  end
  local genes = {}
  for _, g in ipairs(a.genes) do
    if b:has(g) then genes[#genes + 1] = g end
  end
  if #genes < 3 then
    raise(("agreement.%s: %d genes have a vector in both, at least 3 are needed"):format(name, #genes))
  end
  return genes, a:rows(genes):to "double", b:rows(genes):to "double"
end

local function centred(x)
  local _, d = x:size()
  return x - x:mean(1):reshape(1, d)
end

local function frobenius(x) return math.sqrt(x:square():sum():item()) end

-- Centred and of Frobenius norm 1.
local function standard(name, x)
  x = centred(x)
  local size = frobenius(x)
  if size == 0 then raise(("agreement.%s: all vectors are the same"):format(name)) end
  return x * (1 / size)
end

--- Rotate one embedding onto another (orthogonal Procrustes: Schoenemann 1966), after centring and scaling both.
---
--- Raises EVALUE: fewer than 3 genes in common, or all vectors the same.
---@param a Embedding
---@param b Embedding
---@return table # { disparity = 0 (the same up to rotation and scale) .. 1, rotation = tensor (dim a, dim b), aligned =
---  Embedding of the common genes of a in the space of b, genes = how many }
function M.procrustes(a, b)
  local genes, x, y = shared("procrustes", a, b)
  local mean, size = y:mean(1), frobenius(centred(y))
  local sx, sy = standard("procrustes", x), standard("procrustes", y)
  local u, s, v = core.svd(sx:t():matmul(sy))
  local rotation, total = u:matmul(v:t()), s:sum():item()
  local moved = sx:matmul(rotation) * (total * size) + mean:reshape(1, b:dim())
  return { disparity = math.max(0, 1 - total * total), rotation = rotation, genes = #genes,
    aligned = embedding.new { genes = genes, values = moved:to "float", source = ("%s onto %s"):format(a.source, b.source) } }
end

M.schema.neighbours = {
  k = { type = "integer", default = 10, min = 1, max = 4096, help = "neighbours of a gene" },
}

-- Numbers of the k nearest rows of each row.
local function nearest(x, n, k)
  local rows = {}
  for i = 1, n do rows[i] = i end
  return core.neighbours(x, rows, k):totable()
end

--- Jaccard's index of the k nearest genes (by cosine, among the common ones) of every gene: mean, and what unrelated
--- embeddings have.
---@param a Embedding
---@param b Embedding
---@param opts? table  see `dynamo.agreement.schema.neighbours`
---@return table # { mean =, chance =, k =, genes = how many }
function M.neighbours(a, b, opts)
  local o = options.check("agreement.neighbours", opts, M.schema.neighbours)
  local genes, x, y = shared("neighbours", a, b)
  local n, sum = #genes, 0
  local k = math.min(o.k, n - 1)
  local p, q = nearest(x, n, k), nearest(y, n, k)
  for i = 1, n do
    local seen, both = {}, 0
    for _, j in ipairs(p[i]) do seen[j] = true end
    for _, j in ipairs(q[i]) do both = both + (seen[j] and 1 or 0) end
    sum = sum + both / (2 * k - both)
  end
  local expected = k * k / (n - 1)
  return { mean = sum / n, chance = expected / (2 * k - expected), k = k, genes = n }
end

M.schema.angles = {
  k = { type = "integer", min = 1, max = 4096, help = "leading principal components of each; default: all columns" },
}

-- An orthonormal basis of the (leading) columns.
local function basis(x, k)
  local c = centred(x)
  local n, d = c:size()
  local w, v = core.eigh(c:t():matmul(c))
  local order, top = {}, w:get(d)
  for j = d, 1, -1 do
    if w:get(j) > 1e-12 * top and top > 0 and #order < math.min(k or d, n - 1) then order[#order + 1] = j end
  end
  if #order == 0 then raise "agreement.angles: all vectors are the same" end
  return (core.qr(c:matmul(v:index(2, order))))
end

--- Principal angles between the subspaces that the columns of two embeddings span (Bjoerck and Golub 1973), in radians,
--- smallest first. Centred; as many as the smaller subspace has dimensions.
---@param a Embedding
---@param b Embedding
---@param opts? table  see `dynamo.agreement.schema.angles`
---@return number[]
function M.angles(a, b, opts)
  local o = options.check("agreement.angles", opts, M.schema.angles)
  local _, x, y = shared("angles", a, b)
  local p, q = basis(x, o.k), basis(y, o.k)
  local c = p:t():matmul(q)
  local _, cosines = core.svd(c)
  -- small angles from their sines: the cosine cannot tell 1e-9 from 0
  local wide = select(2, p:size()) >= select(2, q:size())
  local rest = wide and q - p:matmul(c) or p - q:matmul(c:t())
  local _, sines = core.svd(rest)
  local out, n = {}, cosines:count()
  for i = 1, n do
    local cosine, sine = math.min(1, cosines:get(i)), math.min(1, sines:get(n + 1 - i))
    out[i] = cosine > 0.7 and math.asin(sine) or math.acos(cosine)
  end
  return out
end

--- Linear centred kernel alignment (Kornblith et al., ICML 2019): 1 for the same up to rotation and scale, 0 for
--- unrelated.
---@param a Embedding
---@param b Embedding
---@return number
function M.cka(a, b)
  local _, x, y = shared("cka", a, b)
  x, y = standard("cka", x), standard("cka", y)
  return frobenius(x:t():matmul(y)) ^ 2 / (frobenius(x:t():matmul(x)) * frobenius(y:t():matmul(y)))
end

M.schema.distance_correlation = {
  genes = { type = "integer", default = 2000, min = 3, max = 20000, help = "drawn genes at most: memory is their square" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of the draw" },
}

-- Doubly centred Euclidean distances (n, n).
local function distances(x)
  local n = x:size()
  local s = x:square():sum(2)
  local d = (s:reshape(n, 1) + s:reshape(1, n) - x:matmul(x:t()) * 2):maximum(0):sqrt()
  local diagonal = core.eye(n, "double")
  d = d - d * diagonal
  local rows = d:mean(2)
  return d - rows:reshape(n, 1) - rows:reshape(1, n) + rows:mean():item()
end

--- Distance correlation (Szekely, Rizzo and Bakirov 2007) of the vectors, over genes: 0 only for independent ones as genes
--- become many, 1 for the same up to rotation and scale.
---@param a Embedding
---@param b Embedding
---@param opts? table  see `dynamo.agreement.schema.distance_correlation`
---@return number
function M.distance_correlation(a, b, opts)
  local o = options.check("agreement.distance_correlation", opts, M.schema.distance_correlation)
  local genes, x, y = shared("distance_correlation", a, b)
  if #genes > o.genes then
    local order, idx = core.permutation(#genes, o.seed, "agreement"), {}
    for i = 1, o.genes do idx[i] = order[i] end
    x, y = x:index(1, idx), y:index(1, idx)
  end
  local p, q = distances(x), distances(y)
  local pq, pp, qq = (p * q):sum():item(), p:square():sum():item(), q:square():sum():item()
  if pp == 0 or qq == 0 then raise "agreement.distance_correlation: all vectors are the same" end
  return math.sqrt(math.max(0, pq) / math.sqrt(pp * qq))
end

M.schema.report = {
  k = { type = "integer", default = 10, min = 1, max = 4096, help = "neighbours of a gene" },
  genes = { type = "integer", default = 2000, min = 3, max = 20000, help = "genes of the distance correlation, at most" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of the draw of genes" },
}

--- All of them at once.
---@param a Embedding
---@param b Embedding
---@param opts? table  see `dynamo.agreement.schema.report`
---@return table # { cka =, procrustes =, neighbours =, distance_correlation =, angles = }
function M.report(a, b, opts)
  local o = options.check("agreement.report", opts, M.schema.report)
  return { cka = M.cka(a, b), procrustes = M.procrustes(a, b), neighbours = M.neighbours(a, b, { k = o.k }),
    distance_correlation = M.distance_correlation(a, b, { genes = o.genes, seed = o.seed }), angles = M.angles(a, b) }
end

return M
