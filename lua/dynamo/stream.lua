--- Matrices too large for memory: X or a layer of an .h5ad file, some thousand cells at a time, unpacked ahead by a thread of
--- its own. A streamed matrix does what data sets, responses and training ask of one: sizes, rows, columns, means of
--- groups, products. Everything else needs the file in memory.
--
-- Cells are read in shards of neighbours; a shuffled pass draws the order of the shards, then that of the cells in each,
-- from the seed alone: the same order for any number of threads. Cells that a later pass will ask for can be kept while an
-- earlier one goes by (`keep`): what is kept is not read again.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"
local responses = require "dynamo.responses"

local M = { schema = {} }

-- Cells of a perturbation that models look at; of a control 16 times as many.
M.MOST = 256

M.schema.open = {
  memory = { default = 268435456, type = "integer", min = 65536,
    help = "bytes held of the matrix at a time (cells in hand, three shards ahead), and as many of cells that are kept" },
}

M.schema.each = {
  shuffle = { type = "integer", help = "seed of a random order of shards, and of cells in each; default: as in the file" },
  threads = { type = "integer", min = 1, help = "threads that unpack; default: as many as compute" },
}

local class = {}

-- What a streamed matrix cannot do is said by name.
local function only(methods)
  return function(_, key)
    if methods[key] ~= nil or type(key) ~= "string" then return methods[key] end
    err.raise { code = "EVALUE", message = ("a streamed matrix has no '%s'"):format(key),
      hint = "read the file without stream" }
  end
end
class.__index = only(class)
local joined = {} -- several below one another
joined.__index = only(joined)

class.__tostring = function(B)
  return ("Streamed(%dx%d, %d cells at a time)"):format(B:size(1), B:size(2), B.shard)
end

local function copy(B, change)
  local new = { map = B.map, rows_of = B.rows_of, expect = B.expect, source = B.source, file = B.file, shard = B.shard,
    cells = B.cells, genes = B.genes, memory = B.memory, kept = B.kept, found = B.found }
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
    rows_of = false, expect = false, memory = o.memory, kept = {}, found = { nonfinite = 0 } }, class)
end

local function fail(B, message, ...)
  err.raise { code = "EFORMAT", file = B.file, message = message:format(...), hint = "read it without stream" }
end

--- The matrix of a data set left in its file, what its first cells look like, and the axis of its genes. Every pass checks that
--- all other cells look so; NaN and infinite values are an error, or counted (nonfinite="mask").
---@param f userdata  open file
---@param o table     layer, stream, nonfinite of dynamo.data.read
function M.matrix(f, o)
  local B = M.open(f, o.layer, type(o.stream) == "table" and o.stream or {})
  local info, name = B:peek(), o.layer or "X"
  local counts = info.integers and not info.negative
  return B:checked(function(i, first)
    if i.nonfinite > 0 and o.nonfinite ~= "mask" then
      fail(B, "%s: NaN or infinite at cell %s", name, responses.commas(first + i.row - 1))
    end
    B.found.nonfinite = B.found.nonfinite + i.nonfinite
    if (counts and not i.integers) or (i.negative and not info.negative) then
      fail(B, "%s: the first cells are %s, those from %s on are not", name, counts and "counts" or "not negative",
        responses.commas(first))
    end
  end), info, o.layer == "raw" and "raw" or "var"
end

--- Whether x is a streamed matrix.
function M.is(x) return type(x) == "table" and (getmetatable(x) == class or getmetatable(x) == joined) end

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
  local x, _, info = self.source:next()
  self.kept.cell = (core.is_sparse(x) and 8 * x:nnz() / math.max(1, x:size(1)) or 4 * x:size(2)) + 64 -- bytes
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

-- ---- cells that are kept -------------------------------------------------------------------

