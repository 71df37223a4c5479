--- Recipes: values that say what to make, and are made later. They can be printed, compared, swept and stored.
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = {}

local function text(v)
  if type(v) ~= "table" then return (options.quote(v):gsub("'", '"')) end
  local meta = getmetatable(v)
  if meta and meta.__tostring then return tostring(v) end
  if v.source then return tostring(v.source) end -- an Embedding
  if #v > 8 then return ("{ %s, ... %d }"):format(text(v[1]), #v) end
  local parts = {}
  for _, k in ipairs(label.sorted_keys_any(v)) do
    parts[#parts + 1] = (type(k) == "number" and "" or tostring(k) .. " = ") .. text(v[k])
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

--- A recipe of a kind ("split", "predictor") and name, its options checked against `schema`, with methods.
---
--- `tostring` shows the call that makes it, "split.unseen_genes { seed = 1, test = 0.25 }". Raises EOPTION.
---@param kind string
---@param module string  the module it belongs to, for messages
---@param name string
---@param opts table?
---@param schema table
---@param methods table  functions f(recipe, ...)
---@return table
function M.new(kind, module, name, opts, schema, methods)
  local r = { kind = kind, name = name, options = options.check(module .. "." .. name, opts, schema) }
  return setmetatable(r, {
    __index = methods, module = module, schema = schema,
    __tostring = function(t) return ("%s.%s %s"):format(module, t.name, text(t.options)) end,
  })
end

--- The schema of a recipe's options and the name it has in messages; nil for what is no recipe.
---@return table? schema, string? name
function M.schema(r)
  local meta = type(r) == "table" and getmetatable(r) or nil
  if type(meta) ~= "table" then return nil end
  if meta.schema then return meta.schema, meta.module .. "." .. r.name end
  if r.kind == "embedding" and r.build then return require("dynamo.embed").schema[r.name], "embed." .. r.name end
end

--- The module of a recipe ("model", "baseline", "split", "embed"), or nil.
function M.module(r) return (select(2, M.schema(r)) or ""):match "^(%w+)%." end

--- A recipe with some options changed. Raises EOPTION: an unknown option, a value out of range.
---@param r table
---@param changes table
---@return table
function M.with(r, changes)
  local schema, name = M.schema(r)
  local copy, given = {}, {}
  for k, v in pairs(r) do copy[k] = v end
  for k, v in pairs(r.options) do given[k] = v end
  for k, v in pairs(changes) do given[k] = v end
  copy.options = options.check(name, given, schema)
  return setmetatable(copy, getmetatable(r))
end

return M
