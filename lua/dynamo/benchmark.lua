--- `dynamo benchmark`: the protocols of a release on several data sets, every baseline and peer in each table.
--
--     dynamo benchmark                                            P1 to P5 on simulated data
--     dynamo benchmark P1 P3 data=norman.h5ad,k562.h5ad graph=collectri.csv sets=go.gmt seeds=1..3
--
-- A cell of it is one experiment (P1-k562) in a folder of its own; what it printed is kept in cell.json with a digest of
-- everything it was made of, and a cell whose digest is the same is not run again: an interrupted benchmark goes on where
-- it was. The tables (benchmark.md, .tex, .csv, .html) are made of these files alone, see dynamo.release.
local core = require "dynamo.core"
local data = require "dynamo.data"
local embed = require "dynamo.embed"
local err = require "dynamo.error"
local json = require "dynamo.json"
local manifest = require "dynamo.manifest"
local model = require "dynamo.model"
local options = require "dynamo.options"
local protocols = require "dynamo.protocols"
local release = require "dynamo.release"
local responses = require "dynamo.responses"

local M = { schema = {} }

-- Training and data of a size that ends within half an hour on two cores. Published lengths: GEARS 20 epochs, scGen 100, all
-- cells.
local PEERS = { gears = { epochs = 6, cells_per_perturbation = 16 }, scgen = { epochs = 20, cells_per_perturbation = 24 },
  latent_additive = { epochs = 40, cells_per_perturbation = 24 } }
local SIMULATION = { genes = 400, perturbed = 80, doubles = 30, cells = 10000 }

M.schema.main = {
  protocols = { default = protocols.names, type = "table", item = "string", values = protocols.names, help = "which of them" },
  data = { default = { "simulation" }, type = "table", item = "string",
    help = 'files of cells, profiles or responses; "simulation": made for the purpose' },
  graph = { default = {}, type = "table", item = "string", help = "networks: node2vec and spectral embeddings of each" },
  sets = { default = {}, type = "table", item = "string", help = "gene sets (GMT): the annotation embedding" },
  text = { default = {}, type = "table", item = "string", help = "tables of names and descriptions: the text embedding" },
  vectors = { default = {}, type = "table", item = "string", help = "files of vectors, such as a foundation model's" },
  contexts = { default = {}, type = "table", item = "string", help = "P2: only these cell lines are held out; default: each" },
  seeds = { default = { 1, 2, 3 }, type = "table", item = "integer", min = 0, help = "of splits and models" },
  model = { default = {}, type = "table", help = "options of the operator model: rank, members, ..." },
  train = { default = {}, type = "table", help = "options of training for every model: epochs, lr, ..." },
  peers = { default = true, help = "GEARS, scGen and the latent additive model, where the data has cells" },
  peer_options = { default = PEERS, type = "table",
    help = "options of peers by name; default: GEARS on 16 cells per perturbation for 6 epochs, scGen on 24 for 20" },
  simulation = { default = SIMULATION, type = "table",
    help = "options of dynamo.simulate; default: 400 genes, 80 of them perturbed, 30 doubles, 10,000 cells" },
  min_cells = { default = 1, type = "integer", min = 1, help = "perturbations with fewer cells are left out" },
  draws = { default = 10000, type = "integer", min = 100, help = "resamples of the bootstrap" },
  out = { default = "runs/benchmark", type = "string", help = "folder of everything that is written" },
  quick = { default = false, help = "one seed, one network per ensemble, few epochs: to see that all runs" },
  fresh = { default = false, help = "run every cell again" },
  report = { default = false, help = "also a report per cell" },
  quiet = { default = false, help = "no progress" },
  silent = { default = false, help = "print nothing at all" },
}

local QUICK = { seeds = { 1 }, train = { epochs = 10 }, model = { members = 1 }, draws = 1000,
  simulation = { genes = 200, perturbed = 40, doubles = 16, cells = 3000 },
  peer_options = { gears = { epochs = 1 }, scgen = { epochs = 3 }, latent_additive = { epochs = 3 } } }

-- ---- data sets and their embeddings --------------------------------------------------------

-- Share of the perturbed genes that an embedding's source knows; an embedding that cannot be made here counts as 0.
local function coverage(e, R)
  local ok, made = pcall(function() return e.build and e:build { genes = R:targets(), responses = R, seed = 1 } or e end)
  if not ok then
    if not err.is(made) then error(made, 0) end
    return 0, err.line(made)
  end
  return made:coverage(R:targets()).share, nil, made
end

local function stem(path) return (path:match "[^/]*$":gsub("%.gz$", ""):gsub("%.[^.]+$", ""):gsub("[^%w_.+-]", "_")) end

