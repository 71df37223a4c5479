-- Tensors against NumPy on the same cores, in the same run.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_tensor.lua [sizes]; NumPy through PYTHON (/usr/bin/python3).
-- gemm's peer is NumPy's own BLAS call, which is OpenBLAS where NumPy is Debian's. limit: seconds over the time that the
-- least traffic (operands once, result once) takes at the rate of the better of copying and of adding in place at that size.
-- 1e8 numbers (float) need 3 GB; sorting them is left out.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"

local sizes = (arg or {})[1] or "1e3,1e6,1e8"
local peer = bench.peer("tests/bench/peer_tensor.py", sizes)

local LARGE = 1e7 -- beyond the caches: limits, fewer runs, float only

-- o: seconds to measure, bytes and rate of memory for the limit
local function report(name, n, f, o)
  local case = ("%s n=%d"):format(name, n)
  local seconds = bench.median(f, { runs = n > LARGE and 5 or 7, least = (o and o.seconds or 0.1) / 7 })
  bench.row { name = "tensor", case = case, seconds = seconds, peer = "numpy", peer_seconds = (peer[case] or {}).seconds,
    limit_ratio = o and o.rate and seconds * o.rate / o.bytes }
end

-- Bytes a second that copying and adding in place reach.
local function bandwidth(a, b)
  local n, size = a:count(), a:type() == "float" and 4 or 8
  local y = a:clone()
  local copy = 2 * n * size / bench.median(function() y:copy_(b) end)
  local add = 3 * n * size / bench.median(function() y:add_(b) end)
  y:close()
  print(("# n=%d: copy %.1f GB/s, add in place %.1f GB/s"):format(n, copy / 1e9, add / 1e9))
  return math.max(copy, add)
end

-- Traffic of an operation in units of its operand, and what is left out for large ones.
local traffic = { add = 3, exp = 2, tanh = 2, add_row = 2, sum = 1, sum_rows = 1, sum_cols = 1, var = 1, max = 1, argmax = 1, max_cols = 1,
  std_cols = 1 }
local slow = { sort = true, argsort = true, median = true }

for _, kind in ipairs { "float", "double" } do
  for text in sizes:gmatch "[^,]+" do
    local n = math.floor(tonumber(text))
    if n > LARGE and kind == "double" then break end
    local a, b = core.randn(1, n, kind), core.randn(2, n, kind)
    local m, row = a:rows(1, n - n % 100):reshape(-1, 100), b:rows(1, 100):clone()
    local idx = core.randperm(3, n)
    local cases = {
      { "add", function() return a + b end }, { "exp", function() return a:exp() end },
      { "tanh", function() return a:tanh() end }, { "sqrt", function() return a:abs():sqrt() end },
      { "add_row", function() return m + row end }, { "where", function() return core.where(a:gt(0), a, b) end },
      { "sum", function() return a:sum() end }, { "sum_rows", function() return m:sum(2) end },
      { "sum_cols", function() return m:sum(1) end }, { "var", function() return a:var() end },
      { "max", function() return a:max() end }, { "argmax", function() return a:argmax() end },
      { "max_cols", function() return m:max(1) end }, { "std_cols", function() return m:std(1) end },
      { "cumsum", function() return a:cumsum() end }, { "sort", function() return a:sorted() end },
      { "argsort", function() return a:sort() end }, { "median", function() return a:median() end },
      { "gather", function() return a:gather(1, idx) end },
    }
    local rate = n > LARGE and bandwidth(a, b)
    for _, c in ipairs(cases) do
      local bytes = traffic[c[1]] and traffic[c[1]] * n * (kind == "float" and 4 or 8)
      if not (n > LARGE and slow[c[1]]) then report(c[1] .. "_" .. kind, n, c[2], { bytes = bytes, rate = bytes and rate }) end
    end
  end
  for _, n in ipairs { 256, 1024, 2048, 4096 } do
    local a, b = core.randn(1, n, n, kind), core.randn(2, n, n, kind)
    report("gemm_" .. kind, n, function() return a:matmul(b) end, { seconds = 0.5 })
  end
end
-- Small tensors: nanoseconds are what the script pays per operation.
local one, two = core.tensor { 1 }, core.tensor { 2 }
report("small_add_float", 1, function() for _ = 1, 1000 do local _ = one + two end end)
