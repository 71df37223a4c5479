--- A Perturb-seq screen whose truth is known: what the demo and the tests run on.
--
--     local sim = dynamo.simulate { genes = 500, perturbed = 100, cells = 8000, seed = 3 }
--     dynamo.simulate.write(sim, "screen")   -- line_a.h5ad, line_b.h5ad, network.tsv, network_true.tsv
--
-- A signed, directed, scale-free network with modules and families of regulators; Hill regulation with Langevin noise
-- in cell lines that share the network but not all of its active edges and not the basal rates; knock-downs as clamped
-- production; a stress response shared by many knock-downs, and one program per module; negative binomial counts.
-- After GeneNetWeaver (Schaffter, Marbach and Floreano, Bioinformatics 27, 2011) and SERGIO (Dibaeinia and Sinha,
-- Cell Systems 11, 2020). The same options give the same bytes for any number of threads.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local progress = require "dynamo.progress"

local M = {}

local d = core.simulate_defaults()

local function whole(key, min, max, help)
  return { default = d[key], type = "integer", min = min, max = max, help = help }
end
local function real(key, min, max, help)
  return { default = d[key], type = "number", min = min, max = max, help = help }
end

M.schema = {
  run = {
    genes = whole("genes", 10, 1000000, "genes of the network"),
    perturbed = whole("perturbed", 1, 1000000, "genes knocked down one at a time, in every line"),
    doubles = whole("doubles", 0, 1000000, "pairs of these genes knocked down together"),
    lines = whole("lines", 1, 64, "cell lines"),
    cells = whole("cells", 1, 100000000, "cells of all lines together"),
    seed = whole("seed", 0, 2 ^ 53, "seed of everything"),
    regulators = real("regulators", 0.001, 1, "share of the genes that regulate others"),
    degree = real("degree", 1, 10, "mean number of regulators of a gene that regulates nothing"),
    repressors = real("repressors", 0, 1, "share of the regulators that mostly repress"),
    cross = real("cross", 0, 1, "weight of a regulator from another module; 1: no modules"),
    strength = real("strength", 0, 100, "median weight of an edge"),
    active = real("active", 0.01, 1, "share of the edges that work in a line"),
    shared = real("shared", 0, 1, "share of the edges that work in both of two lines; active^2..active"),
    control = real("control", 0.01, 0.5, "share of control cells"),
    residual_low = real("residual_low", 0, 1, "production left by the strongest knock-down"),
    residual_high = real("residual_high", 0, 1, "production left by the weakest"),
    difference = real("difference", 0, 2, "between lines: sd of the log of a gene's level"),
    stress = real("stress", 0, 100, "alarm about lost essential genes, answered alike by all cells"),
    pathways = real("pathways", 0, 100, "alarm about losses in a module, answered by a program of its own"),
    noise = real("noise", 0, 2, "intrinsic: coefficient of variation of a typical gene"),
    extrinsic = real("extrinsic", 0, 2, "sd of log production per cell, and per cell and module"),
    depth = real("depth", 1, 1e7, "mean counts of a control cell"),
    depth_sd = real("depth_sd", 0, 3, "sd of the log library size"),
    dispersion = real("dispersion", 0, 10, "of the counts: variance mu + dispersion mu^2"),
    dropout = real("dropout", 0, 1, "chance to lose a gene at vanishing expression"),
    missing = real("missing", 0, 1, "share of the true edges that the known network lacks"),
    added = real("added", 0, 10, "false edges of the known network per true one"),
    progress = { type = "function", help = "called with the cells done and all cells" },
  },
}

local Simulation = {}
Simulation.__index = Simulation

