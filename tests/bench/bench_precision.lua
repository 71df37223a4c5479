-- What training in bfloat16 costs in accuracy: example 02 (one seed) in float and in bf16; Pearson Delta per cell line, and
-- its change, which is the quality of the rows "change, ...". A reader of the table wants them within .005.
-- usage: build/dynamo tests/bench/bench_precision.lua [folder of data]; nothing without the data or a processor that can
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"
local experiment = require "dynamo.experiment"

local data = (arg or {})[1] or os.getenv "DYNAMO_TEST_DATA" or "../shared/data"
local f = io.open(data .. "/responses/replogle_ranks.h5ad")
if f then f:close() end
if not f or not core.bf16() then
  print(f and "# skip precision: no AVX512-BF16" or "# skip precision: no " .. data)
  return
end

local lines, key = { "K562", "RPE1" }, "pearson@control/all"
local found = {}
for _, precision in ipairs { "float", "bf16" } do
  local exp = experiment.load_file("examples/02_replogle_zero_shot.lua", { "data=" .. data, "seeds=1",
    "train.precision=" .. precision })[1]
  exp.options.check = nil -- of the means of five seeds
  local results = exp:run { quiet = true, write = false, silent = true }
  found[precision] = {}
  for _, line in ipairs(lines) do
    local r = results:summary(results:main(), key, line).mean
    found[precision][line] = r
    bench.row { name = "precision", case = ("example 02, %s, %s"):format(precision, line), seconds = results.seconds, quality = r }
  end
end
for _, line in ipairs(lines) do
  bench.row { name = "precision", case = "change, bf16 - float, " .. line, quality = found.bf16[line] - found.float[line] }
end
