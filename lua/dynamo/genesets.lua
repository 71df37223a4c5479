--- Gene sets that columns are scored on: all, deK, sig, topK, hvgK, each also without the perturbed genes ("-target").
--
-- `all`: measured in the truth. `de20`: the first 20 by the truth's |Welch t| against control over cells, lower gene index
-- first among ties; without cells by |true change|, and the key reads `de20~delta` (`top20` is a name for that one).
-- `sig`: q < 0.05 there. `top1000`: 1,000 genes with the highest control mean. `hvg500`: 500 that vary most over the
-- training perturbations' means. Targets come off before K genes are taken.
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}

local function complain(message) err.raise { code = "EOPTION", message = "gene set " .. message } end

--- A gene set's key taken apart. Raises EOPTION.
---@param key string  "all", "de20-target", "de20~delta", "sig", "top1000", "hvg500"
---@return table { key, base = "all"|"de"|"delta"|"sig"|"top"|"hvg", k, target = whether perturbed genes count, cells = needs
---  them, shared = one set for all perturbations of a context }
function M.parse(key)
  local name, minus = key:gsub("%-target$", "")
  local set = { key = key, target = minus == 0 }
  local base, k, how = name:match "^(%a+)(%d*)(~?%a*)$"
  set.k = tonumber(k)
  if name == "all" or name == "sig" then
    set.base = name
  elseif name == "top20" or base == "de" and how == "~delta" and set.k then
    set.base = "delta"
  elseif (base == "de" or base == "top" or base == "hvg") and how == "" and set.k then
    set.base = base
  end
  if not set.base or set.k == 0 then
    complain(("'%s': all, de20, de20~delta, sig, top1000 or hvg500 expected, each with or without -target"):format(key))
  end
  set.cells = set.base == "de" or set.base == "sig"
  set.shared = set.base == "all" or set.base == "top" or set.base == "hvg"
  return set
end

--- What a set becomes without cells: de20 is de20~delta, sig is nothing.
---@param set table
---@return table? set
function M.without_cells(set)
  if set.base ~= "de" then return not set.cells and set or nil end
  return M.parse((set.key:gsub("^(de%d+)", "%1~delta")))
end

local function first(order, k)
  local out = {}
  for i = 1, math.min(k, #order) do out[i] = order[i] end
  return out
end

-- Columns of a set that is the same for all rows of a block, ascending; nil: all.
local function columns(b, set)
  b.columns = b.columns or {}
  local id = set.base .. tostring(set.k)
  if set.base == "all" then return nil end
  if not b.columns[id] then
    local by = set.base == "top" and b.control or b.spread
    if not by then complain(("'%s': the training rows are not known"):format(set.key)) end
    b.columns[id] = first((by * -1):argsort(), set.k)
    table.sort(b.columns[id])
  end
  return b.columns[id]
end

local function mask_of(b, list)
  local n, g = b.t:size()
  local row = {}
  for j = 1, g do row[j] = 0 end
  for _, j in ipairs(list) do row[j] = 1 end
  local m = core.tensor(row, "double"):reshape(1, g):expand(n, g)
  return b.mask and b.mask * m or m:clone()
end

--- Options of core.*_rows that choose the genes of a set: mask, exclude, top, rank.
---@param b table  a block, see evaluate
---@param set table
---@return table
function M.choose(b, set)
  local o = { mask = b.mask, exclude = not set.target and b.exclude or nil, top = 0 }
  if set.base == "top" or set.base == "hvg" then
    o.mask = mask_of(b, columns(b, set))
  elseif set.base == "delta" then
    o.top = set.k or 20
  elseif set.base == "de" then
    o.top, o.rank = set.k, b.truth:scores(b.rows)
  elseif set.base == "sig" then
    local significant = b.truth:calls(b.rows)
    o.mask = b.mask and b.mask * significant or significant
  end
  return o
end

--- The columns that every candidate of a block has in a shared set (nil: all), and per row those to leave out among them.
---@param b table
---@param set table
---@return integer[]? columns, integer[][]? exclude
function M.common(b, set)
  local list = columns(b, set)
  if b.mask then
    local seen, out = b.mask:min(1):totable(), {}
    for j = 1, #seen do seen[j] = seen[j] > 0 end
    for _, j in ipairs(list or {}) do
      if seen[j] then out[#out + 1] = j end
    end
    for j = 1, list and 0 or #seen do
      if seen[j] then out[#out + 1] = j end
    end
    list = out
  end
  if set.target then return list, nil end
  if not list then return nil, b.exclude end
  local at, exclude = {}, {}
  for k, j in ipairs(list) do at[j] = k end
  for i, own in ipairs(b.exclude) do
    exclude[i] = {}
    for _, j in ipairs(own) do exclude[i][#exclude[i] + 1] = at[j] end
  end
  return list, exclude
end

--- The genes of row i of a block that are in a set, as { [column] = true }.
---@param b table
---@param set table
---@param i integer
---@return table<integer, boolean>
function M.allowed(b, set, i)
  local out, list = {}, columns(b, set)
  for j = 1, list and #list or b.t:size(2) do out[list and list[j] or j] = true end
  if b.mask then
    for j, v in ipairs(b.mask:select(1, i):totable()) do
      if v == 0 then out[j] = nil end
    end
  end
  for _, j in ipairs(not set.target and b.exclude[i] or {}) do out[j] = nil end
  return out
end

return M