local function thousands(n)
  local s = ("%d"):format(n)
  return (s:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

function Simulation:__tostring()
  local o = self.options
  return ("Simulation: %s genes, %s edges, %d line%s, %s cells, %d genes perturbed, %d doubles, seed %d"):format(
    thousands(#self.genes), thousands(#self.network.from), #self.lines, #self.lines == 1 and "" or "s",
    thousands(o.cells), o.perturbed, o.doubles, o.seed)
end

-- "control", "A", "A+B": one per condition.
local function labels(genes, targets)
  local out = {}
  for c, ids in ipairs(targets) do
    local names = {}
    for j, id in ipairs(ids) do names[j] = genes[id] end
    table.sort(names)
    out[c] = #names == 0 and "control" or table.concat(names, "+")
  end
  return out
end

-- line_a, line_b, ... line_z, line_27, ...
local function line_names(n)
  local out = {}
  for l = 1, n do out[l] = "line_" .. (l <= 26 and string.char(96 + l) or tostring(l)) end
  return out
end

local function look_up(ids, names)
  local out = {}
  for k, id in ipairs(ids) do out[k] = names[id] end
  return out
end

local function screen(o)
  local given = {}
  for k, v in pairs(o) do if k ~= "progress" then given[k] = v end end
  local ok, raw = pcall(core.simulate_screen, given, o.progress)
  if ok then return raw end
  if type(raw) == "string" then err.raise { code = "EOPTION", message = raw } end
  error(raw, 0)
end

--- Simulate a screen. About 5 s and 300 MB with the defaults; see `simulate.schema.run` for all options.
---
--- The result has
---   genes         names; "TF0012" regulates others, "G0345" does not
---   conditions    "control", then singles "A", then doubles "A+B" (both A and B are among the singles)
---   targets       per condition the ids of its genes, from 1
---   lines         names of the cell lines
---   network       from, to (ids), sign (1, -1), hill (lists); strength, threshold: Tensor (edges); active: Tensor
---                 (lines, edges) of 0 and 1. A threshold is relative to the regulator's typical level
---   known         from, to, sign of the network as a curator knows it: edges missing, false edges added
---   cells         x: Sparse (cells, genes), log1p of counts per 10,000; counts: Sparse; perturbation, context:
---                 lists of labels; condition, line: lists of ids. Cells of a line are neighbours
---   truth         expression: Tensor (lines * conditions, genes), molecules without noise, row
---                 (l - 1) * conditions + c; alarms: Tensor (lines * conditions, 1 + modules), 0..1: stress, then pathways; level, residual,
---                 essential: Tensor (genes); basal: Tensor (lines, genes); module: list
---   options       what was asked for, defaults included
---
--- Raises EOPTION for an option that is unknown or outside its bounds, ENOMEM, ECANCEL.
---@param opts table?  genes = 1000, perturbed = 200, doubles = 60, lines = 2, cells = 30000, seed = 1, ...
---@return table
function M.run(opts)
  local o = options.check("simulate", opts, M.schema.run)
  local raw = screen(o)
  o.progress = nil
  local sim = { genes = raw.genes, targets = raw.targets, network = raw.network, known = raw.known, truth = raw.truth,
    options = o, lines = line_names(o.lines), conditions = labels(raw.genes, raw.targets) }
  sim.cells = { x = raw.x, counts = raw.counts, condition = raw.condition, line = raw.line,
    perturbation = look_up(raw.condition, sim.conditions), context = look_up(raw.line, sim.lines) }
  return setmetatable(sim, Simulation)
end

-- ---- files ----------------------------------------------------------------

-- Edges as text, sorted by source and target.
local function edges(genes, net)
  local rows = {}
  for k, from in ipairs(net.from) do
    rows[k] = ("%s\t%s\t%d"):format(genes[from], genes[net.to[k]], net.sign[k])
  end
  table.sort(rows)
  return "source\ttarget\tweight\n" .. table.concat(rows, "\n") .. "\n"
end

local function cells_of(sim, l)
  local rows, names = {}, {}
  for k, line in ipairs(sim.cells.line) do
    if line == l then
      rows[#rows + 1] = k
      names[#names + 1] = ("%s-%06d"):format(sim.lines[l], #rows)
    end
  end
  return rows, names
end

local function write_line(sim, l, path)
  local rows, names = cells_of(sim, l)
  local counts = sim.cells.counts:rows(rows)
  core.h5ad_write(path, {
    x = sim.cells.x:rows(rows), obs_names = names, var_names = sim.genes, layers = { counts = counts },
    obs = {
      { name = "perturbation", values = look_up(rows, sim.cells.perturbation), categorical = true },
      { name = "cell_line", values = look_up(rows, sim.cells.context), categorical = true },
      { name = "n_counts", values = counts:row_sums() },
    },
    var = { { name = "symbol", values = sim.genes } },
  })
  return path
end

local README = [[
A simulated Perturb-seq screen, written by `dynamo simulate`.

%s.h5ad
    One file per cell line. X: log1p of counts per 10,000 (sparse); layer counts: the counts themselves.
    obs: perturbation ("control", one gene "A", or two "A+B"), cell_line, n_counts. var: symbol.
network.tsv
    What is known of the network: source, target, weight (1 activates, -1 represses).
    %.0f%% of the true edges are missing, and false ones are added (%.0f%% of the number of true ones).
network_true.tsv
    The network that made the data. Not every edge works in every line.

%s.
Options:
%s
]]

local function readme(sim)
  local o, lines = sim.options, {}
  for i, key in ipairs(label.sorted_keys(o)) do lines[i] = ("    %s = %s"):format(key, options.quote(o[key])) end
  return README:format(table.concat(sim.lines, ".h5ad, "), 100 * o.missing, 100 * o.added, tostring(sim),
    table.concat(lines, "\n"))
end

--- Write a simulation as files into `folder`, which is made if it is missing.
---
--- One .h5ad per line (X: sparse log1p, layer counts; obs: perturbation, cell_line, n_counts; var: symbol),
--- network.tsv (what is known: source, target, weight 1 or -1), network_true.tsv, README.txt. Raises EIO.
---@param sim table  what `simulate.run` gave
---@param folder string
---@return table  paths of the files written
function M.write(sim, folder)
  if type(folder) ~= "string" or folder == "" then
    err.raise { code = "EOPTION", message = "simulate.write: the name of a folder expected" }
  end
  core.mkdir(folder)
  local out = {}
  for l, name in ipairs(sim.lines) do out[#out + 1] = write_line(sim, l, ("%s/%s.h5ad"):format(folder, name)) end
  local texts = { ["network.tsv"] = edges(sim.genes, sim.known), ["network_true.tsv"] = edges(sim.genes, sim.network),
    ["README.txt"] = readme(sim) }
  for _, name in ipairs(label.sorted_keys(texts)) do
    out[#out + 1] = folder .. "/" .. name
    core.write_file(out[#out], texts[name])
  end
  return out
end

--- The command `dynamo simulate --out FOLDER`: simulate, write, name the files.
---@param opts table  out = folder, quiet = false, and any option of `simulate.run`
function M.main(opts)
  local given = {}
  for k, v in pairs(opts) do if k ~= "out" and k ~= "quiet" then given[k] = v end end
  local bar = progress.new { label = "simulate", quiet = opts.quiet }
  given.progress = bar:callback()
  local ok, sim = pcall(M.run, given)
  bar:finish()
  if not ok then error(sim, 0) end
  print(tostring(sim))
  for _, path in ipairs(M.write(sim, opts.out)) do print("wrote " .. path) end
end

return setmetatable(M, { __call = function(_, opts) return M.run(opts) end })
