--- What a piece of work costs: seconds and the peak of resident memory while it runs.
--
-- The kernel keeps the peak of a process (VmHWM) and forgets it when "5" is written to /proc/self/clear_refs (proc(5),
-- Linux 4.0 and later). Elsewhere memory is not measured: nil, never a guess.
local core = require "dynamo.core"

local M = {}

local most = 0 -- the largest peak that was forgotten

-- A field of /proc/self/status in bytes, or nil.
local function status(field)
  local f = io.open "/proc/self/status"
  if not f then return nil end
  local kb = f:read("*a"):match(field .. ":%s*(%d+)")
  f:close()
  return kb and tonumber(kb) * 1024
end

local function forget_peak()
  most = math.max(most, core.max_rss())
  local f = io.open("/proc/self/clear_refs", "w")
  if not f then return false end
  local ok = f:write "5" ~= nil
  return f:close() and ok
end

--- Start measuring; the function that it returns gives the seconds since, and the bytes by which the process grew at most
--- (nil where the system does not tell). Measurements may be nested: the inner one then hides an earlier peak of the outer.
---@return fun(): number, integer?
function M.start()
  local fresh = forget_peak()
  local before, started = fresh and status "VmRSS", core.time()
  return function()
    local peak = before and status "VmHWM"
    return core.time() - started, peak and math.max(0, peak - before) or nil
  end
end

--- The peak of resident memory of this process since it started, in bytes, measurements or not.
---@return integer
function M.peak() return math.max(most, core.max_rss()) end

return M
