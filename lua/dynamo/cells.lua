--- The cells of Responses for models that learn from single cells.
--
-- Where a file has only means, every training row counts as one cell (control mean plus change) and every context's
-- control mean as another: such models then run, on little.
local core = require "dynamo.core"
local responses = require "dynamo.responses"

local M = {}

-- `limit` of the items of a list, drawn without replacement; all of them in their order if there are no more.
local function some(list, limit, seed, name)
  if limit == 0 or #list <= limit then return list end
  local order, out = core.permutation(#list, seed, name), {}
  for k = 1, limit do out[k] = list[order[k]] end
  table.sort(out)
  return out
end

-- Means as cells: the controls first.
local function from_means(R, rows)
  local at = responses.places(R.contexts)
  local set = { of_row = {}, control = {}, x = R.control }
  for c, name in ipairs(R.contexts) do set.control[name] = { c } end
  local list = {}
  for k, i in ipairs(rows) do set.of_row[i], list[k] = { #R.contexts + k }, at[R.rows[i].context] end
  if #rows > 0 then
    set.x = core.cat({ R.control, R.control:index(1, list) + R.delta:index(1, rows) }, 1)
  end
  set.x = set.x:to "float"
  return set
end

local function from_cells(R, rows)
  local set, wanted = { of_row = {}, control = {}, x = R.cells.x }, {}
  for _, i in ipairs(rows) do wanted[i], set.of_row[i] = true, {} end
  for _, name in ipairs(R.contexts) do set.control[name] = {} end
  for cell, row in ipairs(R.cells.row_of) do
    if row == 0 then
      table.insert(set.control[R.contexts[R.cells.context_of[cell]]], cell)
    elseif wanted[row] then
      table.insert(set.of_row[row], cell)
    end
  end
  return set
end

--- Cells of some rows and of the controls of every context.
---@param R table Responses
---@param rows integer[]
---@param opts? table  { limit = most cells of a row, 0: all; control_limit = of a context's controls; seed = 1 }
---@return table  { of_row = { [row] = cells }, control = { [context] = cells }, take(cells) -> Tensor float (n, G) }
function M.of(R, rows, opts)
  local o = opts or {}
  local set = R.cells and from_cells(R, rows) or from_means(R, rows)
  for i, list in pairs(set.of_row) do set.of_row[i] = some(list, o.limit or 0, o.seed or 1, "cells " .. i) end
  for c, list in pairs(set.control) do set.control[c] = some(list, o.control_limit or 0, o.seed or 1, "controls " .. c) end
  function set.take(list)
    if #list == 0 then return core.zeros(0, #R.genes) end
    local x = set.x:index(1, list)
    return core.is_sparse(x) and x:dense "float" or x:to "float"
  end
  return set
end

--- Means and variances (n - 1) of cells, Tensor double (G); a block of cells at a time.
---@param set table  of cells.of
---@param list integer[]
---@return userdata mean, userdata var
function M.moments(set, list)
  local sum, squares
  for lo = 1, #list, 1024 do
    local block = {}
    for k = lo, math.min(lo + 1023, #list) do block[#block + 1] = list[k] end
    local x = set.take(block):to "double"
    local s, q = x:sum(1), x:square():sum(1)
    sum, squares = sum and sum + s or s, squares and squares + q or q
  end
  local n = #list
  local mean = sum / n
  return mean, (squares - mean * mean * n):maximum(0) / math.max(n - 1, 1)
end

return M
