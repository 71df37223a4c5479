--- Predictions of other programs on the same footing: read from files, aligned with the truth, scored as our own.
--
--     local R = dynamo.data.read("k562.h5ad"):responses()
--     local t = dynamo.evaluate.external(R, S.test, { dynamo.external.read "gears.h5ad", dynamo.external.read "scgen.csv" },
--       { train = S.train, metrics = { "pearson@centroid/all-target", "pds_l2" } })
--
-- One policy (see evaluate): a gene that one method does not predict leaves the table for all (`strict` makes it an error), a
-- perturbation that it does not predict is an error (`missing = "mean"` fills in the training mean and flags the row). The
-- control mean that comes off is always the measured one, never a predicted one.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local responses = require "dynamo.responses"

local M = { schema = {} }

local commas = responses.commas

local function fail(message, hint) err.raise { code = "EVALUE", message = "evaluate: " .. message, hint = hint } end

-- ---- reading ------------------------------------------------------------------------

M.schema.read = {
  name = { type = "string", help = "of the method; default: the file's" },
  values = { type = "string", values = { "change", "profile" },
    help = "what the numbers are; default: profiles in X of an h5ad, changes in its layer `delta` and in tables" },
  perturbation = { type = "string", help = "column with the perturbation" },
  context = { type = "string", help = "column with the cell line or type" },
  layer = { type = "string", help = "layer to read; default: `delta` if there is one, else X" },
  genes = { type = "string", help = "var column with gene names" },
  rows = { values = { "perturbations", "genes" }, type = "string", help = "what the rows of a wide table are; default: found out" },
}

local function layer_of(path, o)
  if o.layer then return o.layer end
  local ok, f = pcall(function()
    core.h5_probe(path, { cell_names = false })
    return core.h5_open(path)
  end)
  if not ok then return nil, false end
  local found = nil
  for _, name in ipairs(f:layers()) do if name == "delta" then found = "delta" end end
  f:close()
  return found, true
end

-- Cells of each row of Responses, f(row) -> matrix, or nil if a row has one at most.
local function cells_by_row(P)
  if not P.cells then return nil end
  local lists = {}
  for cell, r in ipairs(P.cells.row_of) do
    if r > 0 then
      lists[r] = lists[r] or {}
      table.insert(lists[r], cell)
    end
  end
  return function(r) return lists[r] and #lists[r] > 1 and P.cells.x:index(1, lists[r]) or nil end
end

--- A file of predictions as a method for evaluate.external: an h5ad with a row per perturbation (or predicted cells), or a long
--- or wide table. Control rows of the file are left out. Raises EIO, EFORMAT.
---@param path string
---@param opts? table  see external.schema.read
---@return table { name, genes, rows, values = Tensor (n, G), profile = whether values are expression, not changes, cells }
function M.read(path, opts)
  local o = options.check("external.read", opts, M.schema.read)
  local layer, h5 = layer_of(path, o)
  local P = require("dynamo.data").read(path, { kind = "effect", layer = layer, perturbation = o.perturbation,
    context = o.context, genes = o.genes, rows = o.rows, nonfinite = "mask" }):responses()
  local profile = o.values == "profile" or o.values == nil and h5 and layer ~= "delta"
  local values = P.delta
  if profile then -- a control row of the file came off
    local at = {}
    for i, r in ipairs(P.rows) do at[i] = P:control_index(r.context) end
    values = values + P.control:index(1, at)
  end
  if P.mask then values = values:masked_fill(P.mask:eq(0), 0 / 0) end
  return { name = o.name or path:match "[^/]*$":gsub("%.gz$", ""):gsub("%.%w+$", ""), genes = P.genes, rows = P.rows, values = values,
    profile = profile, cells = profile and cells_by_row(P) or nil, file = path }
end

-- ---- alignment ------------------------------------------------------------------------

