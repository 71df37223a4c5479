--- Settings of a script: name=value on the command line, with a default in the script.
--
--     local folder = dynamo.setting("data", "../shared/data", "folder with the files")
--
-- `dynamo run script.lua data=/elsewhere` and `lua5.4 script.lua data=/elsewhere` both work.
local M = { given = {}, known = {} }

--- Take name=value arguments (a list of strings) as given on the command line.
function M.give(list)
  for _, s in ipairs(list or {}) do
    local k, v = s:match "^([%a_][%w_]*)=(.*)$"
    if k then M.given[k] = v end
  end
end

--- The value of a setting: as given, else the default; numbers and booleans keep the type of the default.
---@param name string
---@param default string|number|boolean
---@param help? string
function M.get(name, default, help)
  M.known[name] = { default = default, help = help }
  local v = M.given[name]
  if v == nil and M.from_arg then v = M.from_arg[name] end
  if v == nil then return default end
  if type(default) == "number" then
    local n = tonumber(v)
    if not n then error(("%s=%s: number expected"):format(name, v), 2) end
    return n
  elseif type(default) == "boolean" then
    if v ~= "true" and v ~= "false" then error(("%s=%s: true or false expected"):format(name, v), 2) end
    return v == "true"
  end
  return v
end

M.give(rawget(_G, "arg")) -- a script that a stock interpreter runs

return M
