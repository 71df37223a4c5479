--- Progress on standard error: one line with rate and time left on a terminal; elsewhere a plain line every 30
--- seconds; nothing if quiet.
--
--     local bar = progress.new { label = "train" }
--     for i = 1, n do ... bar:update(i, n, "loss 0.03") end
--     bar:finish()
local core = require "dynamo.core"

local M = { quiet = false } -- quiet: for all bars, set by `dynamo -q`

local Progress = {}
Progress.__index = Progress

local function clock(s)
  if s ~= s or s > 359999 then return "--:--" end
  s = math.floor(s + 0.5)
  if s >= 3600 then return ("%d:%02d:%02d"):format(math.floor(s / 3600), math.floor(s / 60) % 60, s % 60) end
  return ("%02d:%02d"):format(math.floor(s / 60), s % 60)
end

local function rate(done, spent)
  if spent <= 0 or done <= 0 then return "" end
  local r = done / spent
  if r >= 1 then return (r >= 100 and "%.0f/s" or "%.1f/s"):format(r) end
  return ("%.1f s each"):format(1 / r)
end

--- A new bar.
---@param opts? table  { quiet = false, label = text }
function M.new(opts)
  opts = opts or {}
  local now = core.time()
  local quiet = opts.quiet or M.quiet or os.getenv "DYNAMO_QUIET" == "1"
  return setmetatable({ quiet = quiet, label = opts.label or "", tty = not quiet and core.isatty(2), start = now,
    last = now, shown = false }, Progress)
end

local function count(n) return ("%d"):format(math.floor(n + 0.5)) end

-- Text of at most n characters; UTF-8 is not cut inside a character.
local function cut(text, n)
  local out, k = {}, 0
  for c in text:gmatch "[%z\1-\127\194-\244][\128-\191]*" do
    if k >= n then break end
    out[#out + 1], k = c, k + 1
  end
  return table.concat(out)
end

--- The line for `done` of `total` after `spent` seconds, at most `width` columns.
function M.line(title, done, total, spent, text, width)
  local part = total > 0 and math.max(0, math.min(1, done / total)) or 0
  local left = part > 0 and spent / part * (1 - part) or 0 / 0
  local head = ("%s %s/%s %3d%%"):format(title, count(done), count(total), math.floor(part * 100))
  local tail = ("%s < %s  %s"):format(clock(spent), clock(left), rate(done, spent))
  if text and text ~= "" then tail = tail .. "  " .. text end
  if not width then return head .. "  " .. tail end
  local room = math.max(6, math.min(24, width - #head - 40))
  local full = math.floor(part * room)
  return cut(("%s |%s%s| %s"):format(head, ("#"):rep(full), ("."):rep(room - full), tail), width - 1)
end

--- Show `done` of `total`. Cheap enough for any loop: most calls only read the clock.
function Progress:update(done, total, text)
  if self.quiet then return end
  local now = core.time()
  if now - self.last < (self.tty and 0.1 or 30) then return end
  self.last = now
  if self.tty then
    self.shown = true
    io.stderr:write("\r", M.line(self.label, done, total, now - self.start, text, core.term_width()), "\27[K")
  else
    io.stderr:write(M.line(self.label, done, total, now - self.start, text), "\n")
  end
end

--- Clear the line.
function Progress:finish()
  if self.shown then io.stderr:write "\r\27[K" end
  self.shown = false
end

--- A function(done, total, text) that updates this bar: what long computations take.
function Progress:callback()
  return function(done, total, text) self:update(done, total, text) end
end

return M
