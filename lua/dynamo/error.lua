--- Errors that a script may want to tell apart: tables with `code`, `message` and perhaps `file` and `hint`.
--
-- Codes: EFORMAT (a file says something wrong), EIO (a file cannot be read or written), ENOMEM, ENOCONV (no
-- convergence), ECANCEL (interrupted), EOPTION (a wrong option), EUSAGE (a wrong command line). What the C core
-- raises has the same shape, so that one handler serves both: `local ok, e = pcall(f); if e.code == "EIO" then ...`
local core = require "dynamo.core"

local M = {}

local meta = core.Error

--- One line for an error of any kind: "FILE: MESSAGE (try: HINT)", or just the text of a string.
function M.tostring(e)
  if type(e) ~= "table" or rawget(e, "message") == nil then return tostring(e) end
  local text = tostring(e.message)
  if e.file and not text:find(e.file, 1, true) then text = e.file .. ": " .. text end
  if e.hint then text = text .. " (try: " .. e.hint .. ")" end
  return text
end
meta.__tostring = M.tostring -- the core's own shows the message alone
meta.__name = "dynamo.Error"

--- One line for people, whatever was raised; places inside dynamo's own files are left out.
function M.line(e)
  local s = M.tostring(e)
  if type(e) == "string" then s = s:gsub("^%[?[^%s:]*dynamo/[^%s:]*%]?:%d+: ", "") end
  return (s:gsub("[\r\n]+", " "))
end

--- An error value that is not raised yet.
function M.new(e) return setmetatable(e, meta) end

--- Raise an error: `err.raise { code = "EFORMAT", file = path, message = "...", hint = "..." }`.
function M.raise(e) error(M.new(e), 0) end

--- Raise EIO if there is nothing of that name, or nothing that may be looked at: what the system says.
---@param path string
---@param no_folder? boolean a folder will not do
function M.expect_file(path, no_folder)
  local there, why = core.stat(path)
  if there and no_folder and there.type == "directory" then there, why = nil, "a folder, not a file" end
  if not there then M.raise { code = "EIO", message = path:sub(1, 300) .. ": cannot open: " .. why } end
end

--- Whether `e` is an error with a code (and if `code` is given, with that one).
function M.is(e, code)
  return type(e) == "table" and getmetatable(e) == meta and (code == nil or e.code == code)
end

return M
