--- Reading perturbation data: cells or profiles in .h5ad, 10x and loom files and 10x folders, response tables as text. A Dataset knows what
--- its columns mean and gives Responses, what splits, baselines and models work on.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local responses = require "dynamo.responses"
local roles = require "dynamo.roles"
local stream = require "dynamo.stream"

local M = { schema = {} }

-- What opens files; specs replace them.
M._open = function(path, kind, o)
  if kind == "mex" then return require("dynamo.mex").open(path, o) end
  if not o or o.isolate ~= false then core.h5_probe(path, { cell_names = false }) end
  return core.h5_open(path, o and { genome = o.genome })
end
M._long = function(path, o) return core.read_long(path, o) end
M._matrix = function(path) return core.read_matrix(path, {}) end
M._sniff = function(path)
  if core.sniff then return core.sniff(path) end
  return (path:match "%.h5ad$" or path:match "%.h5$") and "h5" or "long"
end

local function fail(file, message, hint) err.raise { code = "EFORMAT", file = file, message = message, hint = hint } end

local commas = responses.commas

M.schema.read = {
  perturbation = { type = "string|boolean",
    help = "column with the perturbation; default: found by name and content; false: every cell is a control" },
  control = { type = "string|table", item = "string",
    help = "label or labels of control cells; default: control, ctrl, non-targeting, ..." },
  combine = { type = "string|boolean",
    help = "separator of combinations; false: labels are not split; default: found out" },
  context = { type = "string|boolean", help = "column with the cell line or type; false: one context" },
  context_name = { type = "string", help = "name of the context of a file without such a column" },
  batch = { type = "string", help = "column with the batch" },
  genes = { type = "string",
    help = "var column with gene names; default: the index, or symbols if it has Ensembl ids" },
  symbols = { type = "string",
    help = "a table of symbols (HGNC, or symbol and alias, ensembl, entrez): genes get approved symbols, with a report" },
  guides = { type = "boolean",
    help = "labels are names of guides (KLF1_sg2): default found out, false: never" },
  genome = { type = "string", help = "which genome of an old 10x file" },
  features = { default = "Gene Expression", type = "string|boolean",
    help = "feature type of 10x to keep (others: Antibody Capture, CRISPR Guide Capture); false: all" },
  cells = { type = "string", help = "10x folders: a table with a row per cell; its columns join those of the cells" },
  gene = { type = "string", help = "gene column of a long table" },
  value = { type = "string", help = "value column of a long table" },
  weight = { type = "string", help = "weight column of a long table" },
  layer = { type = "string", help = "layer to read in place of X; \"raw\"" },
  counts = { default = false, help = "counts stay as they are: the `prepare` of an experiment scales them" },
  duplicates = { default = "error", values = { "error", "first", "sum", "suffix", "mean" },
    help = "genes that occur twice; in tables error or mean" },
  nonfinite = { default = "error", values = { "error", "mask" },
    help = "NaN and infinite values: stop, or count as unobserved" },
  split = { type = "string", help = "column with train and test" },
  isolate = { default = true, type = "boolean",
    help = "HDF5: a child process reads the structure first, so that a crash of the library is an error" },
  stream = { type = "boolean|table",
    help = "leave the matrix in the file and read it some thousand cells at a time; { memory = bytes }: see dynamo.stream" },
  kind = { values = { "effect", "label" }, type = "string",
    help = "effect: values are changes already, no control needed; label: values are 0 and 1" },
  rows = { values = { "perturbations", "genes" }, type = "string",
    help = "what the rows of a wide table are; default: found out" },
}

M.schema.responses = {
  min_cells = { default = 1, type = "integer", min = 1,
    help = "perturbations with fewer cells in a context are left out" },
  control = { type = "string", values = { "context", "batch" },
    help = "reference: the controls of the context (default), or of the context and batch of each cell" },
}

local class = {}
class.__index = class

local function stem(path) return (path:match "[^/]*$":gsub("%.gz$", ""):gsub("%.zst$", ""):gsub("%.%w+$", "")) end

-- ---- AnnData ------------------------------------------------------------------------------

