-- What the measurements share: medians, peers in the same run, one line each, and the table in build/bench.csv.
-- usage, in tests/bench/bench_NAME.lua:
--   package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
--   local bench = require "frame"
--   local peer = bench.peer("tests/bench/peer_NAME.py", "arguments")          -- { ["case"] = { seconds, quality } }
--   bench.row { name = "NAME", case = "what n=1e6", seconds = bench.median(f), peer = "numpy", peer_seconds = peer.x.seconds }
-- ratio is peer_seconds / seconds (above 1: we are faster); limit_ratio is seconds / the least the hardware allows, where
-- a row knows it; quality is a number whose meaning the case names. Peers run on as many threads as we do.
local core = require "dynamo.core"

local M = {}
local columns = { "name", "case", "threads", "seconds", "peak_mb", "quality", "peer", "peer_seconds", "ratio", "limit_ratio" }
local csv = os.getenv "DYNAMO_BENCH_CSV"

-- Median seconds of one call of f over opts.runs (5) runs, each long enough (opts.least, seconds) to be read off the clock.
function M.median(f, opts)
  opts = opts or {}
  local times, least = {}, opts.least or 0.02
  if opts.warm ~= false then f() end
  for i = 1, opts.runs or 5 do
    local start, n, took = core.time(), 0, 0
    repeat
      f()
      n = n + 1
      took = core.time() - start
    until took >= least
    times[i] = took / n
  end
  table.sort(times)
  return times[math.floor(#times / 2) + 1]
end

-- The peak of this process' resident memory in MB since it started, from Linux; nil elsewhere.
function M.peak_mb()
  local f = io.open "/proc/self/status"
  if not f then return nil end
  local kb = f:read("a"):match "VmHWM:%s*(%d+)"
  f:close()
  return kb and tonumber(kb) / 1024
end

-- Runs a peer's script with Debian's Python (PYTHON in the environment: another) on `threads` threads. It prints lines
-- "case<TAB>seconds[<TAB>quality[<TAB>peak_mb]]"; a line that starts with # is passed on. Gives a table by case; empty when
-- the peer is not installed, and says so.
function M.peer(script, args, threads)
  local n = threads or core.threads()
  local found, pipe = {}, io.popen(("OPENBLAS_NUM_THREADS=%d OMP_NUM_THREADS=%d %s %s %s 2>&1"):format(n, n,
    os.getenv "PYTHON" or "/usr/bin/python3", script, args or ""))
  local last
  for line in pipe:lines() do
    local case, seconds, quality, peak = line:match "^([^\t]+)\t([^\t]+)\t?([^\t]*)\t?([^\t]*)$"
    if case and tonumber(seconds) then
      found[case] = { seconds = tonumber(seconds), quality = tonumber(quality), peak_mb = tonumber(peak) }
    elseif line:match "^#" then
      print(line)
    else
      last = line
    end
  end
  pipe:close()
  if not next(found) then print(("# %s gave no figures: %s"):format(script, last or "no output")) end
  return found
end

local function number(x, format)
  return x and (format or "%.4g"):format(x) or ""
end

-- Prints one measurement and adds it to the table.
function M.row(r)
  local ratio = r.ratio or r.peer_seconds and r.seconds and r.peer_seconds / r.seconds
  local line = { r.name, r.case, number(r.threads or core.threads(), "%d"), number(r.seconds, "%.6g"), number(r.peak_mb, "%.0f"),
    number(r.quality, "%.5g"), r.peer or "", number(r.peer_seconds, "%.6g"), number(ratio, "%.2f"), number(r.limit_ratio, "%.2f") }
  local text = { ("%-10s %-44s %st"):format(line[1], line[2], line[3]) }
  if r.seconds then text[#text + 1] = ("%10s s"):format(line[4]) end
  if r.peer then text[#text + 1] = ("%s %s s, ratio %s"):format(r.peer, line[8], line[9]) end
  if r.limit_ratio then text[#text + 1] = ("limit x%s"):format(line[10]) end
  if r.quality then text[#text + 1] = ("quality %s"):format(line[6]) end
  if r.peak_mb then text[#text + 1] = ("peak %s MB"):format(line[5]) end
  print(table.concat(text, "  "))
  io.stdout:flush()
  if not csv then return end
  for i, v in ipairs(line) do line[i] = v:find "[,\"]" and '"' .. v:gsub('"', '""') .. '"' or v end
  local out = assert(io.open(csv, "a"))
  out:write(table.concat(line, ","), "\n")
  out:close()
end

M.header = table.concat(columns, ",")
return M
