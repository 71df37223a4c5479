-- Tensors against NumPy on the same cores, in the same run.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_tensor.lua [sizes]; NumPy through PYTHON (/usr/bin/python3).
-- gemm's peer is NumPy's own BLAS call, which is OpenBLAS where NumPy is Debian's.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"

local sizes = (arg or {})[1] or "1e3,1e6,1e7"
local peer = bench.peer("tests/bench/peer_tensor.py", sizes)

local function report(name, n, f, seconds)
  local case = ("%s n=%d"):format(name, n)
  bench.row { name = "tensor", case = case, seconds = bench.median(f, { runs = 7, least = (seconds or 0.1) / 7 }), peer = "numpy",
    peer_seconds = (peer[case] or {}).seconds }
end

for _, kind in ipairs { "float", "double" } do
  for text in sizes:gmatch "[^,]+" do
    local n = math.floor(tonumber(text))
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
    for _, c in ipairs(cases) do
      if not (n > 2e6 and c[1] == "argsort") then report(c[1] .. "_" .. kind, n, c[2]) end
    end
  end
  for _, n in ipairs { 256, 1024, 2048 } do
    local a, b = core.randn(1, n, n, kind), core.randn(2, n, n, kind)
    report("gemm_" .. kind, n, function() return a:matmul(b) end, 0.5)
  end
end
local one, two = core.tensor { 1 }, core.tensor { 2 }
report("small_add_float", 1, function() for _ = 1, 1000 do local _ = one + two end end)
