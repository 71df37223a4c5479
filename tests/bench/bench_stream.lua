-- A file larger than memory is meant to be, through one epoch of training: 1,000,000 cells x 5,000 genes, 5 % of them not zero.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_stream.lua [FILE]
-- FILE is made by tests/bench/make_large.py (here: $TMPDIR/dynamo_bench/large.h5ad, 0.5 GB, if it is not there). quality is the share
-- of the time that the trainer waited for cells; peak_mb must stay below 2048.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local dynamo = require "dynamo"
local bench = require "frame"

local path = (arg or {})[1]
if not path then
  local folder = (os.getenv "TMPDIR" or "/tmp") .. "/dynamo_bench"
  path = folder .. "/large.h5ad"
  local there = io.open(path)
  if there then
    there:close()
  else
    os.execute(("mkdir -p '%s' && %s tests/bench/make_large.py '%s'"):format(folder, os.getenv "PYTHON" or "/usr/bin/python3", path))
  end
end

local start = core.time()
local D = dynamo.data.read(path, { stream = true })
bench.row { name = "stream", case = "open " .. tostring(D.x):gsub(",.*", ")"), seconds = core.time() - start, peak_mb = bench.peak_mb() }

local function part(case, f)
  local before, begin = D.x:cost(), core.time()
  local result = f()
  local took, after = core.time() - begin, D.x:cost()
  bench.row { name = "stream", case = case, seconds = took, quality = (after.waited - before.waited) / took, peak_mb = bench.peak_mb() }
  return result
end

local R = part("responses, one pass", function() return D:responses() end)
local train, test = {}, {}
for i = 1, #R.rows do
  local list = i % 10 == 0 and test or train
  list[#list + 1] = i
end

-- One epoch over cells: each in a shuffled pass is lifted to 64 latents, and the lift takes a step towards what explains them
-- (Oja's rule with orthonormal columns: the streamed principal components), so that the step needs the cells it waited for.
part("one epoch over all cells, shuffled", function()
  local W = core.randn(1, D.x:size(2), 64) / 70
  D.x:each(function(x)
    local z = x:matmul(W)
    W = core.qr(W + x:tmatmul(z) / (x:size(1) * 10))
  end, { shuffle = 1 })
end)

-- What an experiment does: operators on the mean responses, and the states of cells for the energy distance.
part("koopman model, one epoch", function()
  local embedding = dynamo.embed.random { dim = 64 }:build { genes = R.genes, seed = 1 }
  return dynamo.model.koopman { epochs = 1 }:fit { responses = R, train = train, validate = {}, embedding = embedding, seed = 1 }
end)
