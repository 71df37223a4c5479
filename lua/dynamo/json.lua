--- JSON through dkjson: sorted keys, so that the same value gives the same text.
local dkjson = require "dkjson"

local label = require "dynamo.label"

local M = {}

--- Text of a value. NaN and infinities become null.
---@param opts? table  { indent = true }
function M.encode(value, opts)
  local order, seen = {}, {}
  local function collect(t)
    if type(t) ~= "table" then return end
    for _, k in ipairs(label.sorted_keys_any(t)) do
      if type(k) == "string" and not seen[k] then
        seen[k] = true
        order[#order + 1] = k
      end
      collect(t[k])
    end
  end
  collect(value)
  table.sort(order)
  return dkjson.encode(value, { indent = opts and opts.indent, keyorder = order })
end

--- The value of a text; raises with the position of the fault.
function M.decode(text)
  local v, _, message = dkjson.decode(text, 1, nil, nil)
  if message then error("json: " .. message, 2) end
  return v
end

return M
