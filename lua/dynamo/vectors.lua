--- Gene vectors in files: npy, npz, safetensors (scGPT, Geneformer and others), AnnData, text; what dynamo.embed.read is
-- made of. What a file is, is seen from its content.
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local json = require "dynamo.json"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = {}

local function fail(file, message, hint) err.raise { code = "EFORMAT", file = file, message = message, hint = hint } end

local function commas(n) return require("dynamo.responses").commas(n) end

-- ---- names of rows --------------------------------------------------------------------------------

-- Names with their rows (from 0) as two lists, from a table name -> row.
local function sorted_rows(map, file)
  local names, rows = label.sorted_keys(map), {}
  for i, name in ipairs(names) do
    local row = map[name]
    if type(row) ~= "number" or row < 0 or row ~= math.floor(row) then
      fail(file, ("'%s': a row (0, 1, 2, ...) expected, found %s"):format(label.safe(name), options.quote(row)))
    end
    rows[i] = row
  end
  local order = {}
  for i = 1, #names do order[i] = i end
  table.sort(order, function(a, b) return rows[a] < rows[b] or rows[a] == rows[b] and names[a] < names[b] end)
  local n, r = {}, {}
  for k, i in ipairs(order) do n[k], r[k] = names[i], rows[i] end
  return n, r
end

local function strings(list, file)
  for i, name in ipairs(list) do
    if type(name) ~= "string" then fail(file, ("name %d is a %s"):format(i, type(name))) end
  end
  return list
end

