--- Names of genes: approved and previous symbols, aliases, Ensembl and Entrez ids, mapped to symbols with a report of
-- what could not be mapped. Names change case never by themselves; what has two answers has none.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"

local M = { schema = {} }

local function fail(file, message, hint) err.raise { code = "EFORMAT", file = file, message = message, hint = hint } end

-- Columns of the tables that people have: HGNC's complete set and custom downloads, and small tables of three columns.
local COLUMNS = {
  symbol = "symbol|approved symbol|approved_symbol|human_gene_symbol|gene_symbol|gene_name",
  previous = "prev_symbol|previous symbols|previous_symbols|previous",
  alias = "alias_symbol|alias symbols|alias|aliases|synonyms",
  ensembl = "ensembl_gene_id|ensembl gene id|human_ensembl_gene|ensembl|ensembl_id|gene_id",
  entrez = "entrez_id|ncbi gene id|human_entrez_gene|entrez|entrez_gene_id",
}
local RULES = { "exact", "symbol", "previous", "alias", "ensembl", "entrez" }

local function column(t, words)
  for word in words:gmatch "[^|]+" do
    for j, name in ipairs(t.names) do if name:lower() == word then return t.data[j] end end
  end
end

local function each(text, f)
  for part in (text or ""):gsub(", ", "|"):gmatch "[^|]+" do
    part = part:match '^%s*"?(.-)"?%s*$'
    if part ~= "" and part ~= "NA" then f(part) end
  end
end

-- A second, different answer makes a name ambiguous (false).
local function add(map, key, symbol)
  if map[key] == nil then map[key] = symbol elseif map[key] ~= symbol then map[key] = false end
end

local keys = {
  ensembl = function(s) return (s:gsub("%.%d+$", "")) end,
  entrez = function(s) return (s:gsub("%.0$", "")) end,
}

--- A table of names: HGNC's complete set or a custom download, or any table with `symbol` and one of `alias`, `previous`,
--- `ensembl`, `entrez` (several names in a field are joined by `|` or `, `). Raises EIO, EFORMAT.
---@param path string
---@return table names, for symbols.map
function M.read(path)
  local t = core.read_table(path, {})
  if t.names[1] == "1" then -- text alone: line 1 was not taken for a header
    for j in ipairs(t.names) do t.names[j] = table.remove(t.data[j], 1) or "" end
  end
  local symbols = column(t, COLUMNS.symbol)
  if not symbols then
    fail(path, ("no column with symbols (have: %s)"):format(table.concat(t.names, ", ", 1, math.min(8, #t.names))))
  end
  local names, found = { file = path, symbol = {}, previous = {}, alias = {}, ensembl = {}, entrez = {} }, false
  for _, s in ipairs(symbols) do if s ~= "" and s ~= "NA" then names.symbol[s] = s end end
  for _, rule in ipairs { "previous", "alias", "ensembl", "entrez" } do
    local list = column(t, COLUMNS[rule])
    found = found or list ~= nil
    for i, text in ipairs(list or {}) do
      local s = symbols[i]
      if names.symbol[s] then each(text, function(part) add(names[rule], (keys[rule] or tostring)(part), s) end) end
    end
  end
  if not found then fail(path, "no column with aliases, previous symbols, Ensembl or Entrez ids") end
  return names
end

-- ---- one name -------------------------------------------------------------------------------------

local MONTHS = { Mar = "MARCHF", Sep = "SEPTIN", Dec = "DELEC" }

--- The symbol that a spreadsheet made a date of: "1-Mar" and "Mar-01" are MARCHF1; nil for other names.
---@param name string
---@return string?
function M.date(name)
  local day, month = name:match "^(%d%d?)%-(%a%a%a)$"
  if not day then month, day = name:match "^(%a%a%a)%-(%d%d?)$" end
  local family = month and MONTHS[month:sub(1, 1):upper() .. month:sub(2):lower()]
  return family and family .. tonumber(day) or nil
end

-- Symbol and rule, or nil and "ambiguous" or "unmatched".
local function resolve(names, known, name)
  if known and known[name] then return name, "exact" end
  local doubtful = false
  for k = 2, #RULES do
    local rule = RULES[k]
    local s = names[rule][(keys[rule] or tostring)(name)]
    if s then return s, rule end
    doubtful = doubtful or s == false
  end
  return nil, doubtful and "ambiguous" or "unmatched"
end

local Report = {}
Report.__index = Report

local function some(list)
  local out = {}
  for i = 1, math.min(8, #list) do out[i] = label.safe(list[i]) end
  if #list > 8 then out[9] = "…" end
  return table.concat(out, ", ")
end

function Report:__tostring()
  local parts = {}
  for _, rule in ipairs(RULES) do
    if self.count[rule] then parts[#parts + 1] = ("%s %d"):format(rule, self.count[rule]) end
  end
  local lines = { ("%d of %d names mapped (%s)"):format(self.mapped, self.n, table.concat(parts, ", ")) }
  for _, what in ipairs { "unmatched", "ambiguous", "merged", "dates", "case" } do
    local list = self[what]
    local text = { dates = "dates of a spreadsheet", case = "would match in capitals (another species?)",
      merged = "map to a symbol that another name has" }
    if #list > 0 then lines[#lines + 1] = ("  %s %d: %s"):format(text[what] or what, #list, some(list)) end
  end
  return table.concat(lines, "\n")
end

--- Map names to symbols: exact (in `known`), approved, previous, alias, Ensembl id (version ignored), Entrez id; the first
--- rule with one answer counts, two answers are none. Names that are not mapped stay as they are.
---
--- The report has count (per rule), unmatched, ambiguous, merged (a symbol that an earlier name got), dates (what a
--- spreadsheet made of MARCHF1 and SEPTIN2; mapped), case (unmatched that would match in capitals); it prints itself.
---@param list string[]
---@param names table from symbols.read, or a path to read
---@param known? table<string, boolean> names that are right as they are
---@return string[] mapped, as long as the list
---@return table report
function M.map(list, names, known)
  if type(names) == "string" then names = M.read(names) end
  local out, taken = {}, {}
  local r = setmetatable({ n = #list, mapped = 0, count = {}, unmatched = {}, ambiguous = {}, merged = {}, dates = {},
    case = {} }, Report)
  for i, name in ipairs(list) do
    local s, rule = resolve(names, known, name)
    local dated = not s and M.date(name)
    if dated then
      r.dates[#r.dates + 1] = name
      s, rule = resolve(names, known, dated)
    end
    if s then
      r.mapped, r.count[rule] = r.mapped + 1, (r.count[rule] or 0) + 1
      if taken[s] then r.merged[#r.merged + 1] = name end
      taken[s] = true
    else
      r[rule][#r[rule] + 1] = name
      if name ~= name:upper() and resolve(names, known, name:upper()) then r.case[#r.case + 1] = name end
    end
    out[i] = s or name
  end
  return out, r
end

return M
