--- Matrices too large for memory: X or a layer of an .h5ad file, some thousand cells at a time, unpacked ahead by a thread of
--- its own. A streamed matrix does what data sets, responses and training ask of one: sizes, rows, columns, means of
--- groups, products. Everything else needs the file in memory.
--
-- Cells are read in shards of neighbours; a shuffled pass draws the order of the shards, then that of the cells in each,
-- from the seed alone: the same order for any number of threads.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.open = {
  memory = { default = 268435456, type = "integer", min = 65536,
    help = "bytes held of the matrix at a time: the cells in hand and three shards ahead" },
}

M.schema.each = {
  shuffle = { type = "integer", help = "seed of a random order of shards, and of cells in each; default: as in the file" },
  threads = { type = "integer", min = 1, help = "threads that unpack; default: as many as compute" },
}

local class = {}

-- What a streamed matrix cannot do is said by name.
class.__index = function(_, key)
  if class[key] ~= nil or type(key) ~= "string" then return class[key] end
  err.raise { code = "EVALUE", message = ("a streamed matrix has no '%s'"):format(key), hint = "read the file without stream" }
end

class.__tostring = function(B)
  return ("Streamed(%dx%d, %d cells at a time)"):format(B:size(1), B:size(2), B.shard)
end

local function copy(B, change)
  local new = { map = B.map, rows_of = B.rows_of, expect = B.expect, filter = B.filter, source = B.source, file = B.file,
    shard = B.shard, cells = B.cells, genes = B.genes }
  for k, v in pairs(change) do new[k] = v end
  return setmetatable(new, class)
end

--- A streamed matrix of an open file (which may be closed then).
---@param f userdata       what core.h5_open gives
---@param name? string     a layer, "raw", or nil: X
---@param opts? table      memory
---@return table B         Streamed (cells, genes); raises EFORMAT for CSC, loom and filters of HDF5 alone
function M.open(f, name, opts)
  local o = options.check("stream.open", opts, M.schema.open)
  local source = f:stream(name, { memory = o.memory })
  local cells, genes, shard = source:size()
  return setmetatable({ source = source, file = f:path(), cells = cells, genes = genes, shard = shard, map = false,
    rows_of = false, expect = false, filter = false }, class)
end

--- Whether x is a streamed matrix.
function M.is(x) return type(x) == "table" and getmetatable(x) == class end

--- Cells (1) or genes (2).
function class:size(axis)
  if axis == 1 then return self.rows_of and #self.rows_of or self.cells end
  return self.genes
end

