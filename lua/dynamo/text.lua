--- Texts about genes (RefSeq summaries, GO terms) as vectors: what dynamo.embed.text is made of.
--
--     local t = dynamo.text.read "gene_summaries.tsv.gz"        -- columns found by their names
--     local e = dynamo.embed.text(t, { dim = 256 })
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.read = {
  id = { type = "string", help = "column of the names; default: symbol, gene, id or name, else the first" },
  text = { type = "string", help = "column of the texts; default: summary, description, text or definition, else the last" },
}

local IDS = { "symbol", "gene", "gene_symbol", "id", "name" }
local TEXTS = { "summary", "description", "text", "definition" }

-- The number of a column: as asked for, else the first of the usual names, else `default`.
local function column(names, asked, usual, default, path)
  local at, lower = {}, {}
  for j, name in ipairs(names) do
    at[name] = at[name] or j
    lower[name:lower()] = lower[name:lower()] or j
  end
  if asked then
    if at[asked] then return at[asked] end
    err.raise { code = "EOPTION", file = path, message = ("no column '%s'%s"):format(asked,
      options.suggestion(asked, names)) }
  end
  for _, name in ipairs(usual) do
    if lower[name] then return lower[name] end
  end
  return default
end

--- Read a table of names and texts (tab- or comma-separated, with a header, gz or not).
---
--- Texts of a name that occurs several times are joined; rows without a name or a text are left out and counted.
--- Raises EIO, EFORMAT (file, line), EOPTION for a column that is not there.
---@param path string
---@param opts? table  see `dynamo.text.schema.read`
---@return table # { names = {...}, texts = {...}, file =, empty = rows left out, joined = rows added to an earlier one }
function M.read(path, opts)
  local o = options.check("text.read", opts, M.schema.read)
  local t = core.read_table(path)
  if #t.names < 2 then err.raise { code = "EFORMAT", file = path, message = "one column, expected a name and a text" } end
  local id = t.data[column(t.names, o.id, IDS, 1, path)]
  local text = t.data[column(t.names, o.text, TEXTS, #t.names, path)]
  local r, at = { names = {}, texts = {}, file = path, empty = 0, joined = 0 }, {}
  for i = 1, t.n do
    local name = id[i]
    if name == "" or text[i] == "" then
      r.empty = r.empty + 1
    elseif at[name] then
      r.joined = r.joined + 1
      r.texts[at[name]] = r.texts[at[name]] .. " " .. text[i]
    else
      at[name] = #r.names + 1
      r.names[at[name]], r.texts[at[name]] = name, text[i]
    end
  end
  if #r.names == 0 then err.raise { code = "EFORMAT", file = path, message = "no row with a name and a text" } end
  return r
end

--- Names and texts of whatever was given: a file, { names =, texts = }, or a map from name to text (sorted by name).
---@param v string|table
---@return table # { names =, texts =, file = or nil }
function M.of(v)
  if type(v) == "string" then return M.read(v) end
  if type(v.names) == "table" and type(v.texts) == "table" then
    if #v.names == #v.texts then return v end
    err.raise { code = "EVALUE", message = ("text: %d names and %d texts"):format(#v.names, #v.texts) }
  end
  local r = { names = label.sorted_keys(v), texts = {} }
  for i, name in ipairs(r.names) do
    if type(v[name]) ~= "string" then
      err.raise { code = "EVALUE", message = ("text: the text of '%s' is not a string"):format(name) }
    end
    r.texts[i] = v[name]
  end
  return r
end

-- ---- words -------------------------------------------------------------------

local LENGTH = 64 -- words of a sequence; longer texts are several

-- The words of the texts that are terms, in their order: a matrix of their numbers, 0 behind the last of a text.
local function sequences(texts, terms)
  local number, flat, n = {}, {}, 0
  for i, term in ipairs(terms) do number[term] = i end
  for _, text in ipairs(texts) do
    for word in text:lower():gmatch "[%w_\128-\255]+" do
      if number[word] then
        n = n + 1
        flat[n] = number[word]
      end
    end
    while n % LENGTH ~= 0 do
      n = n + 1
      flat[n] = 0
    end
  end
  return core.tensor(flat, "double"):reshape(n / LENGTH, LENGTH)
end

--- Vectors of texts from those of their words: weighted means of word vectors that skip-gram learns from all texts, less the
--- mean of all. See dynamo.embed.text.
---@param texts string[]  what the word vectors are learned from
---@param terms string[]  the words that count
---@param weights userdata  Sparse (rows, terms), no row empty
---@param o table  options of core.word_vectors
---@return userdata vectors  tensor double (rows, dim)
---@return userdata words  tensor float (terms, dim)
function M.vectors(texts, terms, weights, o)
  local words = core.word_vectors(sequences(texts, terms), #terms, o)
  local v = weights:scale_rows(weights:row_sums():reciprocal()):matmul(words:to "double")
  return v - v:mean(1), words
end

--- Texts about genes from the names of the sets they are in: "GO_CELL_CYCLE_ARREST" says that a gene has to do with "cell
--- cycle arrest". The first word, which is the collection's, is left out.
---
---     local e = dynamo.embed.text(dynamo.text.of_sets "c5.bp.gmt.gz")
---@param sets table|string  GMT files, what annotation.read gives, or a list of { name =, genes = }
---@return table # { names = genes, sorted, texts = }
function M.of_sets(sets)
  local parts = {}
  for _, s in ipairs(require("dynamo.biology").sets(sets)) do
    local words = s.name:gsub("^[^_%s]+[_%s]", "", 1):gsub("_", " "):lower()
    for _, g in ipairs(s.genes) do
      parts[g] = parts[g] or {}
      table.insert(parts[g], words)
    end
  end
  local r = { names = label.sorted_keys(parts), texts = {} }
  for i, name in ipairs(r.names) do r.texts[i] = table.concat(parts[name], ". ") end
  return r
end

return M