-- Places of a method's rows by row of the truth. A file with one context speaks for the only one there is, whatever its name.
local function places_of(R, m)
  local contexts, one = {}, nil
  for _, r in ipairs(m.rows) do contexts[type(r) == "table" and r.context or ""] = true end
  local names = label.sorted_keys(contexts)
  if #R.contexts == 1 and #names == 1 then one = R.contexts[1] end
  local at = {}
  for k, r in ipairs(m.rows) do
    local context = one or type(r) == "table" and r.context or nil
    if not context then
      fail(("%s: row %d has no context; the truth has %s"):format(label.safe(m.name), k, table.concat(R.contexts, ", ")))
    end
    local i = R:find(context, type(r) == "table" and r.perturbation or r)
    if i then at[i] = k end
  end
  return at
end

-- Genes of the truth that every method has; how many are left out, and of them the first with the method that lacks it.
local function shared_genes(R, methods)
  local has, genes, out, first = {}, {}, 0, nil
  for i, m in ipairs(methods) do has[i] = responses.places(m.genes) end
  for _, g in ipairs(R.genes) do
    local lacking = nil
    for i, m in ipairs(methods) do lacking = lacking or not has[i][g] and m or nil end
    if lacking then
      out, first = out + 1, first or { g, lacking.name }
    else
      genes[#genes + 1] = g
    end
  end
  return genes, out, first
end

-- Changes predicted for rows of R, (n, G) in R's genes, and flags of the rows that were filled in.
local function changes_of(R, rows, m, mean)
  local at, list, flags, filled = places_of(R, m), {}, {}, {}
  for k, i in ipairs(rows) do
    list[k] = at[i] or 1
    if not at[i] then
      if not mean then
        fail(("%s has no prediction for '%s' in context '%s'"):format(label.safe(m.name), label.safe(R.rows[i].perturbation),
          label.safe(R.rows[i].context)), 'missing = "mean" fills in the training mean and flags it')
      end
      flags[k], filled[#filled + 1] = "filled", k
    end
  end
  local columns, here, control = {}, responses.places(m.genes), {}
  for j, g in ipairs(R.genes) do columns[j] = here[g] end
  local p = m.values:to "double":index(1, list):index(2, columns)
  for k, i in ipairs(rows) do control[k] = R:control_index(R.rows[i].context) end
  if m.profile then p = p - R.control:index(1, control) end
  for _, k in ipairs(filled) do p:rows(k, k):copy_(mean:rows(control[k], control[k])) end
  return p, flags, at
end

-- The truth with entries masked where any method is not finite.
local function masked(R, rows, list)
  local good = nil
  for _, m in ipairs(list) do
    if m.p:nonfinite() > 0 then good = (good or 1) * (m.p - m.p):eq(0):to "double" end
  end
  if not good then return R, 0 end
  local copy = setmetatable({}, getmetatable(R))
  for k, v in pairs(R) do copy[k] = v end
  copy.mask = R.mask and R.mask:clone() or core.full(1, #R.rows, #R.genes, "double")
  for k, i in ipairs(rows) do copy.mask:rows(i, i):mul_(good:rows(k, k)) end
  return copy, good:eq(0):sum():item()
end

-- ---- scores -------------------------------------------------------------------------------

M.schema.score = {
  metrics = { type = "table", item = "string", help = "columns; default: evaluate.columns" },
  train = { type = "table", item = "integer", min = 1, help = "training rows: the centroid, filled rows, the row `mean`" },
  strict = { default = false, help = "a gene that a method lacks is an error" },
  missing = { default = "error", values = { "error", "mean" }, help = "perturbations that a method lacks" },
  nonfinite = { default = "error", values = { "error", "mask" }, help = "predictions that are not finite: stop, or count for nobody" },
  baselines = { default = true, help = "rows `no_change` and, with train, `mean`" },
}

local function check_methods(methods)
  if type(methods) ~= "table" or #methods == 0 then
    err.raise { code = "EOPTION", message = "evaluate.external: a list of { name =, genes =, rows =, values = } expected" }
  end
  for i, m in ipairs(methods) do
    local ok = type(m) == "table" and type(m.genes) == "table" and type(m.rows) == "table" and core.is_tensor(m.values)
    if not ok then
      err.raise { code = "EOPTION",
        message = ("evaluate.external: method %d is no { name =, genes =, rows =, values = }"):format(i) }
    end
    local n, g = m.values:size()
    if n ~= #m.rows or g ~= #m.genes then
      fail(("%s: values are %sx%s, expected %d rows x %d genes"):format(label.safe(tostring(m.name or i)), tostring(n),
        tostring(g), #m.rows, #m.genes))
    end
  end
end

local function baselines(R, rows, mean)
  local list = { { name = "no_change", p = core.zeros(#rows, #R.genes, "double"), flags = {} } }
  if not mean then return list end
  local at = {}
  for k, i in ipairs(rows) do at[k] = R:control_index(R.rows[i].context) end
  list[2] = { name = "mean", p = mean:index(1, at), flags = {} }
  return list
end

-- The methods on the genes of T, a row for each of `rows`, after the baselines; how many rows were filled in.
local function aligned(T, rows, methods, o, centroid)
  if o.missing == "mean" and not centroid then fail 'missing = "mean" needs the training rows (train)' end
  local list, filled = o.baselines and baselines(T, rows, centroid) or {}, 0
  for _, m in ipairs(methods) do
    local p, flags, at = changes_of(T, rows, m, o.missing == "mean" and centroid)
    for _ in pairs(flags) do filled = filled + 1 end
    -- predicted cells have the columns of the file: only where those are the truth's
    local cells = m.cells and table.concat(m.genes, "\0") == table.concat(T.genes, "\0") and function(k)
      return at[rows[k]] and m.cells(at[rows[k]])
    end or nil
    list[#list + 1] = { name = m.name or ("method %d"):format(#list + 1), p = p, flags = flags, cells = cells }
  end
  return list, filled
end

-- Values, info and flags of one method.
local function score_one(T, rows, m, o, centroid)
  m.values, m.info = require("dynamo.evaluate").score(T, rows, m.p, { metrics = o.metrics, centroid = centroid, train = o.train,
    flags = m.flags, nonfinite = o.nonfinite, cells = m.cells })
  for k in pairs(m.flags) do
    for _, key in ipairs(m.info.keys) do m.info.status[key][k] = m.info.status[key][k] or "filled" end
  end
end

--- Scores of predictions made elsewhere, all on the same genes, rows and references: see evaluate.external.
function M.score(R, rows, methods, opts)
  local o = options.check("evaluate.external", opts, M.schema.score)
  check_methods(methods)
  local genes, out, first = shared_genes(R, methods)
  if out > 0 and o.strict then
    fail(("%s has no prediction for gene '%s' (%s of %s genes are not in every method)"):format(label.safe(first[2]),
      label.safe(first[1]), commas(out), commas(#R.genes)))
  end
  if #genes == 0 then fail "no gene is in every method" end
  local T = R:take_genes(genes)
  local centroid = o.train and #o.train > 0 and require("dynamo.evaluate").centroid(T, o.train) or nil
  local list, filled = aligned(T, rows, methods, o, centroid)
  local notes = {}
  if out > 0 then notes[1] = ("%s of %s genes are not in every method: left out for all"):format(commas(out), commas(#R.genes)) end
  if filled > 0 then notes[#notes + 1] = ("%s missing predictions are the training mean"):format(commas(filled)) end
  local count
  if o.nonfinite == "mask" then
    T, count = masked(T, rows, list)
    if count > 0 then notes[#notes + 1] = ("%s entries are not finite in some method: masked for all"):format(commas(count)) end
  end
  local result = { genes = #genes, left_out = out, filled = filled, notes = notes, methods = list, R = T, rows = rows }
  for _, m in ipairs(list) do score_one(T, rows, m, o, centroid) end
  result.keys, result.names = list[1].info.keys, list[1].info.names
  return result
end

-- ---- the command ----------------------------------------------------------------------------

-- Rows to test and to take the centroid from: those that the file names, else what any method predicts and the rest.
local function rows_of(R, methods)
  local test, train, seen, named = {}, {}, {}, false
  for _, r in ipairs(R.rows) do named = named or r.part == "test" end
  for _, m in ipairs(methods) do
    for i in pairs(places_of(R, m)) do seen[i] = true end
  end
  for i, r in ipairs(R.rows) do
    if named and r.part == "test" or not named and seen[i] then
      test[#test + 1] = i
    elseif not named or r.part == "train" then
      train[#train + 1] = i
    end
  end
  if #test == 0 then fail "none of the predicted perturbations is in the truth" end
  return test, train, named
end

--- Rows of the table of results: a method each, mean [interval] per column.
---@param t table  of evaluate.external
---@return string[] columns, table[] rows
function M.table(t)
  local evaluate, tabular = require "dynamo.evaluate", require "dynamo.table"
  local columns, out = { "method" }, {}
  for _, key in ipairs(t.keys) do columns[#columns + 1] = key end
  columns[#columns + 1] = "n"
  for i, m in ipairs(t.methods) do
    local row, n = { label.safe(m.name) }, 0
    for _, key in ipairs(t.keys) do
      local s = evaluate.summarise(m.values[key])
      row[#row + 1], n = tabular.interval(s.mean, s.lo, s.hi), math.max(n, s.n_defined)
    end
    row[#row + 1] = n
    out[i] = row
  end
  return columns, out
end

--- The scores as CSV: method, what they belong to, column, value, status.
---@param t table  of evaluate.external
---@return string
function M.csv(t)
  local lines = {}
  for _, m in ipairs(t.methods) do
    for k, name in ipairs(t.names) do
      for _, key in ipairs(t.keys) do
        local v = m.values[key][k]
        lines[#lines + 1] = { m.name, name, key, v == v and v or nil, m.info.status[key][k] or "" }
      end
    end
  end
  for _, l in ipairs(lines) do if l[4] == nil then l[4] = "" end end
  return require("dynamo.table").csv({ "method", "name", "metric", "value", "status" }, lines)
end

local DEFAULT = { "pearson@control/all-target", "pearson@centroid/all-target", "relerr@control/all", "pds_l2" }

--- The command `dynamo evaluate`: predictions against measured data, a table on standard output, scores per perturbation in
--- a file.
---@param o table { predictions = files, truth, metrics, values, missing, strict, nonfinite, out }
function M.main(o)
  local R = require("dynamo.data").read(o.truth):responses()
  local methods = {}
  for i, path in ipairs(o.predictions) do methods[i] = M.read(path, { values = o.values }) end
  local test, train, named = rows_of(R, methods)
  local t = M.score(R, test, methods, { train = train, metrics = o.metrics or R.kind ~= "label" and DEFAULT or nil,
    strict = o.strict, missing = o.missing, nonfinite = o.nonfinite })
  io.write(require("dynamo.table").format(M.table(t)), "\n")
  io.write(("%s genes, %s tested perturbations; centroid of %s (%s)\n"):format(commas(t.genes), commas(#test), commas(#train),
    named and "the file's train rows" or "those that no method predicts"))
  for _, note in ipairs(t.notes) do io.write("note: ", note, "\n") end
  local skipped = t.methods[1].info.skipped
  for _, key in ipairs(label.sorted_keys(skipped)) do io.write(("note: no %s: %s\n"):format(key, skipped[key])) end
  if not o.out then return end
  local f = io.open(o.out, "w")
  if not f then err.raise { code = "EIO", file = o.out, message = "cannot be created" } end
  f:write(M.csv(t))
  f:close()
end

return M
