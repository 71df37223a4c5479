-- Reading and writing .h5ad against anndata, and reading against its own limit: libdeflate alone, in the same run.
-- usage: [OMP_NUM_THREADS=n] build/dynamo tests/bench/bench_io.lua [cells genes]   (100000 5000: 48 million values, 108 MB)
-- The file is made once, by the peer, in $TMPDIR/dynamo_bench; quality is a peak over the size of the matrix. The peer inflates
-- on one thread, anndata reads on one: with more threads, ratios and limits are against that one thread.
package.path = "tests/bench/?.lua;lua/?.lua;lua/?/init.lua;" .. package.path
local core = require "dynamo.core"
local bench = require "frame"

local cells, genes = tonumber((arg or {})[1] or 100000), tonumber((arg or {})[2] or 5000)
local folder = (os.getenv "TMPDIR" or "/tmp") .. "/dynamo_bench"
local peer = bench.peer("tests/bench/peer_io.py", ("%s %d %d"):format(folder, cells, genes), 1)

local function once(path)
  local f = core.h5_open(path)
  local x = f:matrix()
  f:close()
  return x
end

local function read(case, name)
  local path = ("%s/%s_%dx%d.h5ad"):format(folder, name, cells, genes)
  local x = once(path)
  local bytes = 8 * x:nnz()
  x:close()
  local peak = bench.peak_mb() -- of one matrix at a time: each is closed before the next is read
  local seconds = bench.median(function() once(path):close() end, { warm = false })
  local own = (peer["libdeflate alone " .. name] or {}).seconds
  bench.row { name = "io", case = case, seconds = seconds, peer = "anndata", peer_seconds = (peer["read " .. name] or {}).seconds,
    limit_ratio = own and seconds / own, peak_mb = peak, quality = peak * 2 ^ 20 / bytes }
end

local size = (" %dx%d"):format(cells, genes)
local gzip = ("%s/gzip_%dx%d.h5ad"):format(folder, cells, genes)
read("read CSR gzip" .. size, "gzip")
read("read CSR lzf" .. size, "lzf")
read("read CSR plain" .. size, "none")

-- What the child process before data.read costs; quality: over the time of reading.
local probe = bench.median(function() core.h5_probe(gzip, { cell_names = false }) end)
local whole = bench.median(function() once(gzip):close() end)
bench.row { name = "io", case = "probe gzip" .. size, seconds = probe, quality = probe / whole }

local x = once(gzip)
local names = { obs = {}, var = {} }
for i = 1, cells do names.obs[i] = "cell" .. i end
for i = 1, genes do names.var[i] = "gene" .. i end
local path = folder .. "/ours.h5ad"
local function write() core.h5ad_write(path, { x = x, obs_names = names.obs, var_names = names.var, obs = {}, var = {} }) end
write()
local f = assert(io.open(path))
local mb = f:seek "end" / 1e6
f:close()
bench.row { name = "io", case = "write CSR gzip" .. size, seconds = bench.median(write, { runs = 3, warm = false }), peer = "anndata",
  peer_seconds = (peer["write gzip"] or {}).seconds, quality = mb / ((peer["size gzip"] or {}).quality or mb) }
x:close()
bench.row { name = "io", case = "read our own file" .. size, peer = "anndata",
  seconds = bench.median(function() once(path):close() end, { warm = false }), peer_seconds = (peer["read gzip"] or {}).seconds }
os.remove(path)