-- At most `most` of a list, chosen by a purpose, in their order.
local function some_of(list, most, purpose)
  if #list <= most then return list end
  local out = {}
  for i, k in ipairs(core.permutation(#list, 1, purpose)) do if i <= most then out[i] = list[k] end end
  table.sort(out)
  return out
end

--- Keep some cells of groups of rows when the next pass reads them: `most` of each group, `often` as many of those in `large`;
--- fewer, in proportion, where they would need more than the memory of the stream.
---@param of integer[]  group per row of this matrix, 0: none
---@param n integer     groups
---@param opts table    most, often, large = { [group] = true }
function class:keep(of, n, opts)
  local lists, total, kept = {}, 0, self.kept
  for g = 1, n do lists[g] = {} end
  for i, g in ipairs(of) do if g > 0 then table.insert(lists[g], self.rows_of and self.rows_of[i] or i) end end
  local function most(g) return math.min(#lists[g], opts.most * (opts.large[g] and opts.often or 1)) end
  for g = 1, n do total = total + most(g) end
  if not kept.cell then self:peek() end
  local share = math.min(1, self.memory / kept.cell / math.max(1, total))
  kept.wanted, kept.at, kept.part = {}, {}, {}
  for g, list in ipairs(lists) do
    for _, row in ipairs(some_of(list, math.floor(most(g) * share), "kept cells of " .. g)) do
      local k = math.floor((row - 1) / self.shard) + 1
      kept.wanted[k] = kept.wanted[k] or {}
      table.insert(kept.wanted[k], row - (k - 1) * self.shard)
    end
  end
end

-- Put aside what is wanted of shard k.
local function put_aside(B, k, x)
  local kept = B.kept
  local rows = kept.wanted and kept.wanted[k]
  if not rows or kept.part[k] then return end
  table.sort(rows)
  kept.part[k], kept.at[k] = x:index(1, rows), {}
  for i, row in ipairs(rows) do kept.at[k][row] = i end
end

-- The cells at these rows of shard k, all of which are kept.
local function at_hand(B, k, rows)
  local list = {}
  for i, row in ipairs(rows) do list[i] = B.kept.at[k][row] end
  return B.kept.part[k]:index(1, list)
end

--- Those of a list of rows that are kept; all of them if none is.
---@param list integer[]
---@return integer[]
function class:known(list)
  local out = {}
  for _, i in ipairs(list) do
    local row = self.rows_of and self.rows_of[i] or i
    local k = math.floor((row - 1) / self.shard) + 1
    local at = self.kept.at and self.kept.at[k]
    if at and at[row - (k - 1) * self.shard] then out[#out + 1] = i end
  end
  return #out > 0 and out or list
end

-- ---- passes ---------------------------------------------------------------------------------

-- Whether every cell that is wanted has been kept.
local function all_kept(B, shards, order)
  for _, k in ipairs(order) do
    local at = B.kept.at and B.kept.at[k]
    if not (at and shards[k].rows) then return false end
    for _, row in ipairs(shards[k].rows) do if not at[row] then return false end end
  end
  return true
end

-- What is wanted of shard k (nil: all of it), in which order, and the places of it.
local function in_order(B, s, k, seed)
  local first = (k - 1) * B.shard
  local n = math.min(B.cells - first, B.shard)
  if not seed then return s.rows, s.places or upto(n, first) end
  return mix(s.rows or upto(n, 0), s.places or upto(n, first), seed, k)
end

-- The next shard, k, of the file: the rows that are wanted, and all of it.
local function next_shard(B, k, rows)
  local x, first, info = B.source:next()
  if B.expect then B.expect(info, first) end
  put_aside(B, k, x)
  return rows and x:index(1, rows) or x, x
end

--- Call f(x, places) for some cells after others, each once: x their matrix, places[i] the row of x's row i in this matrix.
---@param f function
---@param opts? table  shuffle, threads
function class:each(f, opts)
  local o = options.check("stream.each", opts or {}, M.schema.each)
  local shards, count = by_shard(self)
  local order = order_of(shards, count, o.shuffle)
  local kept = all_kept(self, shards, order)
  if not kept then self.source:start(order, o.threads and { threads = o.threads } or nil) end
  for _, k in ipairs(order) do
    local rows, places = in_order(self, shards[k], k, o.shuffle)
    local part, whole
    if kept then part = at_hand(self, k, rows) else part, whole = next_shard(self, k, rows) end
    local mapped = self.map and self.map(part) or part
    f(mapped, places)
    if core.is_sparse(whole) and mapped ~= whole then whole:close() end
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

--- How many values that are not finite the passes so far have met.
function class:nonfinite() return self.found.nonfinite end

--- What passes have cost: seconds waited for the file, seconds the reading thread worked, shards and entries given.
---@return table { waited, busy, shards, entries }
function class:cost() return self.source:cost() end

-- ---- several files --------------------------------------------------------------------------

joined.__tostring = function(J) return ("Streamed(%dx%d, %d files)"):format(J:size(1), J:size(2), #J.parts) end
joined.matmul, joined.group_means = class.matmul, class.group_means

-- parts[p] has the rows at places[p] of the whole.
local function whole(parts, places)
  local n = 0
  for _, list in ipairs(places) do n = n + #list end
  return setmetatable({ parts = parts, places = places, rows = n, genes = parts[1]:size(2) }, joined)
end

--- Streamed matrices with the same genes below one another; a pass reads one after the other.
---@param parts table[]
---@return table J  with the methods of a streamed matrix, except keep
function M.join(parts)
  local places, first = {}, 0
  for p, B in ipairs(parts) do
    places[p] = upto(B:size(1), first)
    first = first + B:size(1)
  end
  return whole(parts, places)
end

function joined:size(axis) return axis == 1 and self.rows or self.genes end

-- Part and row in it of every row.
local function origin(J)
  local part, row = {}, {}
  for p, list in ipairs(J.places) do
    for k, place in ipairs(list) do part[place], row[place] = p, k end
  end
  return part, row
end

local function each_part(J, f)
  local parts = {}
  for p, B in ipairs(J.parts) do parts[p] = f(B, p) end
  return whole(parts, J.places)
end

function joined:index(axis, list)
  if axis == 2 then return each_part(self, function(B) return B:index(2, list) end) end
  local part, row = origin(self)
  local rows, places, parts = {}, {}, {}
  for p = 1, #self.parts do rows[p], places[p] = {}, {} end
  for i, k in ipairs(list) do
    table.insert(rows[part[k]], row[k])
    table.insert(places[part[k]], i)
  end
  for p, B in ipairs(self.parts) do parts[p] = B:index(1, rows[p]) end
  return whole(parts, places)
end

function joined:merge_cols(map, n) return each_part(self, function(B) return B:merge_cols(map, n) end) end
function joined:per_cell(f, genes) return each_part(self, function(B) return B:per_cell(f, genes) end) end

function joined:each(f, opts)
  for p, B in ipairs(self.parts) do
    local places = self.places[p]
    if #places > 0 then
      B:each(function(x, rows)
        local mine = {}
        for i, k in ipairs(rows) do mine[i] = places[k] end
        f(x, mine)
      end, opts)
    end
  end
end

function joined:known(list)
  local part, row = origin(self)
  local of, out = {}, {}
  for p = 1, #self.parts do of[p] = { rows = {}, at = {} } end
  for _, i in ipairs(list) do
    local o = of[part[i]]
    o.rows[#o.rows + 1], o.at[row[i]] = row[i], i
  end
  for p, B in ipairs(self.parts) do
    for _, k in ipairs(B:known(of[p].rows)) do out[#out + 1] = of[p].at[k] end
  end
  table.sort(out)
  return out
end

function joined:cost()
  local sum = { waited = 0, busy = 0, shards = 0, entries = 0 }
  for _, B in ipairs(self.parts) do
    for k, v in pairs(B:cost()) do sum[k] = sum[k] + v end
  end
  return sum
end

return M