-- Recipes of the six strategies, as far as their sources are there.
local function strategies(o, graphs, R)
  local list = {}
  local function add(name, e) list[#list + 1] = { name = name, recipe = e } end
  if #o.sets > 0 then add("annotation", embed.annotation { sets = require("dynamo.annotation").read(o.sets), dim = 128 }) end
  for i, g in ipairs(graphs) do
    local suffix = i > 1 and i or ""
    add("node2vec" .. suffix, embed.node2vec { graph = g, dim = 128 })
    add("spectral" .. suffix, embed.spectral { graph = g, dim = math.max(1, math.min(128, g:component():nodes() - 2)) })
  end
  for i, path in ipairs(o.text) do add("text" .. (i > 1 and i or ""), embed.text { texts = path, dim = 128 }) end
  if R.cells then add("coexpression", embed.coexpression { dim = 64 }) end
  for _, path in ipairs(o.vectors) do add(stem(path), embed.read(path)) end
  return list
end

-- Embeddings that cover at least a tenth of the perturbed genes, the one that covers most first, built once.
local function embeddings(list, R, notes)
  local out = {}
  for place, e in ipairs(list) do
    local share, why, made = coverage(e.recipe, R)
    if share >= 0.1 then
      out[#out + 1] = { name = e.name, recipe = made, from = e.recipe, share = share, place = place }
    else
      notes[#notes + 1] = ("%s: left out, %s"):format(e.name, why or ("a vector for %.0f%% of the perturbed genes"):format(100 * share))
    end
  end
  table.sort(out, function(a, b)
    if math.abs(a.share - b.share) > 0.05 then return a.share > b.share end
    return a.place < b.place
  end)
  return out
end

local function simulated(o)
  local simulate, folder = require "dynamo.simulate", o.out .. "/data"
  local sim = simulate.run(o.simulation)
  simulate.write(sim, folder)
  local paths = {}
  for i, name in ipairs(sim.lines) do paths[i] = ("%s/%s.h5ad"):format(folder, name) end
  return paths, { folder .. "/network.tsv" }
end

-- Everything protocols need of a data set: see dynamo.protocols.
local function dataset(o, path)
  local own = path == "simulation"
  local paths, networks = path, o.graph
  if own then paths, networks = simulated(o) end
  local R = data.read(paths)
  if not responses.is(R) then R = R:responses { min_cells = o.min_cells } end
  local graphs, set = {}, { name = own and path or stem(path), R = R, singles = R:select(R:singles()), notes = {} }
  for i, g in ipairs(networks) do graphs[i] = require("dynamo.graph").read(g) end
  local sources = own and { sets = {}, text = {}, vectors = {} } or o
  set.embeddings = embeddings(strategies(sources, graphs, R), R, set.notes)
  if #set.embeddings == 0 then
    err.raise { code = "EVALUE", file = type(path) == "string" and path or nil, message = "no embedding has vectors for a tenth of "
      .. "the perturbed genes", hint = "give graph=, sets=, text= or vectors= that name them" }
  end
  set.graph, set.sets = graphs[1], not own and #o.sets > 0 and o.sets or nil
  set.model = model.koopman(o.model)
  set.files = type(paths) == "table" and paths or { paths }
  for _, list in ipairs { networks, sources.sets, sources.text, sources.vectors } do
    for _, f in ipairs(list) do set.files[#set.files + 1] = f end
  end
  return set
end

-- ---- cells -------------------------------------------------------------------------------------

-- What a cell is made of, as one digest: version, options, embeddings, the files' contents.
local function digest(cell, set, o, sums)
  local parts = { core.version, cell.id, cell.title }
  for _, path in ipairs(set.files) do
    sums[path] = sums[path] or core.sha256_file(path)
    parts[#parts + 1] = sums[path]
  end
  for _, key in ipairs { "seeds", "model", "train", "peers", "peer_options", "draws", "min_cells", "quick", "graph", "contexts" } do
    parts[#parts + 1] = json.encode(manifest.resolved(o[key]))
  end
  return core.sha256(table.concat(parts, "\n"))
end

local function stored(path, id)
  local f = io.open(path)
  if not f then return nil end
  local ok, t = pcall(json.decode, f:read "*a", path)
  f:close()
  return ok and type(t) == "table" and t.digest == id and t or nil
end

local function run_cell(cell, folder, o)
  local opts = { quiet = o.quiet, silent = true }
  if cell.comparison then
    local c = cell.comparison()
    c.options.out = folder
    return release.comparison(cell, c:run(opts))
  end
  local exp = cell.experiment()
  exp.options.out = folder
  return release.experiment(cell, exp:run(opts))
end

-- A cell as release.lua wants it: stored, run, or the reason why there is none.
local function result(cell, set, o, sums)
  if cell.reason then return { id = cell.id, protocol = cell.protocol, title = cell.title, set = cell.set, reason = cell.reason } end
  local folder = o.out .. "/" .. cell.id
  local path, id = folder .. "/cell.json", digest(cell, set, o, sums)
  local known = not o.fresh and stored(path, id)
  if known then return known, "kept" end
  local ok, r = pcall(run_cell, cell, folder, o)
  collectgarbage()
  if not ok then
    if not err.is(r) or err.is(r, "ECANCEL") then error(r, 0) end
    return { id = cell.id, protocol = cell.protocol, title = cell.title, set = cell.set, reason = "failed: " .. err.line(r),
      failed = true }
  end
  r.digest = id
  core.write_file(path, json.encode(r, { indent = true }) .. "\n")
  return r
end

local function with_quick(o, given)
  if not o.quick then return end
  for key, value in pairs(QUICK) do
    if given[key] == nil then o[key] = value end
  end
end

local function plan(o, say)
  local list = {}
  for _, path in ipairs(o.data) do
    local set = dataset(o, path)
    say(("%s: %s"):format(set.name, tostring(set.R)))
    for _, n in ipairs(set.notes) do say("  " .. n) end
    for _, name in ipairs(o.protocols) do
      for _, cell in ipairs(protocols.cells(name, set, o)) do list[#list + 1] = { cell = cell, set = set } end
    end
  end
  return list
end

--- Run the protocols, write the tables of a release into `out`: benchmark.md, benchmark.tex, benchmark.csv, benchmark.html and
--- a folder per cell. Raises EOPTION, what reading raises; a cell that fails is named in the tables and at the end (EVALUE).
---@param opts? table  see dynamo.benchmark.schema.main
---@return table release  { cells, files }
function M.main(opts)
  local o = options.check("benchmark", opts, M.schema.main)
  with_quick(o, opts or {})
  local allowed = {}
  for _, c in ipairs(o.contexts) do allowed[c] = true end
  o.contexts = #o.contexts > 0 and allowed or {}
  local say = o.silent and function() end or function(text)
    io.write(text, "\n")
    io.stdout:flush()
  end
  core.mkdir(o.out)
  local started, cells, sums, failed = core.time(), {}, {}, {}
  for _, job in ipairs(plan(o, say)) do
    local t = core.time()
    local r, how = result(job.cell, job.set, o, sums)
    cells[#cells + 1] = r
    say(("%-28s %s"):format(r.id, r.reason or how or ("%.0f s"):format(core.time() - t)))
    if r.failed then failed[#failed + 1] = r.id end
  end
  local files = release.write(o.out, cells, { seconds = core.time() - started })
  say(release.text(cells))
  say(("%.0f s, wrote %s"):format(core.time() - started, table.concat(files, ", ")))
  if #failed > 0 then
    err.raise { code = "EVALUE", message = ("benchmark: %d of %d cells failed: %s"):format(#failed, #cells, table.concat(failed, ", ")),
      hint = "the tables name the reasons" }
  end
  return { cells = cells, files = files }
end

-- ---- the command -----------------------------------------------------------------------------

local LISTS = { data = true, graph = true, sets = true, text = true, vectors = true, contexts = true }

--- What the words of `dynamo benchmark` mean: protocols and key=value. Raises EUSAGE with the nearest name.
---@param words string[]
---@return table options
function M.parse(words)
  local o, rest = {}, {}
  for _, w in ipairs(words) do
    local key, value = w:match "^(%w+)=(.*)$"
    if w:match "^[Pp]%d+$" then
      o.protocols = o.protocols or {}
      table.insert(o.protocols, w:upper())
    elseif LISTS[key] then
      o[key] = o[key] or {}
      for part in value:gmatch "[^,]+" do table.insert(o[key], part) end
    else
      rest[#rest + 1] = w
    end
  end
  local ok, e = pcall(function()
    local override = require "dynamo.override"
    local allowed = {}
    for k, v in pairs(M.schema.main) do allowed[k] = v end
    allowed.model, allowed.train = model.schema.koopman, model.schema.koopman
    allowed.simulation = require("dynamo.simulate").schema.run
    for _, k in ipairs { "model", "train", "simulation" } do o[k] = {} end
    override.apply(o, override.parse(rest), allowed)
    for _, k in ipairs { "model", "train", "simulation" } do
      if not next(o[k]) then o[k] = nil end
    end
    options.check("benchmark", o, M.schema.main)
  end)
  if ok then return o end
  if err.is(e, "EOPTION") then e = err.new { code = "EUSAGE", message = e.message, hint = e.hint } end
  error(e, 0)
end

return setmetatable(M, { __call = function(_, opts) return M.main(opts) end })