-- A table of names: one column; or names and rows in two, in either order.
local function from_table(path)
  local t = core.read_table(path, {})
  if #t.names == 1 then return t.data[1] end
  local function numbers(column)
    for _, v in ipairs(column) do if not v:match "^%d+$" then return false end end
    return true
  end
  local rows = numbers(t.data[2]) and 2 or numbers(t.data[1]) and 1
  if not rows or #t.names ~= 2 then
    fail(path, ("names expected: one a line, or names and rows in two columns (found %d columns)"):format(#t.names))
  end
  local map = {}
  for i, row in ipairs(t.data[rows]) do map[t.data[3 - rows][i]] = tonumber(row) end
  return sorted_rows(map, path)
end

--- Names of rows: a list, or a file with one name a line, with names and rows (from 0) in two columns, or JSON with a
--- list or `{"KLF1": 17}` (scGPT's vocab.json).
---@param from string|string[]
---@return string[] names
---@return integer[]? rows from 0, where the source gives them
function M.names(from)
  if type(from) == "table" then return strings(from, "names") end
  if not tostring((core.sniff(from))):find "json$" then return from_table(from) end
  local value = json.decode(core.read_text(from), from)
  if type(value) ~= "table" then fail(from, "a list or an object with names expected") end
  if #value > 0 then return strings(value, from) end
  return sorted_rows(value, from)
end

-- ---- from matrix and names to an embedding ------------------------------------------------------------

-- Rows of the matrix and their names: without special tokens, each name once.
local function picked(file, x, names, rows)
  local keep, genes, seen, repeats, tokens = {}, {}, {}, 0, 0
  local n = x:size(1)
  for i, name in ipairs(names) do
    local row = rows and rows[i] or i - 1
    if row >= n then
      fail(file, ("'%s' is row %d, the matrix has %s rows (from 0)"):format(label.safe(name), row, commas(n)))
    end
    if name:match "^<.*>$" or name == "" then
      tokens = tokens + 1
    elseif seen[name] then
      repeats = repeats + 1
    else
      seen[name], keep[#keep + 1], genes[#genes + 1] = true, row + 1, name
    end
  end
  if #genes == 0 then fail(file, "no gene has a vector") end
  local note = {}
  if tokens > 0 then note[#note + 1] = ("%d special tokens left out"):format(tokens) end
  if repeats > 0 then note[#note + 1] = ("%d names again: the first is kept"):format(repeats) end
  local whole = #genes == n and #names == n and not rows
  return { names = genes, values = whole and x or x:index(1, keep), repeats = repeats, note = table.concat(note, "; ") }
end

local function shape(x)
  local sizes = { x:size() }
  for i, v in ipairs(sizes) do sizes[i] = ("%d"):format(v) end
  return table.concat(sizes, " x ")
end

-- The matrix with genes as rows.
local function upright(file, x, names, rows, transpose)
  local n, d = x:size()
  if not d or select("#", x:size()) ~= 2 then fail(file, ("a matrix expected, found shape %s"):format(shape(x))) end
  local turned = transpose
  if turned == nil and not rows then turned = #names ~= n and #names == d end
  if turned then x = x:t():clone() end
  n, d = x:size()
  if not rows and #names ~= n then
    fail(file, ("%s names for a matrix of %s"):format(commas(#names), shape(x)),
      'names="FILE" with a name per row, or with names and rows')
  end
  if d > 65536 then fail(file, ("%d dimensions, at most 65536"):format(d)) end
  return x, turned and "transposed" or nil
end

local function assemble(file, x, names, rows, o)
  local y, turned = upright(file, x, names, rows, o.transpose)
  local r = picked(file, y, names, rows)
  if turned then r.note = turned .. (r.note ~= "" and "; " .. r.note or "") end
  return r
end

-- ---- NumPy ------------------------------------------------------------------------------------------

--- Vectors of a .npy file, whose names are elsewhere (`o.names`).
---@param path string
---@param o table options of embed.read
---@return table { names, values, note }
function M.npy(path, o)
  if not o.names then
    fail(path, "a NumPy array has no gene names", 'names="FILE" with a name per row')
  end
  local x = core.npy_read(path)
  if type(x) == "table" then fail(path, "an array of text; numbers expected") end
  local names, rows = M.names(o.names)
  return assemble(path, x, names, rows, o)
end

local function is_matrix(x) return type(x) == "userdata" and select("#", x:size()) == 2 end

-- The member that was named, or the only matrix.
local function one_matrix(path, values, names, tensor)
  if tensor then
    if is_matrix(values[tensor]) then return values[tensor] end
    fail(path, ("no matrix '%s'%s"):format(label.safe(tensor), options.suggestion(tensor, names)))
  end
  local found, first = {}, nil
  for _, name in ipairs(names) do
    if is_matrix(values[name]) then
      found[#found + 1] = name
      first = first or values[name]
    end
  end
  if #found == 1 then return first end
  if #found == 0 then fail(path, "no matrix in it") end
  fail(path, ("%d matrices (%s)"):format(#found, table.concat(found, ", ")), ('tensor="%s"'):format(found[1]))
end

--- Vectors of a .npz archive: a matrix, and names in `IDs`, `genes` or `names` (PecanPy writes IDs and data).
---@param path string
---@param o table options of embed.read
---@return table { names, values, note }
function M.npz(path, o)
  local values, members = core.npz_read(path)
  local x = one_matrix(path, values, members, o.tensor)
  if o.names then
    local names, rows = M.names(o.names)
    return assemble(path, x, names, rows, o)
  end
  for _, key in ipairs { "IDs", "genes", "names", "gene_names", "symbols" } do
    if type(values[key]) == "table" then return assemble(path, x, values[key], nil, o) end
  end
  fail(path, ("no names (members: %s)"):format(table.concat(members, ", ")), 'names="FILE" with a name per row')
end

-- ---- safetensors --------------------------------------------------------------------------------------

local KNOWN = { "embedding", "encoder.embedding.weight", "bert.embeddings.word_embeddings.weight",
  "embeddings.word_embeddings.weight" }

-- The tensor with the vectors: the one named, one that is known, or the only matrix.
local function which_tensor(path, info, tensor)
  local all, matrices, has = {}, {}, {}
  for i, t in ipairs(info) do
    all[i], has[t.name] = t.name, true
    if #t.shape == 2 then matrices[#matrices + 1] = t.name end
  end
  if tensor then
    if has[tensor] then return tensor end
    fail(path, ("no tensor '%s'%s"):format(label.safe(tensor), options.suggestion(tensor, all)))
  end
  for _, name in ipairs(KNOWN) do if has[name] then return name end end
  if #matrices == 1 then return matrices[1] end
  if #matrices == 0 then fail(path, "no matrix in it") end
  fail(path, ("%d matrices (%s)"):format(#matrices, table.concat(matrices, ", ", 1, math.min(6, #matrices))),
    ('tensor="%s"'):format(matrices[1]))
end

--- LayerNorm of the rows of x (Ba, Kiros and Hinton 2016): (x - mean) / sqrt(variance + eps) * weight + bias.
---@param x userdata (n, d)
---@param weight userdata (d)
---@param bias userdata (d)
---@param eps? number default 1e-5
---@return userdata double (n, d)
function M.layer_norm(x, weight, bias, eps)
  local n, d = x:size()
  x = x:to "double"
  local centred = x - x:mean(2):reshape(n, 1)
  local scale = (centred:square():mean(2) + (eps or 1e-5)):sqrt():reshape(n, 1)
  return centred / scale * weight:to "double":reshape(1, d) + bias:to "double":reshape(1, d)
end

-- scGPT's gene embedding is what its LayerNorm makes of the rows.
local function normalised(path, x, name, info, o)
  local prefix = name:match "^(.*)embedding%.weight$"
  if o.norm == false or not prefix then return x end
  local w, b = prefix .. "enc_norm.weight", prefix .. "enc_norm.bias"
  local has = {}
  for _, t in ipairs(info) do has[t.name] = #t.shape == 1 and t.shape[1] == x:size(2) end
  if not (has[w] and has[b]) then return x end
  local t = core.safetensors_read(path, { only = { w, b } })
  return M.layer_norm(x, t[w], t[b]), "LayerNorm applied (norm=false: not)"
end

local function lines_of(text)
  local out = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do out[#out + 1] = line end
  return out
end

--- Vectors of a safetensors file: our own (`embedding`, metadata `genes`), scGPT's (`encoder.embedding.weight`, names
--- from vocab.json, LayerNorm applied), Geneformer's (word embeddings, names from a two-column table), or a tensor that
--- is named.
---@param path string
---@param o table options of embed.read
---@return table { names, values, note }
function M.safetensors(path, o)
  local info, meta = core.safetensors_info(path)
  local name = which_tensor(path, info, o.tensor)
  local x, note = normalised(path, core.safetensors_read(path, { only = { name } })[name], name, info, o)
  local names, rows
  if o.names then
    names, rows = M.names(o.names)
  elseif meta.genes then
    names = lines_of(meta.genes)
  else
    fail(path, ("tensor '%s' has no gene names"):format(label.safe(name)),
      'names="vocab.json", or a table of names and rows')
  end
  local r = assemble(path, x, names, rows, o)
  local parts = { ("tensor '%s'"):format(label.safe(name)) }
  if note then parts[#parts + 1] = note end
  if r.note ~= "" then parts[#parts + 1] = r.note end
  r.note = table.concat(parts, "; ")
  return r
end

-- ---- JSON -----------------------------------------------------------------------------------------------

--- Vectors of a JSON file { "KLF1": [0.1, ...], ... }: what a pickle of GenePT's becomes when Python writes it as text.
---@param path string
---@param o table options of embed.read
---@return table { names, values, note }
function M.json(path, o)
  local value = json.decode(core.read_text(path), path)
  if type(value) ~= "table" or #value > 0 or next(value) == nil then
    fail(path, "an object of gene names with a list of numbers each expected")
  end
  local names, rows = label.sorted_keys(value), {}
  for i, name in ipairs(names) do
    local v = value[name]
    if type(v) ~= "table" or #v == 0 or i > 1 and #v ~= #rows[1] then
      fail(path, ("'%s': %s, a list of %d numbers expected"):format(label.safe(name),
        type(v) == "table" and ("%d numbers"):format(#v) or options.quote(v), rows[1] and #rows[1] or 1))
    end
    for _, number in ipairs(v) do
      if type(number) ~= "number" then fail(path, ("'%s' has %s among its numbers"):format(label.safe(name), options.quote(number))) end
    end
    rows[i] = v
  end
  return assemble(path, core.tensor(rows), names, nil, { transpose = o.transpose or false })
end

-- ---- AnnData --------------------------------------------------------------------------------------------

-- "varm/X", "obsm/X", "X", and the axis whose names its rows have.
local function place(f, path, tensor)
  if tensor then
    local axis = tensor:match "^(obs)m/" or tensor:match "^(var)m/" or tensor == "X" and "obs"
    if not axis then
      for _, name in ipairs(f:varm()) do if name == tensor then return "varm/" .. name, "var" end end
      for _, name in ipairs(f:obsm()) do if name == tensor then return "obsm/" .. name, "obs" end end
      fail(path, ("no '%s' in varm or obsm (varm: %s)"):format(label.safe(tensor), table.concat(f:varm(), ", ")),
        'tensor="varm/NAME", or "X" if obs are the genes')
    end
    return tensor ~= "X" and tensor or nil, axis
  end
  local varm = f:varm()
  if #varm == 1 then return "varm/" .. varm[1], "var" end
  if #varm == 0 then return nil, "obs" end
  fail(path, ("%d matrices in varm (%s)"):format(#varm, table.concat(varm, ", ")), ('tensor="varm/%s"'):format(varm[1]))
end

--- Vectors of an .h5ad file: varm with the names of var; without varm, X with obs as genes.
---@param path string
---@param o table options of embed.read
---@return table { names, values, note }
function M.h5(path, o)
  core.h5_probe(path)
  local f = core.h5_open(path)
  if f:kind() ~= "h5ad" then
    f:close()
    fail(path, "an HDF5 file that is not AnnData")
  end
  local where, axis = place(f, path, o.tensor)
  local x = f:matrix(where)
  local names, rows = f:names(axis), nil
  f:close()
  if o.names then names, rows = M.names(o.names) end
  if core.is_sparse(x) then x = x:dense() end
  local r = assemble(path, x, names, rows, o)
  r.note = ("%s of %s"):format(where or "X", axis) .. (r.note ~= "" and "; " .. r.note or "")
  return r
end

-- ---- any of them -----------------------------------------------------------------------------------------

local binary = { npy = M.npy, npz = M.npz, safetensors = M.safetensors, h5 = M.h5, json = M.json }

-- With symbols for names; of names that become one symbol the first keeps its vector.
local function with_symbols(e, symbols)
  local names, report = require("dynamo.symbols").map(e.genes, symbols)
  local keep, genes, seen = {}, {}, {}
  for i, name in ipairs(names) do
    if not seen[name] then keep[#keep + 1], genes[#genes + 1] = i, name end
    seen[name] = true
  end
  return embedding.new { genes = genes, values = e.values:index(1, keep), source = e.source, note = e.note,
    mapping = report }
end

--- An Embedding from a file of any kind; see dynamo.embed.read.
---@param path string
---@param o table checked options of embed.read
---@return Embedding
function M.read(path, o)
  local kind = tostring((core.sniff(path))):gsub("^%w+:", "")
  local r = binary[kind] and binary[kind](path, o) or core.read_vectors(path, { transpose = o.transpose })
  local e = embedding.new { genes = r.names, values = r.values, source = tostring(path):match "[^/]*$", note = r.note }
  if o.symbols then e = with_symbols(e, o.symbols) end
  local mapping = e.mapping
  if o.genes then e = e:align(o.genes) end
  if o.dim and o.dim < e:dim() then e = e:pca(o.dim) end
  e.mapping = mapping
  return e
end

return M
