--- Errors that scripts can tell apart: tables with a code, a message and often a hint.
local core = require "dynamo.core"

local M = {}

local function text(e)
  if e.hint then return ("%s (try: %s)"):format(e.message, e.hint) end
  return tostring(e.message)
end

core.Error.__tostring = text

--- Raise an error.
---@param e table  { code = "EFORMAT", file = path?, message = text, hint = what to type? }
function M.raise(e)
  error(setmetatable(e, core.Error), 0)
end

--- Is this value one of our errors?
function M.is(e) return type(e) == "table" and getmetatable(e) == core.Error end

--- One line for people, whatever was raised; places in our own files are left out.
function M.line(e)
  local s = tostring(e)
  if type(e) == "string" then s = s:gsub("^%[?[^%s:]*dynamo[^%s:]*%]?:%d+: ", "") end
  return (s:gsub("[\r\n]+", " "))
end

return M
