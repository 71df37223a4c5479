--- A progress bar with the time left on a terminal; a line every ten seconds elsewhere; nothing if quiet.
local core = require "dynamo.core"

local M = {}

local Progress = {}
Progress.__index = Progress

local function clock(s)
  if s ~= s or s == math.huge then return "?" end
  s = math.floor(s + 0.5)
  if s >= 3600 then return ("%d:%02d:%02d"):format(math.floor(s / 3600), math.floor(s / 60) % 60, s % 60) end
  return ("%d:%02d"):format(math.floor(s / 60), s % 60)
end

--- A new bar.
---@param opts? table  { quiet = false, label = text }
function M.new(opts)
  opts = opts or {}
  local quiet = opts.quiet or os.getenv "DYNAMO_QUIET" == "1"
  return setmetatable({ quiet = quiet, label = opts.label or "", tty = not quiet and core.isatty(2), start = core.time(),
    last = -math.huge }, Progress)
end

--- Show `done` of `total`. Cheap enough to be called in any loop.
function Progress:update(done, total, text)
  if self.quiet then return end
  local now = core.time()
  if now - self.last < (self.tty and 0.1 or 10) then return end
  self.last = now
  local part = total > 0 and math.min(1, done / total) or 0
  local spent = now - self.start
  local left = part > 0 and spent / part * (1 - part) or 0 / 0
  local head = ("%s %3d%%"):format(self.label, math.floor(part * 100))
  local tail = ("%s, %s left  %s"):format(clock(spent), clock(left), text or "")
  if self.tty then
    local room = math.max(10, math.min(30, (core.term_width() or 80) - #head - #tail - 6))
    local full = math.floor(part * room)
    io.stderr:write("\r\27[K", head, " [", ("#"):rep(full), (" "):rep(room - full), "] ",
      tail:sub(1, math.max(0, (core.term_width() or 80) - #head - room - 6)))
  else
    io.stderr:write(head, "  ", tail, "\n")
  end
end

--- Clear the line.
function Progress:finish()
  if self.tty then io.stderr:write "\r\27[K" end
end

return M
