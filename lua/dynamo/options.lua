--- Tables of options: defaults, types, ranges, and the nearest name for one that does not exist.
local label = require "dynamo.label"

local M = {}

local function show(v) return type(v) == "string" and '"' .. label.safe(v) .. '"' or tostring(v) end

--- What is wrong with value `v` under rule `r`, or nil.
local function fault(v, r)
  local t = type(v)
  if r.type == "integer" then
    if t ~= "number" or v ~= math.floor(v) or v ~= v then return "integer expected, got " .. show(v) end
  elseif r.type == "table" then
    if t ~= "table" and t ~= "userdata" then return "table expected, got " .. show(v) end
  elseif r.type and t ~= r.type then
    return ("%s expected, got %s"):format(r.type, show(v))
  end
  if t == "number" then
    if r.min and not (v >= r.min) then return ("at least %g expected, got %g"):format(r.min, v) end
    if r.max and not (v <= r.max) then return ("at most %g expected, got %g"):format(r.max, v) end
  end
  if r.values then
    for _, w in ipairs(r.values) do
      if v == w then return nil end
    end
    local names = {}
    for i, w in ipairs(r.values) do names[i] = show(w) end
    return ("one of %s expected, got %s"):format(table.concat(names, ", "), show(v))
  end
end

--- A copy of `opts` with defaults filled in, checked against `schema`.
---
---     local o = options.check("embed.node2vec", opts, { dim = { default = 128, type = "integer", min = 1 } })
---
--- Raises on an unknown name (with the nearest known one), a wrong type, a value outside its range or list, and
--- a missing required option.
---@param name string    what the options belong to, for messages
---@param opts? table
---@param schema table   name -> { default, type, min, max, values, required, help }
---@return table
function M.check(name, opts, schema)
  opts = opts or {}
  if type(opts) ~= "table" then error(("%s: table of options expected, got %s"):format(name, type(opts)), 3) end
  local out = {}
  for _, key in ipairs(label.sorted_keys_any(opts)) do
    local rule = schema[key]
    if not rule then
      local known = label.sorted_keys(schema)
      error(("%s: unknown option '%s'%s (known: %s)"):format(name, tostring(key),
        type(key) == "string" and label.suggest(key, known) or "", table.concat(known, ", ")), 3)
    end
    local f = fault(opts[key], rule)
    if f then error(("%s: option '%s': %s"):format(name, key, f), 3) end
    out[key] = opts[key]
  end
  for _, key in ipairs(label.sorted_keys(schema)) do
    if out[key] == nil then
      if schema[key].required then error(("%s: option '%s' is missing"):format(name, key), 3) end
      local d = schema[key].default
      if type(d) == "table" then
        local copy = {}
        for k, v in pairs(d) do copy[k] = v end
        d = copy
      end
      out[key] = d
    end
  end
  return out
end

return M
