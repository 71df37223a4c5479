--- Genes by how they vary over cells: principal components of genes, and correlation networks.
--
-- Only control cells are used unless training rows are named, so nothing of the tested perturbations leaks in. Cells are
-- centred on the mean of their own context. A sparse matrix is never made dense.
local core = require "dynamo.core"
local err = require "dynamo.error"
local learned = require "dynamo.learned"
local options = require "dynamo.options"

local M = { schema = {} }

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

M.schema.pca = {
  dim = { type = "integer", default = 128, min = 1, max = 4096, help = "components" },
  scale = { default = true, type = "boolean", help = "every gene to variance 1 (components of the correlations)" },
  power = { type = "integer", default = 6, min = 0, max = 100, help = "subspace iterations" },
  rows = { type = "table", item = "integer", min = 1, help = "training rows whose cells count beside the controls" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53, help = "of the start of the iteration" },
}

M.schema.graph = {
  top = { type = "integer", default = 20, min = 1, max = 4096, help = "neighbours of a gene, at most" },
  threshold = { type = "number", default = 0.4, min = 0, max = 1, help = "smallest correlation, or |correlation|, of an edge" },
  absolute = { default = true, type = "boolean", help = "negative correlations count by their size (edges are signed)" },
  rows = { type = "table", item = "integer", min = 1, help = "training rows whose cells count beside the controls" },
  progress = { type = "function", help = "called with (done, total)" },
}

-- ---- what is given ---------------------------------------------------------------

