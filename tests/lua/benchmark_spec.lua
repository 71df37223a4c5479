local benchmark = require "dynamo.benchmark"
local core = require "dynamo.core"
local cost = require "dynamo.cost"
local protocols = require "dynamo.protocols"
local release = require "dynamo.release"

local folder = os.tmpname() .. ".bench"

local function options(extra)
  local o = { quick = true, silent = true, quiet = true, out = folder, protocols = { "P1", "P2", "P3" }, peers = false,
    simulation = { genes = 60, perturbed = 16, doubles = 8, cells = 900, lines = 1 }, train = { epochs = 2 } }
  for k, v in pairs(extra or {}) do o[k] = v end
  return o
end

local function text(path)
  local f = assert(io.open(path))
  local s = f:read "*a"
  f:close()
  return s
end

local function remove(path)
  for _, name in ipairs(core.listdir(path)) do
    local p = path .. "/" .. name
    if core.stat(p).type == "directory" then remove(p) else core.remove(p) end
  end
  core.remove(path)
end

test("benchmark: tables without an unexplained cell, and reasons where a protocol does not apply", function()
  local r = benchmark.main(options())
  local ids = {}
  for i, c in ipairs(r.cells) do ids[i] = c.id end
  assert(table.concat(ids, " ") == "P1-simulation P2-simulation P3-simulation-seen P3-simulation-unseen", table.concat(ids, " "))
  assert(r.cells[2].reason == "the data has one cell line")
  local csv, n = text(folder .. "/benchmark.csv"), 0
  assert(csv:match "^[^\n]*" == table.concat(release.columns, ","))
  for line in csv:gmatch "\nP%d,([^\n]+)" do
    local value, reason = line:match "^[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,[^,]*,([^,]*),.*,([^,]*)$"
    assert(value ~= "" or reason ~= "", line)
    n = n + 1
  end
  assert(n > 100, n)
  for _, name in ipairs { "koopman", "mlp", "mean", "no_change", "additive", "matching_mean", "linear", "knn", "ridge", "kernel_ridge" } do
    assert(csv:find("," .. name .. ",", 1, true), name)
  end
  local md, tex = text(folder .. "/benchmark.md"), text(folder .. "/benchmark.tex")
  assert(md:find("## P2: " .. protocols.questions.P2, 1, true) and md:find("No table: the data has one cell line.", 1, true))
  assert(md:find "\n| koopman | node2vec | ")
  assert(select(2, tex:gsub("\\begin{tabular}", "")) == select(2, tex:gsub("\\end{tabular}", "")))
  assert(text(folder .. "/benchmark.html"):find("<h1>Benchmark of dynamo", 1, true))
end)

test("benchmark: a finished cell is kept, a changed option runs it again", function()
  local path = folder .. "/P1-simulation/cell.json"
  local before = text(path)
  core.write_file(folder .. "/P1-simulation/manifest.json", "marked")
  benchmark.main(options())
  assert(text(folder .. "/P1-simulation/manifest.json") == "marked", "the cell ran again")
  benchmark.main(options { protocols = { "P1" }, train = { epochs = 3 } })
  assert(text(folder .. "/P1-simulation/manifest.json") ~= "marked", "the cell did not run again")
  local function sans_costs(s) return (s:gsub('"seconds":%s*[%d.e+-]+,?%s*', ""):gsub('"peak":%s*[%d.e+-]+,?%s*', "")) end
  benchmark.main(options { protocols = { "P1" }, fresh = true })
  assert(sans_costs(text(path)) == sans_costs(before), "the same options gave other results")
  core.write_file(path, "{ broken")
  benchmark.main(options { protocols = { "P1" } })
  assert(sans_costs(text(path)) == sans_costs(before))
end)

test("benchmark: P2, P4 and P5 of two lines", function()
  remove(folder)
  local sim = { genes = 60, perturbed = 16, doubles = 4, cells = 1200, lines = 2 }
  local r = benchmark.main(options { protocols = { "P2", "P4", "P5" }, simulation = sim, contexts = { "line_b" } })
  local cells = {}
  for _, c in ipairs(r.cells) do cells[c.id] = c end
  assert(cells["P2-simulation-line_b"] and not cells["P2-simulation-line_a"])
  local t = release.tables(cells["P4-simulation"])
  assert(#t == 4 and t[1].columns[2] == "embedding", #t)
  local found = {}
  for _, row in ipairs(t[1].rows) do found[row[2]] = true end
  for _, name in ipairs { "node2vec", "spectral", "permuted:node2vec", "rewired:node2vec", "random" } do assert(found[name], name) end
  found = {}
  for _, row in ipairs(release.tables(cells["P5-simulation"])[1].rows) do found[row[1]] = true end
  assert(found["koopman rank=0"] and found["koopman learnable=false"] and found.mlp)
  assert(release.text(r.cells):find "P2%-simulation%-line_b +line_b")
end)

test("benchmark: what cannot be read or fitted is said, and the rest goes on", function()
  raises("no such file", benchmark.main, options { data = { folder .. "/none.h5ad" } })
  raises("benchmark: option 'protocols'", benchmark.main, options { protocols = { "P9" } })
  raises("rank", benchmark.main, options { protocols = { "P1" }, model = { rank = -1 } })
  local _, e = pcall(benchmark.main, options { protocols = { "P1", "P3" }, train = { lr = 1e300 } })
  local said = tostring(e)
  assert(said:find("benchmark: ", 1, true) and said:find("cells failed: P1-simulation", 1, true), said)
  assert(text(folder .. "/benchmark.md"):find("No table: failed: ", 1, true))
end)

test("benchmark: words of the command line", function()
  local o = benchmark.parse { "p1", "P3", "data=a.h5ad,b.h5ad", "seeds=1..3", "train.epochs=4", "model.rank=2", "simulation.genes=50" }
  assert(table.concat(o.protocols, " ") == "P1 P3" and table.concat(o.data, " ") == "a.h5ad b.h5ad")
  assert(#o.seeds == 3 and o.train.epochs == 4 and o.model.rank == 2 and o.simulation.genes == 50 and o.graph == nil)
  raises("P9", benchmark.parse, { "P9" })
  raises("did you mean 'seeds'", benchmark.parse, { "seed=1" })
  raises("did you mean 'epochs'", benchmark.parse, { "train.epoch=1" })
end)

test("benchmark: what work costs", function()
  local stop = cost.start()
  local t = core.full(1, 4000, 1000, "double")
  local seconds, peak = stop()
  assert(seconds >= 0 and seconds < 60 and t:count() == 4e6)
  if peak then assert(peak > 20e6 and peak < 2e9, peak) end
  local highest = cost.peak()
  t:close()
  cost.start()()
  assert(cost.peak() >= highest, "a measurement forgot the peak of the process")
  remove(folder)
end)
