--- JSON text with sorted keys; NaN and infinity become null. A thin layer over dkjson.
local dkjson = require "dkjson"
local err = require "dynamo.error"

local M = {}

--- What stands for null inside tables.
M.null = dkjson.null

-- dkjson takes the order of keys as a list: all keys of all tables, sorted.
local function collect(value, seen, keys, depth)
  if type(value) ~= "table" or value == M.null then return end
  if depth > 100 then err.raise { code = "EOPTION", message = "json: tables nested too deeply, or a cycle" } end
  for k, v in pairs(value) do
    if type(k) == "string" and not seen[k] then
      seen[k] = true
      keys[#keys + 1] = k
    end
    collect(v, seen, keys, depth + 1)
  end
end

-- The shortest text that gives the same number back (dkjson rounds to 14 digits).
local function number(v)
  if v ~= v or v == math.huge or v == -math.huge then return "null" end
  if math.type and math.type(v) == "integer" then return ("%d"):format(v) end
  for digits = 14, 17 do
    local text = (("%." .. digits .. "g"):format(v):gsub(",", "."))
    if tonumber(text) == v or digits == 17 then return text end
  end
end

-- A copy in which numbers are objects that write themselves exactly.
local function prepare(value)
  if type(value) == "number" then
    local text = number(value)
    return setmetatable({}, { __tojson = function() return text end })
  end
  if type(value) ~= "table" or value == M.null then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = prepare(v) end
  return setmetatable(copy, getmetatable(value) and { __jsontype = getmetatable(value).__jsontype } or nil)
end

--- A table that is written as [] even when it is empty.
function M.array(t) return setmetatable(t or {}, { __jsontype = "array" }) end

--- The text of a value; the same value gives the same bytes. `{ indent = true }` (or just true) for people.
---@param opts? table|boolean
function M.encode(value, opts)
  local indent = type(opts) == "table" and opts.indent or opts == true
  local keys = {}
  collect(value, {}, keys, 0)
  table.sort(keys)
  return (dkjson.encode(prepare(value), { indent = indent, keyorder = keys }))
end

-- Brackets that are open at once, strings left out: the parser calls itself for each.
local function depth_of(text)
  local depth, most, at = 0, 0, 1
  while true do
    local i = text:find('[%[%]{}"]', at)
    if not i then return most end
    local c = text:sub(i, i)
    if c == '"' then
      repeat
        i = text:find('[\\"]', i + 1)
        if i and text:sub(i, i) == "\\" then i, c = i + 1, "" else c = '"' end
      until not i or c == '"'
      if not i then return most end
    elseif c == "[" or c == "{" then
      depth = depth + 1
      most = math.max(most, depth)
    else
      depth = depth - 1
    end
    at = i + 1
  end
end

--- The value of a text. Raises EFORMAT with the place, also for text after the value, and for lists and objects nested
--- more than 100 deep. null becomes nil.
---@param text string
---@param file string? named in errors
function M.decode(text, file)
  if depth_of(text) > 100 then
    err.raise { code = "EFORMAT", file = file, message = "not valid JSON: nested deeper than 100" }
  end
  local value, pos, message = dkjson.decode(text, 1, nil, nil, nil)
  if message then err.raise { code = "EFORMAT", file = file, message = "not valid JSON: " .. message } end
  if text:find("%S", pos) then
    err.raise { code = "EFORMAT", file = file, message = ("text after the JSON value, at byte %d"):format(pos) }
  end
  return value
end

return M