-- Cells of Responses: the controls and those of the named rows.
local function cells_of(R, rows)
  local wanted, keep, groups = { [0] = true }, {}, {}
  for _, i in ipairs(rows or {}) do
    if not R.rows[i] then raise(("coexpression: row %d of %d"):format(i, #R.rows)) end
    wanted[i] = true
  end
  for c, row in ipairs(R.cells.row_of) do
    if wanted[row] then
      keep[#keep + 1] = c
      groups[#keep] = R.cells.context_of[c]
    end
  end
  if #keep < 3 then raise(("coexpression: %d control cells, at least 3 are needed"):format(#keep)) end
  return R.cells.x:index(1, keep), groups
end

-- Without cells: the changes of the named rows.
local function profiles_of(R, rows)
  if not rows or #rows < 3 then
    raise("coexpression: the data have no cells", "rows = split.train takes the responses of training perturbations")
  end
  local groups, at = {}, {}
  for c, name in ipairs(R.contexts) do at[name] = c end
  for k, i in ipairs(rows) do groups[k] = at[R.rows[i].context] end
  return R.delta:index(1, rows), groups
end

-- A table of genes by samples.
local function read(path)
  local t = core.read_matrix(path)
  return { genes = t.rows, values = t.values:t(), source = path:match "[^/]*$" }
end

--- Cells by genes of whatever was given: Responses, { genes =, values = (cells, genes), groups = per cell or nil }, or a
--- file with a gene per row and a sample per column. Raises EVALUE: no control cells, sizes that differ.
---@param v table|string
---@param rows? integer[]  training rows of Responses
---@return table # { genes =, x = Tensor or Sparse (cells, genes), groups = list or nil, source = }
function M.of(v, rows)
  if type(v) == "string" then v = read(v) end
  if require("dynamo.responses").is(v) then
    local x, groups
    if v.cells then x, groups = cells_of(v, rows) else x, groups = profiles_of(v, rows) end
    local from = learned.named(v) or {}
    if rows then from[#from + 1] = { step = "coexpression", rows = learned.names(v, rows) } end
    return { genes = v.genes, x = x, groups = groups, learned = from, source = v.cells and (rows and "training cells" or "control cells")
      or "training profiles" }
  end
  if type(v) ~= "table" or type(v.genes) ~= "table" or not v.values then
    err.raise { code = "EOPTION", message = "coexpression: Responses, { genes =, values = } or a file expected (got "
      .. options.quote(v) .. ")" }
  end
  local n, g = v.values:size()
  if g ~= #v.genes then raise(("coexpression: %d genes and values with %s columns"):format(#v.genes, tostring(g))) end
  if v.groups and #v.groups ~= n then raise(("coexpression: %d groups for %d cells"):format(#v.groups, n)) end
  return { genes = v.genes, x = v.values, groups = v.groups, source = v.source or "expression" }
end

-- ---- components ------------------------------------------------------------------

-- The centred matrix A (cells, genes) as two products that leave x as it is: A v and A' u.
local function operator(t)
  local n, g = t.x:size()
  local sparse, count, groups = core.is_sparse(t.x), 1, t.groups or {}
  for _, k in ipairs(groups) do count = math.max(count, k) end
  for i = #groups + 1, n do groups[i] = 1 end
  local x = sparse and t.x or t.x:to "double"
  local xt = x:t()
  -- (groups, cells): which cells a group has
  local rows, ones = {}, {}
  for i = 1, n do rows[i], ones[i] = i, 1 end
  local member = core.sparse(count, n, groups, rows, ones)
  local size = member:row_sums():maximum(1):reshape(count, 1)
  local mean = (sparse and xt:matmul(member:dense "double":t()):t() or member:matmul(x)) / size
  local A = { n = n, g = g }
  function A.times(v) return x:matmul(v) - mean:matmul(v):index(1, groups) end
  function A.adjoint(u) return xt:matmul(u) - mean:t():matmul(member:matmul(u)) end
  -- sums of squares per gene, less those of the means
  local squares
  if sparse then
    local out = {}
    for j = 1, g do
      local sum = 0
      local _, values = xt:row(j)
      for _, w in ipairs(values) do sum = sum + w * w end
      out[j] = sum
    end
    squares = core.tensor(out, "double")
  else
    squares = x:square():sum(1)
  end
  local left = squares - (mean:square() * size):sum(1)
  -- what rounding leaves of a constant is none
  A.norm2 = left * left:gt(squares * 1e-12):to "double"
  return A
end

-- Leading left singular vectors of D A' (genes, cells), times the singular values.
local function leading(A, d, k, o)
  local l = math.min(A.g, A.n, k + math.floor(k / 4) + 8)
  local function forward(q) return A.times(q * d) end
  local q = core.qr(A.adjoint(core.randn(o.seed, A.n, l, "double")) * d)
  for i = 1, l < A.g and o.power or 0 do
    q = core.qr(A.adjoint(forward(q)) * d)
    if o.progress then o.progress(i, o.power) end
  end
  local w = forward(q)
  local values, v = core.eigh(w:t():matmul(w))
  local order = {}
  for j = 1, k do order[j] = l + 1 - j end
  local s = values:index(1, order):maximum(0):sqrt()
  return q:matmul(v:index(2, order)) * s:reshape(1, k), s
end

--- Principal components of the genes over cells: genes x components, scaled so that (with `scale`) inner products of all
--- components are correlations. Genes that do not vary are left out.
---
--- Raises EVALUE (fewer than 3 cells, no gene varies). Time O(entries (dim + oversampling) power).
---@param data table|string  see coexpression.of
---@param opts? table  see `dynamo.coexpression.schema.pca`
---@return table # { genes =, values = tensor double (genes, dim), left_out =, singular = tensor (dim), source = }
function M.pca(data, opts)
  local o = options.check("coexpression.pca", opts, M.schema.pca)
  local t = M.of(data, o.rows)
  local A = operator(t)
  local keep, genes, left = {}, {}, {}
  for j, v in ipairs(A.norm2:totable()) do
    if v > 0 then keep[#keep + 1], genes[#genes + 1] = j, t.genes[j] else left[#left + 1] = t.genes[j] end
  end
  if #genes == 0 then raise "coexpression: no gene varies" end
  local k = math.min(o.dim, #genes, A.n)
  local d = o.scale and A.norm2:maximum(1e-300):sqrt():reciprocal() * A.norm2:gt(0):to "double"
    or core.full(1 / math.sqrt(A.n - 1), A.g, "double")
  local values, s = leading(A, d:reshape(A.g, 1), k, o)
  return { genes = genes, values = values:index(1, keep), left_out = left, singular = s, learned = t.learned,
    source = ("coexpression pca %s dim=%d"):format(t.source, k) }
end

-- ---- networks --------------------------------------------------------------------

--- The network of correlated genes: for every gene an edge from each of its `top` most correlated others whose
--- correlation is above `threshold`. The defaults are the rule of GEARS (Roohani, Huang and Leskovec 2023): |Pearson|,
--- the 20 largest beside the gene itself, then > 0.4; its self-loops are left out. Directed; signed with `absolute`.
---
--- Raises EVALUE (fewer than 3 cells), ECANCEL.
---@param data table|string  see coexpression.of
---@param opts? table  see `dynamo.coexpression.schema.graph`
---@return userdata graph
function M.graph(data, opts)
  local o = options.check("coexpression.graph", opts, M.schema.graph)
  local t = M.of(data, o.rows)
  local k = math.max(1, math.min(o.top, #t.genes - 1))
  local id, r = core.correlated(t.x, k, { groups = t.groups, absolute = o.absolute, progress = o.progress })
  local from, to, weight = {}, {}, {}
  local ids, rs = id:totable(), r:totable()
  for j = 1, #t.genes do
    for c = 1, k do
      local i, v = ids[j][c], rs[j][c]
      if i > 0 and (o.absolute and math.abs(v) or v) > o.threshold then
        from[#from + 1], to[#to + 1], weight[#weight + 1] = t.genes[i], t.genes[j], v
      end
    end
  end
  return learned.pass(t, core.graph(t.genes, from, to, weight, { directed = true, signed = o.absolute,
    source = "coexpression " .. t.source }))
end

return M