-- The matrix to read with its axis of names: X, or raw if X is scaled, or the layer asked for.
local function matrix(f, o, notes)
  local x, info = f:matrix(o.layer)
  if o.layer or not info.negative then return x, info, o.layer == "raw" and "raw" or "var" end
  local ok, names = pcall(f.names, f, "raw")
  if ok and type(names) == "table" and #names > 0 then
    local good, y, other = pcall(f.matrix, f, "raw")
    if good and not other.negative then
      notes[#notes + 1] = "X has negative values (scaled); raw is read in its place"
      return y, other, "raw"
    end
  end
  notes[#notes + 1] = "X has negative values: used as it is, as scaled expression"
  return x, info, "var"
end

-- The matrix as one that has rows compressed.
local function rows_of(x) return (core.is_sparse(x) or type(x) == "table") and x or core.sparse_from_dense(x) end

-- Stop at values that are not finite, or note that they will be masked.
local function check_finite(f, file, o, info, genes, notes)
  if not info.nonfinite or info.nonfinite == 0 then return false end
  if o.isolate and type(f) == "userdata" then core.h5_probe(file) end -- now with the names of the cells
  local cells = f:names "obs"
  local where = ("first at cell '%s', gene '%s'"):format(label.safe(cells[info.row] or "?"),
    label.safe(genes[info.col] or "?"))
  if o.nonfinite == "error" then
    fail(file, ("%s: %s NaN or infinite, %s"):format(o.layer or "X", commas(info.nonfinite), where), 'nonfinite="mask"')
  end
  notes[#notes + 1] = ("%s values are NaN or infinite (%s) and count as unobserved"):format(commas(info.nonfinite),
    where)
  return true
end

-- Counts to log1p of 10,000 a cell; what the values are, in a word.
local function to_log(x, info, notes, as_is, counts)
  if as_is then return x, as_is .. "s" end
  if info.negative then return x, "scaled" end
  if counts and info.integers then return x, "counts" end
  if info.integers and (info.max or 0) > 0 then
    notes[#notes + 1] = "counts: each cell is scaled to 10,000, then log1p"
    local function scaled(y)
      y = rows_of(y)
      return y:scale_rows(1e4 / y:row_sums():maximum(1e-9)):log1p()
    end
    return type(x) == "table" and x:per_cell(scaled) or scaled(x), "log1p of counts"
  end
  if (info.max or 0) > 20 then
    notes[#notes + 1] = ("values up to %.4g are neither counts nor log1p: used as they are"):format(info.max)
    return x, "as they are"
  end
  return x, "log1p"
end

-- 10x: the features of the type asked for, if there are several types.
local function of_type(f, file, o, x, names, notes)
  local has = false
  for _, c in ipairs(f:kind() == "10x" and f:columns "var" or {}) do has = has or c.name == "feature_types" end
  if not (has and o.features) then return names, x end
  local column, keep, kept = f:column("var", "feature_types"), {}, {}
  if #roles.level_counts(column) < 2 then return names, x end
  for i, c in ipairs(column.codes) do
    if column.levels[c] == o.features then keep[#keep + 1], kept[#kept + 1] = i, names[i] end
  end
  if #keep == 0 then
    fail(file, ("no feature of type '%s' (have: %s)"):format(label.safe(o.features), roles.some(column.levels)))
  end
  notes[#notes + 1] = ("%s of %s features are '%s'"):format(commas(#keep), commas(#names), label.safe(o.features))
  return kept, x:index(2, keep)
end

local function rename_genes(f, file, o, x, axis, notes)
  local names, columns, map = roles.gene_names(f, file, o, notes, axis), nil, nil
  names, x = of_type(f, file, o, x, names, notes)
  local policy = o.duplicates == "mean" and "error" or o.duplicates
  local genes
  genes, columns, map = roles.duplicates(f, file, names, policy, notes)
  if columns then x = x:index(2, columns) end
  if map then x = rows_of(x):merge_cols(map, #genes) end
  return genes, x, names
end

-- Whether a file has one row per perturbation and context (profiles, not cells).
local function one_row_each(D)
  local seen = {}
  for i = 1, D.n do
    local p = D:perturbation_of(i)
    local key = p and (D:context_of(i) or "") .. "\0" .. p
    if key then
      if seen[key] then return false end
      seen[key] = true
    end
  end
  return true
end

-- HDF5 of other programs: say which, if it is known.
local function check_kind(f, path)
  local kind = f:kind()
  if kind == "h5ad" or kind == "10x" or kind == "loom" then return end
  f:close()
  if kind == "model" then fail(path, "is a model of dynamo (use dynamo.load)") end
  fail(path, "an HDF5 file that is neither AnnData nor 10x nor loom", 'h5mu: in Python, mudata["rna"].write_h5ad("f.h5ad")')
end

local function all_controls(n)
  local codes = {}
  for i = 1, n do codes[i] = 1 end
  return { levels = { "control" }, codes = codes, is_control = label.control_test() }
end

local function read_h5(path, o, word)
  local f = M._open(path, word, o)
  check_kind(f, path)
  local notes = {}
  local D = setmetatable({ file = path, options = o, notes = notes, cache = {}, effects = o.kind }, class)
  D.n = f:size()
  D.perturbation = o.perturbation == false and all_controls(D.n) or roles.perturbation(f, path, o, o.kind ~= nil, notes)
  D.context = roles.context(f, path, o, notes)
  D.batch, D.batches = roles.batch(f, path, o)
  D.parts = roles.split(f, path, o)
  local x, info, axis = (o.stream and stream.matrix or matrix)(f, o, notes)
  local raw
  D.genes, x, raw = rename_genes(f, path, o, x, axis, notes)
  D.nonfinite = check_finite(f, path, o, info, raw, notes)
  D.x, D.values = to_log(x, info, notes, o.kind, o.counts)
  D.format = o.stream and "streamed" or core.is_sparse(D.x) and "CSR" or "dense"
  D.perturbation.names, D.perturbation.separator = roles.labels(D, o, D.perturbation.levels, D.perturbation.is_control)
  D.kind = one_row_each(D) and "profiles" or "cells"
  if D.kind == "profiles" then
    D.counts = roles.cell_counts(f)
    for _, name in ipairs(f:layers()) do
      if name == "mask" or name == "weight" then D[name] = f:matrix(name) end
    end
  end
  f:close()
  return D
end

--- The normalised perturbation of row i ("control", "A", "A+B"), or nil if it has no label.
function class:perturbation_of(i)
  local p = self.perturbation
  if p.flag and p.flag(i) then return "control" end
  local code = p.codes[i]
  return code > 0 and p.names[code] or nil
end

--- The context of row i, or nil if it has none.
function class:context_of(i)
  if not self.context then return self.context_name or self.options.context_name or "all" end
  local code = self.context.codes[i]
  return code > 0 and self.context.levels[code] or nil
end

-- ---- groups of rows -------------------------------------------------------------------------

local function group_before(a, b)
  if a.context ~= b.context then return a.context < b.context end
  return a.perturbation < b.perturbation
end

-- The part of a row of the file, in our words.
local function part_of(D, i)
  local word = D.parts and D.parts.codes[i] > 0 and D.parts.levels[D.parts.codes[i]]
  if not word then return nil end
  local part = require("dynamo.split").part_name(word)
  if not part then fail(D.file, ("part '%s' is not train, validate or test"):format(label.safe(word))) end
  return part
end

-- Groups of rows with one perturbation and context, sorted, and the group of every row (0: no label).
local function groups_of(D)
  local known, groups, of, missing = {}, {}, {}, 0
  for i = 1, D.n do
    local p, c = D:perturbation_of(i), D:context_of(i)
    if p and c then
      local key = c .. "\0" .. p
      local g = known[key]
      if not g then
        g = { perturbation = p, context = c, n = 0, part = part_of(D, i), first = i }
        known[key], groups[#groups + 1] = g, g
      elseif D.parts and p ~= "control" and g.part ~= part_of(D, i) then
        fail(D.file, ("%s is in both %s and %s"):format(label.safe(p), tostring(g.part), tostring(part_of(D, i))))
      end
      g.n, of[i] = g.n + 1, g
    else
      missing = missing + 1
    end
  end
  table.sort(groups, group_before)
  for k, g in ipairs(groups) do g.index = k end
  for i = 1, D.n do of[i] = of[i] and of[i].index or 0 end
  return groups, of, missing
end

-- Values that are not finite become 0; second result: 1 where a value was finite. (x^0 is 1 also for NaN.)
local function clean(t)
  local finite = (t - t):eq(0)
  return (t ^ finite) * finite, finite
end

-- Rows of a matrix per context, zeros (or ones) where a context has none.
local function context_rows(m, list, n, fill)
  local blocks = {}
  for c = 1, n do blocks[c] = list[c] and m:rows(list[c], list[c]) or core.full(fill, 1, m:size(2), "double") end
  return core.cat(blocks, 1)
end

-- Control profiles (C, G) of the contexts (zeros where none is needed) and their mask (nil without W).
local function controls(D, groups, means, W, contexts, need)
  local of = {}
  for k, g in ipairs(groups) do
    if g.perturbation == "control" then of[g.context] = k end
  end
  local list = {}
  for c, name in ipairs(contexts) do
    if of[name] then
      list[c] = of[name]
    elseif need then
      fail(D.file, ("context '%s' has no control%s"):format(label.safe(name),
        D.perturbation and D.perturbation.column and (" (in '%s')"):format(D.perturbation.column) or ""),
        'control="LABEL", or kind="effect" if values are changes already')
    end
  end
  return context_rows(means, list, #contexts, 0), W and context_rows(W, list, #contexts, 1)
end

local function contexts_of(groups)
  local seen = {}
  for _, g in ipairs(groups) do seen[g.context] = true end
  return label.sorted_keys(seen)
end

-- Responses from the means of groups (K, G) and their mask or nil.
local function from_groups(D, groups, means, W, o, weight)
  local contexts = contexts_of(groups)
  local need = not D.effects and D.need_control
  local control, seen = controls(D, groups, means, W, contexts, need)
  local at, rows, list, context_list, dropped = responses.places(contexts), {}, {}, {}, 0
  for k, g in ipairs(groups) do
    if g.perturbation ~= "control" and g.n >= o.min_cells then
      rows[#rows + 1] = { perturbation = g.perturbation, context = g.context, n_cells = g.cells or g.n, part = g.part }
      list[#list + 1], context_list[#context_list + 1], g.row = k, at[g.context], #rows
    elseif g.perturbation ~= "control" then
      dropped = dropped + 1
    end
  end
  local notes = {}
  for i, note in ipairs(D.notes) do notes[i] = note end
  if dropped > 0 then
    notes[#notes + 1] = ("%d perturbations with fewer than %d cells are left out"):format(dropped, o.min_cells)
  end
  if #rows == 0 then fail(D.file, "no perturbation is left besides controls") end
  local delta = means:index(1, list) - control:index(1, context_list)
  local mask = W and W:index(1, list) * seen:index(1, context_list)
  if mask then delta = delta * mask end
  return { genes = D.genes, contexts = contexts, rows = rows, delta = delta, mask = mask, control = control,
    weight = weight and weight:index(1, list), kind = D.effects == "label" and "label" or "effect",
    file = D.file, notes = notes }
end

-- The cells that belong to rows or are controls.
local function cells_of(D, groups, of, t)
  local at, keep, row_of, context_of = responses.places(t.contexts), {}, {}, {}
  local batch_of = D.batches and {} or nil
  for i = 1, D.n do
    local g = groups[of[i]]
    if g and (g.row or g.perturbation == "control") then
      keep[#keep + 1], row_of[#row_of + 1], context_of[#context_of + 1] = i, g.row or 0, at[g.context]
      if batch_of then batch_of[#keep] = D.batches.codes[i] or 0 end
    end
  end
  return { x = #keep == D.n and D.x or D.x:index(1, keep), row_of = row_of, context_of = context_of, batch_of = batch_of }
end

-- Models look at some cells of each perturbation and at more controls: kept while the pass over all of them goes by.
local function keep_cells(x, groups, of)
  local control = {}
  for g, group in ipairs(groups) do control[g] = group.perturbation == "control" end
  x:keep(of, #groups, { most = stream.MOST, often = 16, large = control })
end

local function h5_responses(D, o)
  local groups, of, missing = groups_of(D)
  D.need_control = true
  if missing > 0 and not D.told then
    D.told = true
    D.notes[#D.notes + 1] = ("%s rows without perturbation or context are left out"):format(commas(missing))
  end
  if stream.is(D.x) and D.kind == "cells" then keep_cells(D.x, groups, of) end
  local means, W = rows_of(D.x):group_means(of, #groups), nil
  D.nonfinite = D.nonfinite or stream.is(D.x) and D.x:nonfinite() > 0
  for _, g in ipairs(groups) do g.cells = D.counts and D.counts:get(g.first) or nil end
  if D.nonfinite then means, W = clean(means) end
  local function layer(m) return (core.is_sparse(m) and m or core.sparse_from_dense(m)):group_means(of, #groups) end
  if D.mask then W = layer(D.mask):gt(0) * (W or 1) end
  local t = from_groups(D, groups, means, W, o, D.weight and layer(D.weight))
  t.units = require("dynamo.units").of(D)
  if D.kind == "cells" and not D.nonfinite then t.cells = cells_of(D, groups, of, t) end
  if o.control == "batch" then
    require("dynamo.preparation").match(D, t)
    t.control_by = "batch"
  end
  return responses.new(t)
end

-- ---- tables -----------------------------------------------------------------------------------

local function read_long(path, o)
  local t = M._long(path, { perturbation = o.perturbation, gene = o.gene, value = o.value, weight = o.weight,
    context = o.context or nil, split = o.split, duplicates = o.duplicates == "mean" and "mean" or "error" })
  local D = setmetatable({ file = path, options = o, notes = {}, cache = {}, kind = "long", genes = t.genes,
    table = t }, class)
  D.effects = o.kind or (t.binary and "label" or "effect")
  D.values = D.effects .. "s"
  local is_control = label.control_test(o.control)
  D.perturbation = { column = t.columns and t.columns.perturbation, levels = t.perturbations,
    names = roles.labels(D, o, t.perturbations, is_control) }
  D.context = t.columns and t.columns.context and { column = t.columns.context, levels = t.contexts } or nil
  D.n = #t.pairs
  return D
end

-- Triplets of a long table as matrices (pairs, G): values and mask (nil if every entry is there).
local function dense_long(t, G)
  local n = #t.pairs
  local Y = core.sparse(n, G, t.rows, t.cols, t.values):dense "double"
  if t.rows:size(1) == n * G then return Y end
  return Y, core.sparse(n, G, t.rows, t.cols):dense "double"
end

local function long_responses(D, o)
  local t, groups = D.table, {}
  for k, p in ipairs(t.pairs) do
    local context = D.context and t.contexts[p[2]] or D.context_name or D.options.context_name or "all"
    local part = p[3] and require("dynamo.split").part_name(p[3])
    if p[3] and not part then fail(D.file, ("part '%s' is not train, validate or test"):format(label.safe(p[3]))) end
    groups[k] = { perturbation = D.perturbation.names[p[1]], context = context, n = o.min_cells, cells = 1,
      part = part }
  end
  local Y, W = dense_long(t, #D.genes)
  local weight = t.weights and core.sparse(#t.pairs, #D.genes, t.rows, t.cols, t.weights):dense "double"
  return responses.new(from_groups(D, groups, Y, W, o, weight))
end

-- Which side of a wide table has the perturbations: the one with a control label, else the rows (unless told).
local function orientation(o, t, is_control, notes)
  if o.rows then return o.rows end
  local function any(list)
    for _, s in ipairs(list) do if is_control(s) then return true end end
    return false
  end
  local rows = not any(t.rows) and any(t.columns) and "genes" or "perturbations"
  notes[#notes + 1] = ("rows are %s, columns %s (rows=\"%s\" is the other way)"):format(rows,
    rows == "genes" and "perturbations" or "genes", rows == "genes" and "perturbations" or "genes")
  return rows
end

local function read_wide(path, o)
  local t, notes = M._matrix(path), {}
  local is_control = label.control_test(o.control)
  local genes_down = orientation(o, t, is_control, notes) == "genes"
  local D = setmetatable({ file = path, options = o, notes = notes, cache = {}, kind = "wide" }, class)
  D.genes = genes_down and t.rows or t.columns
  D.matrix = genes_down and t.values:t():clone() or t.values
  local levels = genes_down and t.columns or t.rows
  D.perturbation = { levels = levels, names = roles.labels(D, o, levels, is_control) }
  D.n, D.effects, D.missing = #levels, o.kind, t.missing or 0
  D.values = (o.kind or "value") .. "s"
  for _, p in ipairs(D.perturbation.names) do D.need_control = D.need_control or p == "control" end
  return D
end

local function wide_responses(D, o)
  local groups = {}
  local context = D.context_name or D.options.context_name or "all"
  for k, p in ipairs(D.perturbation.names) do
    groups[k] = { perturbation = p, context = context, n = o.min_cells, cells = 1 }
  end
  local Y, W = D.matrix, nil
  if D.missing > 0 then Y, W = clean(Y) end
  return responses.new(from_groups(D, groups, Y, W, o))
end

-- ---- the Dataset --------------------------------------------------------------------------------

--- Responses of the data: for cells the mean of each perturbation and context less that of the context's controls, for
--- profiles and tables the values less the control row if there is one. Computed once per `min_cells`.
---
--- Raises EFORMAT: a context without control (named), a perturbation in both train and test.
---@param opts? table  min_cells, control
---@return table Responses
function class:responses(opts)
  local o = options.check("data:responses", opts, M.schema.responses)
  o.control = o.control or self.control
  local key = o.min_cells .. (o.control == "batch" and " by batch" or "")
  local known = self.cache[key]
  if known then return known end
  local R
  if self.files then
    local list = {}
    for i, D in ipairs(self.files) do list[i] = D:responses(opts) end
    R = responses.join(list)
  else
    local make = { cells = h5_responses, profiles = h5_responses, long = long_responses, wide = wide_responses }
    R = make[self.kind](self, o)
  end
  require("dynamo.learned").pass(self, R)
  self.cache[key] = R
  return R
end

--- The data after steps of preparation (dynamo.prepare.log1p {}, ...), in order, and what each did. Steps learn from all
--- cells: where some of them will test a model, give the steps to the experiment (`prepare`), which learns from training
--- cells alone. Counts that were scaled on reading are read again. Raises EVALUE: a step in the wrong place.
---@param steps table[]
---@return table Dataset
---@return table[] records, see preparation.apply
function class:prepare(steps)
  local preparation = require "dynamo.preparation"
  return preparation.apply(preparation.unscaled(self), steps)
end

class.__tostring = function(D) return require("dynamo.dataset").text(D) end

-- What files of other kinds hold, and who reads them.
local elsewhere = {
  edges = "holds a network (use dynamo.graph.read)", gmt = "holds gene sets (use dynamo.annotation.read)",
  vectors = "holds gene vectors (use dynamo.embed.read)",
  npy = "holds an array (use dynamo.read, or dynamo.embed.read)", npz = "holds arrays (use dynamo.read, or dynamo.embed.read)",
  safetensors = "holds tensors (use dynamo.read, or dynamo.embed.read)", dynamo = "is a model of dynamo (use dynamo.load)",
}

-- Refuse a file of a kind that is not read here: what it is and what to do.
local function refuse(path, kind, reason, hint)
  local other = require("dynamo.inspect").unread[kind]
  if other then fail(path, other.message, other.hint or hint) end
  fail(path, elsewhere[kind] or ("not a format with responses (%s)"):format(reason or kind), hint)
end

local function read_one(path, o)
  if not M._virtual then err.expect_file(path) end
  local word, reason, hint = M._sniff(path)
  local kind = tostring(word):gsub("^%w+:", "")
  if kind == "h5" or kind == "mex" then return read_h5(path, o, kind) end
  if kind == "wide" and not o.value then return read_wide(path, o) end
  local told = o.value or o.perturbation
  local table_like = kind == "edges" or kind == "vectors" or kind == "table" or kind == "wide"
  if kind == "long" or told and table_like then return read_long(path, o) end
  refuse(path, kind, reason, hint)
end

--- Read perturbation data: an .h5ad, 10x or loom file or a 10x folder with cells or one row per perturbation, a long table (perturbation,
--- gene, value), a wide one; or a list of files with different contexts, joined over the genes they share.
---
--- Roles of columns are found by name and content, noted in `.notes`, and can be given (`opts`). Counts are scaled to
--- 10,000 a cell and log1p is taken. Raises EIO, EFORMAT: one sentence with file, what was found, what was expected.
---@param path string|string[]
---@param opts? table  perturbation, control, combine, context, batch, genes, layer, duplicates, nonfinite, split, ...
---@return table Dataset with responses(opts), genes, notes
function M.read(path, opts)
  local o = options.check("data.read", opts, M.schema.read)
  if type(path) == "string" then return read_one(path, o) end
  if type(path) ~= "table" or #path == 0 then
    err.raise { code = "EOPTION", message = "data.read: a path or a list of paths expected" }
  end
  if #path == 1 then return read_one(path[1], o) end
  local D = setmetatable({ files = {}, notes = {}, cache = {}, options = o, kind = "several",
    file = table.concat(path, ", ") }, class)
  local lists = {}
  for i, p in ipairs(path) do
    local part = read_one(p, o)
    if not part.context and not o.context_name then part.context_name = stem(p) end
    D.files[i], lists[i] = part, part.genes
    for _, note in ipairs(part.notes) do D.notes[#D.notes + 1] = p:match "[^/]*$" .. ": " .. note end
  end
  D.genes = responses.shared(lists)
  return D
end

return M
