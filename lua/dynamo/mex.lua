--- 10x folders (matrix.mtx, features.tsv or genes.tsv, barcodes.tsv), with the methods of an H5File: what reads one reads
-- the other. Columns of cells come from barcodes.tsv and from a table that is named (`cells`).
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = {}

local function fail(file, message, hint) err.raise { code = "EFORMAT", file = file, message = message, hint = hint } end

local function commas(n) return require("dynamo.responses").commas(n) end

-- ---- files --------------------------------------------------------------------------------------

-- The first of prefix .. name [.gz|.zst] that exists.
local function find(prefix, names)
  for _, name in ipairs(names) do
    for _, ext in ipairs { "", ".gz", ".zst" } do
      if core.stat(prefix .. name .. ext) then return prefix .. name .. ext, name end
    end
  end
end

-- The folder, or the prefix, that the files of a matrix share.
local function prefix_of(path)
  local before = path:match "^(.-)matrix%.mtx%.?%w*$"
  if before and not core.stat(path .. "/matrix.mtx") then return before end
  return path:gsub("/*$", "") .. "/"
end

-- All rows of a table without header, as lists per column; `n` rows are expected (one more: the first is a header).
local function columns(path, n, what)
  local t = core.read_table(path, {})
  local header = t.names[1] ~= "1"
  if header and t.n == n - 1 then -- what looked like a header is the first row
    for j, name in ipairs(t.names) do table.insert(t.data[j], 1, name) end
    t.n, header = n, false
  elseif not header and t.n == n + 1 then
    for j in ipairs(t.names) do t.names[j] = table.remove(t.data[j], 1) end
    t.n, header = n, true
  end
  if t.n ~= n then
    fail(path, ("%s lines for %s %s"):format(commas(t.n), commas(n), what))
  end
  return t, header
end

-- ---- columns ------------------------------------------------------------------------------------

local function all_numbers(list)
  for _, v in ipairs(list) do
    if v ~= "" and v ~= "NA" and not tonumber(v) then return false end
  end
  return #list > 0
end

-- A column as H5File:column gives it.
local function column(list)
  if all_numbers(list) then
    local values = {}
    for i, v in ipairs(list) do values[i] = tonumber(v) or 0 / 0 end
    return { kind = "number", values = core.tensor(values, "double") }
  end
  local levels, codes, known = {}, {}, {}
  for i, v in ipairs(list) do
    if v == "" or v == "NA" then
      codes[i] = 0
    else
      if not known[v] then
        levels[#levels + 1] = v
        known[v] = #levels
      end
      codes[i] = known[v]
    end
  end
  return { kind = "text", levels = levels, codes = codes }
end

local KEYS = { "cell_barcode", "barcode", "barcodes", "cell", "cell_id", "index", "" }

-- Columns of a table of cells, in the order of the barcodes.
local function add_cells(frame, path, barcodes)
  local t = core.read_table(path, {})
  if t.names[1] == "1" and #t.names > 1 then -- text alone: line 1 was not taken for a header
    for j in ipairs(t.names) do t.names[j] = table.remove(t.data[j], 1) or "" end
    t.n = t.n - 1
  end
  local key = 1
  for k = #KEYS, 1, -1 do
    for j, name in ipairs(t.names) do if name:lower() == KEYS[k] then key = j end end
  end
  local row, hits = {}, 0
  for i, name in ipairs(t.data[key]) do row[name] = i end
  for _, b in ipairs(barcodes) do if row[b] then hits = hits + 1 end end
  if hits == 0 then
    fail(path, ("none of its %s cells is a barcode (first: '%s'; barcodes: '%s')"):format(commas(t.n),
      label.safe(t.data[key][1] or ""), label.safe(barcodes[1] or "")))
  end
  for j, name in ipairs(t.names) do
    if j ~= key then
      local list = {}
      for i, b in ipairs(barcodes) do list[i] = row[b] and t.data[j][row[b]] or "" end
      frame[#frame + 1] = { name = name, data = column(list) }
    end
  end
  return hits
end

-- ---- the object ---------------------------------------------------------------------------------

local folder = {}
folder.__index = folder

function folder:kind() return "10x" end
function folder:generation() return "mex" end
function folder:path() return self.file end
function folder:close() self.x = nil end
function folder:layers() return {} end
function folder:obsm() return {} end
function folder:varm() return {} end
function folder:size() return #self.index.obs, #self.index.var end
function folder:names(axis) return self.index[axis] or {} end

function folder:columns(axis)
  local out = {}
  for i, c in ipairs(self.frame[axis] or {}) do out[i] = { name = c.name, kind = c.data.kind } end
  return out
end

function folder:column(axis, name)
  local names = {}
  for i, c in ipairs(self.frame[axis] or {}) do
    if c.name == name then return c.data end
    names[i] = c.name
  end
  fail(self.file, ("%s column '%s' not found%s"):format(axis, label.safe(name), options.suggestion(name, names)))
end

function folder:matrix(name)
  if name then fail(self.file, ("no matrix '%s': a 10x folder has one"):format(label.safe(name))) end
  return self.x, self.info
end

--- Open a 10x folder, or its matrix.mtx[.gz] (names before "matrix.mtx" are shared by the other files, as in GEO).
---
--- Raises EIO, EFORMAT: a file that is missing, "barcodes.tsv: 99 lines for 100 columns".
---@param path string
---@param o? table  cells: a table with a row per cell, whose columns join those of the cells
---@return table with the methods of H5File
function M.open(path, o)
  local prefix = prefix_of(path)
  local matrix = find(prefix, { "matrix.mtx" })
  local genes, kind = find(prefix, { "features.tsv", "genes.tsv" })
  local cells = find(prefix, { "barcodes.tsv" })
  if not matrix then fail(path, "no matrix.mtx in it") end
  if not genes then fail(path, "no features.tsv or genes.tsv beside matrix.mtx") end
  if not cells then fail(path, "no barcodes.tsv beside matrix.mtx") end
  local x, info = core.mtx_read(matrix, { transpose = true })
  local n, g = x:size()
  local f = setmetatable({ file = path, x = x, info = info, frame = { obs = {}, var = {} } }, folder)
  local t = columns(genes, g, "rows of the matrix")
  local symbol = #t.names > 1 and 2 or 1
  if symbol == 2 then f.frame.var[1] = { name = "gene_ids", data = column(t.data[1]) } end
  if #t.names > 2 and kind == "features.tsv" then
    f.frame.var[2] = { name = "feature_types", data = column(t.data[3]) }
  end
  local b, header = columns(cells, n, "columns of the matrix")
  f.index = { obs = b.data[1], var = t.data[symbol] }
  for j = 2, #b.names do
    f.frame.obs[j - 1] = { name = header and b.names[j] or ("column" .. j), data = column(b.data[j]) }
  end
  if o and o.cells then f.known = add_cells(f.frame.obs, o.cells, f.index.obs) end
  return f
end

return M
