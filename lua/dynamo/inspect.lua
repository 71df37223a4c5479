--- `dynamo inspect FILE ...`: what a file is, what is in it, and the Lua line that reads it. Never more than a summary.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local responses = require "dynamo.responses"
local roles = require "dynamo.roles"

local M = {}

local commas, safe = responses.commas, label.safe

local table_hint = 'in Python: pandas.DataFrame(vectors, index=genes).to_csv("vectors.tsv", sep="\\t")'

--- Formats that are not read, by the word that core.sniff has for them: one sentence and what to do.
M.unread = {
  pickle = { message = "a pickle can run code when loaded; not opened", hint = table_hint },
  torch = { message = "a torch file can run code when loaded; not opened", hint = table_hint },
  zip = { message = "a zip archive (torch file?); not opened", hint = table_hint },
  parquet = { message = "parquet is not read", hint = 'in Python: pandas.read_parquet(f).to_csv("f.csv")' },
  feather = { message = "feather is not read", hint = 'in Python: pandas.read_feather(f).to_csv("f.csv")' },
  zarr = { message = "zarr is not read", hint = 'in Python: anndata.read_zarr(d).write_h5ad("f.h5ad")' },
  h5mu = { message = "h5mu is not read", hint = 'in Python: mudata["rna"].write_h5ad("f.h5ad")' },
  rds = { message = "R data are not read", hint = 'in R: write.csv(readRDS("f.rds"), "f.csv")' },
  mat = { message = "MATLAB files are not read", hint = "export as csv" },
  xlsx = { message = "spreadsheets are not read", hint = "export as csv, and check gene names for dates" },
  directory = { message = "a folder, not a file" },
  empty = { message = "the file is empty" },
  utf16 = { message = "text in UTF-16 is not read", hint = "save it as UTF-8" },
  bzip2 = { message = "bzip2 is not read", hint = "unpack it first: bunzip2" },
  xz = { message = "xz is not read", hint = "unpack it first: unxz" },
}