--- Some rows (1; repeats and any order are fine) or columns (2), not yet read.
function class:index(axis, list)
  if axis == 1 then
    local old, rows = self.rows_of, {}
    for i, k in ipairs(list) do rows[i] = old and old[k] or k end
    return copy(self, { rows_of = rows })
  end
  return self:per_cell(function(x) return x:index(2, list) end, #list)
end

--- Columns that share a place added up; see Sparse:merge_cols.
function class:merge_cols(map, n)
  return self:per_cell(function(x) return (core.is_sparse(x) and x or core.sparse_from_dense(x)):merge_cols(map, n) end, n)
end

--- The matrix that `f` makes of it; f sees some cells at a time and must treat each by itself.
---@param f function  f(x) -> matrix with the same rows
---@param genes? integer  columns of what f gives
function class:per_cell(f, genes)
  local before = self.map
  return copy(self, { map = before and function(x) return f(before(x)) end or f, genes = genes or self.genes })
end

--- The same matrix, of which every shard must pass: check(info, first) raises if it does not.
function class:checked(check) return copy(self, { expect = check }) end

--- What the first shard looks like, as H5File:matrix says it of a whole matrix.
function class:peek()
  self.source:start { 1 }
  local _, _, info = self.source:next()
  return info
end

-- Wanted rows by shard: lists of { row within the shard, place in our order }.
local function by_shard(B)
  local shards, count = {}, math.ceil(B.cells / B.shard)
  if not B.rows_of then
    for k = 1, count do shards[k] = {} end -- all of it
    return shards, count
  end
  for place, row in ipairs(B.rows_of) do
    local k = math.floor((row - 1) / B.shard) + 1
    local list = shards[k] or { rows = {}, places = {} }
    shards[k] = list
    list.rows[#list.rows + 1], list.places[#list.places + 1] = row - (k - 1) * B.shard, place
  end
  return shards, count
end

local function order_of(shards, count, seed)
  local order, mixed = {}, {}
  for k = 1, count do if shards[k] then order[#order + 1] = k end end
  if not seed then return order end
  for i, k in ipairs(core.permutation(#order, seed, "shards")) do mixed[i] = order[k] end
  return mixed
end

-- The rows of a shard in a random order, with their places.
local function mix(rows, places, seed, k)
  local r, p = {}, {}
  for i, j in ipairs(core.permutation(#rows, seed, "cells of shard " .. k)) do r[i], p[i] = rows[j], places[j] end
  return r, p
end

local function upto(n, from)
  local out = {}
  for i = 1, n do out[i] = from + i end
  return out
end

--- Call f(x, places) for some cells after others, each once: x their matrix, places[i] the row of x's row i in this matrix.
---@param f function
---@param opts? table  shuffle, threads
function class:each(f, opts)
  local o = options.check("stream.each", opts or {}, M.schema.each)
  local shards, count = by_shard(self)
  local order = order_of(shards, count, o.shuffle)
  self.source:start(order, o.threads and { threads = o.threads } or nil)
  for _, k in ipairs(order) do
    local x, first, info = self.source:next()
    if self.expect then self.expect(info, first) end
    local rows, places = shards[k].rows, shards[k].places
    if not rows and o.shuffle then rows, places = upto(x:size(1), 0), upto(x:size(1), first - 1) end
    if o.shuffle then rows, places = mix(rows, places, o.shuffle, k) end
    local part = rows and x:index(1, rows) or x
    local mapped = self.map and self.map(part) or part
    f(mapped, places or upto(x:size(1), first - 1))
    if core.is_sparse(x) and mapped ~= x then x:close() end
  end
end

--- Means of groups of rows: of[i] in 1..n, 0: left out. In one pass; sums in double.
---@return userdata Tensor double (n, genes)
function class:group_means(of, n)
  local total, count = core.zeros(n, self.genes, "double"), {}
  for g = 1, n do count[g] = { 0 } end
  self:each(function(x, places)
    local part, here = {}, {}
    for g = 1, n do here[g] = { 0 } end
    for i, place in ipairs(places) do
      local g = of[place]
      part[i] = g
      if g > 0 then count[g][1], here[g][1] = count[g][1] + 1, here[g][1] + 1 end
    end
    total = total + (core.is_sparse(x) and x or core.sparse_from_dense(x)):group_means(part, n) * core.tensor(here, "double")
  end)
  return n > 0 and total / core.tensor(count, "double"):maximum(1) or total
end

--- The product with a matrix t (genes, k), in one pass.
---@return userdata Tensor (rows, k) of t's type
function class:matmul(t)
  local blocks, place = {}, {}
  self:each(function(x, places)
    blocks[#blocks + 1] = x:matmul(t)
    for _, p in ipairs(places) do place[#place + 1] = p end
  end)
  if #blocks == 0 then return core.zeros(0, t:size(2), t:type()) end
  local y, inverse, sorted = core.cat(blocks, 1), {}, true
  for i, p in ipairs(place) do
    inverse[p] = i
    sorted = sorted and p == i
  end
  return sorted and y or y:index(1, inverse)
end

--- What passes have cost: seconds waited for the file, seconds the reading thread worked, shards and entries given.
---@return table { waited, busy, shards, entries }
function class:cost() return self.source:cost() end

return M
