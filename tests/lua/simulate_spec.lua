local core = require "dynamo.core"
local simulate = require "dynamo.simulate"
local options = require "dynamo.options"

local small = { genes = 150, perturbed = 24, doubles = 8, cells = 2000 }
local function with(t, more)
  local out = {}
  for k, v in pairs(t) do out[k] = v end
  for k, v in pairs(more) do out[k] = v end
  return out
end

-- Mean log1p expression per condition of line l; `half` 1 or 2: of every other cell.
local function means(sim, l, half)
  local group, turn = {}, {}
  for k, c in ipairs(sim.cells.condition) do
    turn[c] = (turn[c] or 0) + 1
    local use = sim.cells.line[k] == l and (not half or turn[c] % 2 == half - 1)
    group[k] = use and c or 0
  end
  return sim.cells.x:group_means(group, #sim.conditions)
end

-- Changes against control, rows as conditions 2 .. n.
local function changes(m) return m:narrow(1, 2, -1) - m:narrow(1, 1, 1) end

local function average(t, n)
  local sum = 0
  for i = 1, n or t:size(1) do sum = sum + t:get(i) end
  return sum / (n or t:size(1))
end

test("simulate: labels, cells and networks agree with each other", function()
  local sim = simulate.run(small)
  assert(#sim.genes == 150 and #sim.conditions == 33 and #sim.lines == 2)
  assert(sim.conditions[1] == "control" and #sim.targets[1] == 0)
  local single = {}
  for c = 2, 25 do
    single[sim.conditions[c]] = true
    assert(#sim.targets[c] == 1 and not sim.conditions[c]:find "[+_ ]")
  end
  for c = 26, 33 do
    local a, b = sim.conditions[c]:match "^([^+]+)%+([^+]+)$"
    assert(single[a] and single[b] and a < b)
  end
  local n, g = sim.cells.x:size()
  assert(n == 2000 and g == 150 and sim.cells.counts:size(1) == 2000)
  assert(#sim.cells.perturbation == 2000 and #sim.cells.context == 2000 and sim.cells.context[2000] == "line_b")
  local counts, x = sim.cells.counts:row_sums(), sim.cells.x
  for _, k in ipairs { 1, 700, 2000 } do
    local cols, values = sim.cells.counts:row(k)
    near(x:get(k, cols[1]), math.log(1 + 1e4 * values[1] / counts:get(k)), 1e-6)
  end
  local true_edges = {}
  for k, from in ipairs(sim.network.from) do
    assert(sim.genes[from]:match "^TF%d+$")
    true_edges[from .. " " .. sim.network.to[k]] = true
  end
  local kept = 0
  for k, from in ipairs(sim.known.from) do
    if true_edges[from .. " " .. sim.known.to[k]] then kept = kept + 1 end
  end
  near(kept / #sim.network.from, 0.8, 0.01)
  near((#sim.known.from - kept) / #sim.network.from, 0.2, 0.01)
  assert(tostring(sim):find("Simulation: 150 genes", 1, true) and tostring(sim):find("2,000 cells", 1, true))
end)

test("simulate: the same seed gives the same cells for any number of threads, another seed others", function()
  local threads = core.threads()
  core.threads(1)
  local a = simulate.run(small)
  core.threads(2)
  local b, c = simulate(small), simulate.run(with(small, { seed = 2 }))
  core.threads(threads)
  for _, key in ipairs { "x", "counts" } do
    local p, q = a.cells[key]:col_sums(), b.cells[key]:col_sums()
    assert(a.cells[key]:nnz() == b.cells[key]:nnz() and core.mse_rows(p:reshape(1, -1), q:reshape(1, -1)):get(1) == 0)
  end
  assert(table.concat(a.cells.perturbation) == table.concat(b.cells.perturbation))
  assert(a.cells.counts:nnz() ~= c.cells.counts:nnz())
  assert(table.concat(a.network.to, " ") ~= table.concat(c.network.to, " "))
end)

test("simulate: depth and dropout are as set", function()
  local function controls(opts)
    local sim = simulate.run(with(small, opts))
    local counts, sum, n = sim.cells.counts:row_sums(), 0, 0
    for k, p in ipairs(sim.cells.perturbation) do
      if p == "control" then sum, n = sum + counts:get(k), n + 1 end
    end
    return sum / n, sim.cells.counts:nnz()
  end
  local mean, some = controls { depth = 300, dropout = 0 }
  near(mean, 300, 0.06)
  local _, few = controls { depth = 300, dropout = 0.9 }
  assert(few < 0.8 * some)
end)

-- ---- how real it looks ----------------------------------------------------

-- Pearson of the mean change of the other genes' knock-downs, four folds.
local function train_mean(delta, own, n)
  local order, sum = core.permutation(n, 1, "folds"), 0
  for fold = 1, 4 do
    local train, test, skip = {}, {}, {}
    for k, i in ipairs(order) do
      if k % 4 == fold - 1 then
        test[#test + 1], skip[#skip + 1] = i, { own[i] }
      else
        train[#train + 1] = i
      end
    end
    local mean = delta:index(1, train):mean(1)
    local pred = core.tensor(test, "double"):reshape(-1, 1) * 0 + mean:reshape(1, -1)
    local r = core.pearson_rows(pred, delta:index(1, test), { exclude = skip })
    for i = 1, #test do sum = sum + r:get(i) end
  end
  return sum / n
end

-- The correlation two halves of the cells have, and what it says about the whole (Spearman-Brown).
local function ceiling(sim, l, n)
  local r = core.pearson_rows(changes(means(sim, l, 1)):narrow(1, 1, n), changes(means(sim, l, 2)):narrow(1, 1, n))
  local sum = 0
  for i = 1, n do sum = sum + 2 * r:get(i) / (1 + r:get(i)) end
  return average(r), sum / n
end

-- Median cosine of doubles with the sum of their singles.
local function additive(sim, delta, n)
  local row, a, b, values = {}, {}, {}, {}
  for c = 2, n + 1 do row[sim.targets[c][1]] = c - 1 end
  for c = n + 2, #sim.targets do
    a[#a + 1], b[#b + 1] = row[sim.targets[c][1]], row[sim.targets[c][2]]
  end
  local sum = delta:index(1, a) + delta:index(1, b)
  local r = core.cosine_rows(sum, delta:narrow(1, n + 1, -1))
  for i = 1, #a do values[i] = r:get(i) end
  table.sort(values)
  return values[math.floor(#values / 2) + 1]
end

-- Mean change of direct active targets of activating and of repressing edges, and of the knocked-down genes.
local function direct(sim, delta, l, n)
  local row, sums, counts, own = {}, { [1] = 0, [-1] = 0 }, { [1] = 0, [-1] = 0 }, 0
  for c = 2, n + 1 do
    row[sim.targets[c][1]] = c - 1
    local x = delta:get(c - 1, sim.targets[c][1])
    own = own + x / n
    assert(x < 0, "knock-down raises " .. sim.conditions[c])
  end
  for k, from in ipairs(sim.network.from) do
    if row[from] and sim.network.active:get(l, k) == 1 then
      local s = sim.network.sign[k]
      sums[s], counts[s] = sums[s] + delta:get(row[from], sim.network.to[k]), counts[s] + 1
    end
  end
  return own, sums[1] / counts[1], sums[-1] / counts[-1]
end

test("simulate: with the defaults it looks like a Perturb-seq screen", function()
  local start = core.time()
  local sim = simulate.run()
  local seconds, n, own = core.time() - start, sim.options.perturbed, {}
  for i = 1, n do own[i] = sim.targets[i + 1][1] end
  print(("# %s, %.1f s"):format(tostring(sim), seconds))
  print "# line    train mean  halves  ceiling  additive cosine  own gene  activated  repressed"
  for l, name in ipairs(sim.lines) do
    local delta = changes(means(sim, l))
    local halves, top = ceiling(sim, l, n)
    local base, cosine = train_mean(delta:narrow(1, 1, n), own, n), additive(sim, delta, n)
    local self, up, down = direct(sim, delta, l, n)
    local row = "# %-7s %10.3f %7.3f %8.3f %16.3f %9.2f %10.3f %10.3f"
    print(row:format(name, base, halves, top, cosine, self, up, down))
    assert(base > 0.2 and base < 0.5 and top > 0.55 and top < 0.85 and cosine > 0.8 and cosine < 0.96)
    assert(self < -0.8 and up < -0.2 and down > 0.2)
  end
  assert(seconds < 60)
end)

-- ---- options and files ----------------------------------------------------

test("simulate: options have defaults, bounds and names", function()
  local defaults = core.simulate_defaults()
  for key, rule in pairs(simulate.schema.run) do assert(key == "progress" or rule.default == defaults[key], key) end
  for key in pairs(defaults) do assert(simulate.schema.run[key], key) end
  assert(options.describe(simulate.schema.run):find("sd of the log library size", 1, true))
  raises("simulate: unknown option 'gene'; did you mean 'genes'?", simulate.run, { gene = 10 })
  raises("option 'doubles' must be an integer", simulate.run, { doubles = -1 })
  raises("151 perturbed genes of 150", simulate.run, with(small, { perturbed = 151 }))
  raises("shared 0.1 must be in active^2..active", simulate.run, with(small, { shared = 0.1 }))
  local ok, e = pcall(simulate.run, with(small, { cells = 50 }))
  assert(not ok and e.code == "EOPTION" and e.message:find "50 cells for 33 conditions")
  raises("integer expected", core.simulate_screen, { genes = 2.5 })
  raises("the name of a folder expected", simulate.write, {}, nil)
end)

test("simulate: reports progress, stops when told, survives a lack of memory", function()
  local last, total = 0, 0
  simulate.run(with(small, { progress = function(done, all) last, total = done, all end }))
  assert(total == 2000 or total == 0) -- a fast machine has nothing to report
  assert(last <= 2000)
  local tiny, n = { genes = 40, perturbed = 4, doubles = 1, cells = 100 }, 0
  local ok, e
  repeat
    core.fail_after(n)
    ok, e = pcall(core.simulate_screen, tiny)
    core.fail_after(-1)
    assert(ok or e.code == "ENOMEM", tostring(e))
    n = n + 1
  until ok
  assert(n > 50)
end)

if not core.h5ad_write then
  print "# skip writing of a simulation: this build has no core.h5ad_write"
  return
end

test("simulate.write: one file per line, both networks, a README", function()
  local folder = os.tmpname()
  os.remove(folder)
  local sim = simulate.run(small)
  local files = simulate.write(sim, folder)
  assert(#files == 5)
  local f = assert(core.h5_open(folder .. "/line_b.h5ad"))
  local n, g = f:size()
  assert(n == 1000 and g == 150 and f:names "var"[7] == sim.genes[7] and f:layers()[1] == "counts")
  local p = f:column("obs", "perturbation")
  assert(p.levels[p.codes[1]] == sim.cells.perturbation[1001])
  near(f:matrix():get(1000, 3), sim.cells.x:get(2000, 3), 0)
  near(f:matrix "counts":get(1000, 3), sim.cells.counts:get(2000, 3), 0)
  near(f:column("obs", "n_counts").values:get(5), sim.cells.counts:row_sums():get(1005), 0)
  f:close()
  local lines = 0
  for line in io.lines(folder .. "/network.tsv") do
    lines = lines + 1
    assert(line:match(lines == 1 and "^source\ttarget\tweight$" or "^TF%d+\t%u+%d+\t%-?1$"), line)
  end
  assert(lines == 1 + #sim.known.from)
  for _, path in ipairs(files) do assert(os.remove(path)) end
  os.remove(folder)
end)