local function put(lines, key, text) lines[#lines + 1] = ("  %-13s %s"):format(key, text) end

local function code(text) return ("dynamo." .. text) end

-- ---- AnnData ------------------------------------------------------------------------------

-- " (numbers 3 .. 2,711, 4 missing)", " (true for 12)"
local function numbers_text(values, kind)
  local least, most, sum, n = math.huge, -math.huge, 0, 0
  for _, v in ipairs(values) do
    if v == v then least, most, sum, n = math.min(least, v), math.max(most, v), sum + v, n + 1 end
  end
  if n == 0 then return #values == 0 and " (numbers)" or " (all missing)" end
  local missing = n < #values and (", %s missing"):format(commas(#values - n)) or ""
  if kind == "boolean" then return (" (true for %s%s)"):format(commas(sum), missing) end
  return (" (numbers %.4g .. %.4g%s)"):format(least, most, missing)
end

-- "cell_type (4: K562 120, RPE1 80, …)" for text, "n_counts (numbers 3 .. 2,711)" for numbers.
local function column_text(f, axis, c)
  if c.kind == "text" then
    local counts, shown = roles.level_counts(f:column(axis, c.name)), {}
    if #counts == #f:column(axis, c.name).codes and #counts > 12 then
      return ("%s (text, all different)"):format(safe(c.name))
    end
    if #counts == 0 then return safe(c.name) .. " (all missing)" end
    for i = 1, math.min(4, #counts) do
      shown[i] = ("%s %s"):format(counts[i][1] == "" and "''" or safe(counts[i][1]), commas(counts[i][2]))
    end
    if #counts > 4 then shown[5] = "…" end
    return ("%s (%s: %s)"):format(safe(c.name), commas(#counts), table.concat(shown, ", "))
  end
  return safe(c.name) .. numbers_text(f:column(axis, c.name).values:totable(), c.kind)
end

local function columns_text(lines, f, axis)
  local all = f:columns(axis)
  if #all == 0 then return put(lines, axis, "no columns") end
  for i, c in ipairs(all) do
    if i > 12 then return put(lines, "", ("… and %d more"):format(#all - 12)) end
    put(lines, i == 1 and axis or "", column_text(f, axis, c))
  end
end

local function range_text(x, info)
  local what, size = "dense", math.max(1, x:size(1) * x:size(2))
  if core.is_sparse(x) then what = ("sparse, %.1f%% not zero"):format(100 * x:nnz() / size) end
  local kind = info.integers and "whole numbers (counts)" or info.negative and "negative values (scaled)" or
    (info.max or 0) <= 20 and "fractions (log1p?)" or "fractions"
  local bad = (info.nonfinite or 0) > 0 and (", %s NaN or infinite"):format(commas(info.nonfinite)) or ""
  if not info.max then return what end
  return ("%s, %.4g .. %.4g, %s%s"):format(what, info.min, info.max, kind, bad)
end

-- How many of the genes, and of the perturbed ones, are nodes of each network.
local function coverage(lines, D, graphs)
  local R
  for _, path in ipairs(graphs or {}) do
    local g, genes, hit = require("dynamo.graph").read(path), 0, 0
    for _, name in ipairs(D.genes) do genes = genes + (g:find(name) and 1 or 0) end
    R = R or D:responses()
    local targets = R:targets()
    for _, name in ipairs(targets) do hit = hit + (g:find(name) and 1 or 0) end
    put(lines, "graph", ("%s: %s of %s genes and %s of %s perturbed genes are in it"):format(safe(path:match "[^/]*$"),
      commas(genes), commas(#D.genes), commas(hit), commas(#targets)))
  end
end

-- Why data.read does not read the file, and what will; the columns are listed already.
local function unread(lines, path, text, e)
  local line = err.line(e):gsub("^" .. path:gsub("%p", "%%%0") .. ": ", "")
  local hint = err.is(e) and e.hint
  put(lines, "not read", (line:gsub(" %(obs has:.*$", ""):gsub(" %(try:.*$", "")))
  if not line:find("no perturbation column", 1, true) then
    return put(lines, "read", code(('data.read("%s", { %s })'):format(text, hint and hint:match "^[%w_]+=.*" or "...")))
  end
  if hint and not hint:find("COLUMN", 1, true) then
    put(lines, "read", code(('data.read("%s", { %s }) -- perhaps'):format(text, hint)))
  end
  put(lines, "read", code(('data.read("%s", { perturbation = false }) -- if every cell is a control'):format(text)))
end

-- What data.read makes of the file, or why it does not.
local function reading(lines, path, text, graphs, convention)
  local data = require "dynamo.data"
  local atlas = convention == "CELLxGENE"
  local ok, D = pcall(data.read, path, atlas and { perturbation = false } or nil)
  if not ok then return unread(lines, path, text, D) end
  local more = tostring(D):match "\n(.*)$" or ""
  for line in more:gmatch "[^\n]+" do put(lines, line:match "^%s*(%S+)", line:match "^%s*%S+%s+(.*)$" or "") end
  for _, note in ipairs(D.notes) do put(lines, "note", note) end
  coverage(lines, D, graphs)
  put(lines, "read", code((atlas and 'data.read("%s", { perturbation = false }) -- cells without perturbation'
    or 'data.read "%s"'):format(text)))
end

local function h5(path, word, graphs)
  if word ~= "mex" then core.h5_probe(path) end
  local f = word == "mex" and require("dynamo.mex").open(path) or core.h5_open(path)
  local kind = f:kind()
  if kind == "other" or kind == "model" then
    local what = kind == "model" and "a model of dynamo" or "an HDF5 file of another kind"
    local lines = { ("%s: %s"):format(safe(path), what) }
    for i, d in ipairs(f:describe()) do
      if i <= 20 then put(lines, safe(d.path or d[1]), safe(d.what or d[2])) end
    end
    if kind == "model" then put(lines, "read", code(('load "%s"'):format(safe(path)))) end
    f:close()
    return lines
  end
  local n, g = f:size()
  local name = kind == "10x" and "10x matrix" or kind == "loom" and "loom" or ("AnnData (layout of %s)"):format(f:generation())
  local lines = { ("%s: %s, %s cells x %s genes"):format(safe(path), name, commas(n), commas(g)) }
  local ok, x, info = pcall(f.matrix, f, nil)
  put(lines, "X", ok and range_text(x, info) or err.line(x))
  if #f:layers() > 0 then put(lines, "layers", roles.some(f:layers(), 12)) end
  put(lines, "genes", roles.some(f:names "var", 6))
  local convention = kind == "h5ad" and roles.convention(f) or nil
  if convention then put(lines, "written", "as files of " .. convention) end
  columns_text(lines, f, "obs")
  columns_text(lines, f, "var")
  f:close()
  reading(lines, path, safe(path), graphs, convention)
  return lines
end

-- ---- text ---------------------------------------------------------------------------------

local function edges(path)
  local t = core.read_edges(path, {})
  local lines = { ("%s: a network, %s edges between %s genes%s"):format(safe(path), commas(t.from:size(1)),
    commas(#t.names), t.signed and ", signed" or "") }
  put(lines, "lines", ("%s; %s repeats merged, %s self-loops dropped, %s contradictory signs"):format(
    commas(t.lines or 0), commas(t.repeats or 0), commas(t.loops or 0), commas(t.conflicts or 0)))
  put(lines, "genes", roles.some(t.names, 8))
  put(lines, "read", code(('graph.read "%s"'):format(safe(path))))
  return lines
end

local function gmt(path)
  local sets, genes, least, most = core.read_gmt(path), {}, math.huge, 0
  for _, s in ipairs(sets) do
    least, most = math.min(least, #s.genes), math.max(most, #s.genes)
    for _, g in ipairs(s.genes) do genes[g] = true end
  end
  local lines = { ("%s: gene sets, %s sets of %s to %s genes, %s genes"):format(safe(path), commas(#sets),
    commas(#sets > 0 and least or 0), commas(most), commas(#label.sorted_keys(genes))) }
  put(lines, "first", sets[1] and ("%s: %s"):format(safe(sets[1].name), roles.some(sets[1].genes, 6)) or "none")
  put(lines, "read", code(('annotation.read "%s"'):format(safe(path))))
  return lines
end

local function vectors(path)
  local t = core.read_vectors(path, {})
  local lines = { ("%s: gene vectors, %s genes x %s"):format(safe(path), commas(#t.names), commas(t.values:size(2))) }
  put(lines, "genes", roles.some(t.names, 8))
  put(lines, "range", ("%.4g .. %.4g"):format(t.values:min():item(), t.values:max():item()))
  if t.note then put(lines, "note", t.note) end
  put(lines, "read", code(('embed.read "%s"'):format(safe(path))))
  return lines
end

local function long(path, _, graphs)
  local t = core.read_long(path, {})
  local n = t.rows:size(1)
  local lines = { ("%s: a table of responses, %s values, %s perturbations x %s genes"):format(safe(path), commas(n),
    commas(#t.perturbations), commas(#t.genes)) }
  for _, role in ipairs(label.sorted_keys(t.columns or {})) do
    put(lines, role, ("column '%s'"):format(safe(tostring(t.columns[role]))))
  end
  put(lines, "values", t.binary and ("labels, %.1f%% are 1"):format(100 * t.values:mean():item()) or
    ("%.4g .. %.4g"):format(t.values:min():item(), t.values:max():item()))
  put(lines, "observed", ("%.1f%% of all pairs"):format(100 * n / (#t.pairs * #t.genes)))
  local parts, count = {}, {}
  for _, p in ipairs(t.pairs) do
    if p[3] then count[p[3]] = (count[p[3]] or 0) + 1 end
  end
  for _, part in ipairs(label.sorted_keys(count)) do
    parts[#parts + 1] = ("%s %s"):format(commas(count[part]), safe(part))
  end
  if #parts > 0 then put(lines, "parts", table.concat(parts, ", ")) end
  if graphs and #graphs > 0 then coverage(lines, require("dynamo.data").read(path, { kind = "effect" }), graphs) end
  put(lines, "read", code(('data.read "%s"'):format(safe(path))))
  return lines
end

-- Times, doses, numbers of samples: not names of genes.
local function all_numbers(list)
  for _, s in ipairs(list) do if not tonumber(s) then return false end end
  return #list > 0
end

local function wide(path)
  local t = core.read_matrix(path, {})
  local lines = { ("%s: a matrix, %s rows x %s columns%s"):format(safe(path), commas(#t.rows), commas(#t.columns),
    (t.missing or 0) > 0 and (", %s missing"):format(commas(t.missing)) or "") }
  put(lines, "rows", roles.some(t.rows, 6))
  put(lines, "columns", roles.some(t.columns, 6))
  if all_numbers(t.columns) then
    put(lines, "note", "the columns have numbers for names: genes are the rows, samples the columns")
    put(lines, "read", code(('embed.coexpression { expression = "%s" }'):format(safe(path))))
  end
  put(lines, "read", code(('data.read("%s", { rows = "%s" })'):format(safe(path),
    all_numbers(t.columns) and "genes" or "perturbations")))
  return lines
end

-- npy, npz, safetensors: what arrays there are.
local function arrays(path, kind)
  local lines = {}
  if kind == "safetensors" then
    local info, meta = core.safetensors_info(path)
    lines[1] = ("%s: safetensors, %d tensors"):format(safe(path), #info)
    for i, t in ipairs(info) do
      if i <= 20 then put(lines, safe(t.name), ("%s %s"):format(t.dtype, table.concat(t.shape, " x "))) end
    end
    for _, key in ipairs(label.sorted_keys(meta)) do put(lines, "metadata", safe(key)) end
  else
    local values, names = nil, { "" }
    if kind == "npy" then values = { [""] = core.npy_read(path) } else values, names = core.npz_read(path) end
    lines[1] = ("%s: %s, %d array%s"):format(safe(path), kind, #names, #names == 1 and "" or "s")
    for _, name in ipairs(names) do
      local v = values[name]
      put(lines, safe(name), type(v) == "table" and ("%s strings: %s"):format(commas(#v), roles.some(v, 6)) or
        ("%s %s"):format(v:type(), table.concat({ v:size() }, " x ")))
    end
  end
  put(lines, "read", code(('read "%s"'):format(safe(path))) .. " or " .. code(('embed.read("%s"%s)'):format(safe(path),
    kind == "npy" and ', { names = "FILE" }' or "")))
  return lines
end

local readers = { npy = arrays, npz = arrays, safetensors = arrays, h5 = h5, mex = h5, dynamo = h5, edges = edges, gmt = gmt, vectors = vectors, long = long, wide = wide }

-- What a table of genes is good for: symbols, or texts to embed.
local function table_use(lines, path, t)
  if pcall(require("dynamo.symbols").read, path) then
    put(lines, "read", code(('data.read(FILE, { symbols = "%s" })'):format(safe(path))))
  end
  for _, name in ipairs(t.names) do
    if name:lower():find "summary" or name:lower():find "description" or name:lower() == "text" then
      return put(lines, "read", code(('embed.text { texts = "%s" }'):format(safe(path))))
    end
  end
end

-- Text that is nothing we know: its columns.
local function plain(path, kind, reason)
  local ok, t = pcall(core.read_table or error, path, {})
  local first, hint = (reason or ""):gsub("^" .. path:gsub("%p", "%%%0") .. ": ", ""):match "^([^\n]*)\n?(.*)$"
  local why = first ~= "" and safe(first)
  local lines = { ("%s: %s%s"):format(safe(path), ok and kind or kind .. " that is no table", why and (" (%s)"):format(why) or "") }
  if hint ~= "" then put(lines, "hint", safe((hint:gsub("^hint: ", "")))) end
  if ok and t.names then
    put(lines, "columns", roles.some(t.names, 12))
    put(lines, "rows", commas(t.n or (t.data and t.data[1] and #t.data[1]) or 0))
    table_use(lines, path, t)
  end
  return lines
end

--- A summary of one file as lines of text. Raises EIO, EFORMAT (for formats that are not read: what to do instead).
---@param path string
---@param graphs? string[] networks: how many genes of the data are in them
---@return string[]
function M.describe(path, graphs)
  err.expect_file(path)
  local word, reason = require("dynamo.data")._sniff(path)
  local kind = tostring(word):gsub("^%w+:", "")
  local other = M.unread[kind]
  if other then err.raise { code = "EFORMAT", file = path, message = other.message, hint = other.hint } end
  if readers[kind] then return readers[kind](path, kind, graphs) end
  return plain(path, kind, reason)
end

--- The command: a summary of each file on standard output. A file that cannot be read does not stop the others; the
--- first such error is raised at the end, further ones are written to standard error.
---@param files string[]
---@param graphs? string[] networks whose coverage is wanted
function M.main(files, graphs)
  local first
  for i, path in ipairs(files) do
    local ok, lines = pcall(M.describe, path, graphs)
    if ok then
      io.write(i > 1 and "\n" or "", table.concat(lines, "\n"), "\n")
    elseif not first then
      first = lines
    else
      io.stderr:write("dynamo: ", err.line(lines), "\n")
    end
  end
  if first then error(first, 0) end
end

return M
