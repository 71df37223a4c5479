--- What the columns of an AnnData file mean: perturbation, control, context, batch, gene names.
--
-- Roles are decided by name, content and order, noted in one sentence each, and can all be overridden by name.
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = {}

local function words(text)
  local out = {}
  for w in text:gmatch "%S+" do out[#out + 1] = w end
  return out
end

M.candidates = {
  perturbation = words "perturbation condition target_gene gene_target perturbation_name gene target",
  context = words "cell_type cell_line celltype cell.type context",
  batch = words "batch gem_group batch_var sample replicate donor_id library lane",
  symbol = words "gene_name gene_names feature_name gene_symbol gene_symbols symbol gene_short_name",
  n_cells = words "n_cells ncells num_cells cell_count",
}

-- Who writes files like this: columns that all of them have ("a|b": one of these), in obs and in var; the most telling first.
local CONVENTIONS = {
  { "CELLxGENE", "cell_type_ontology_term_id assay_ontology_term_id", "feature_name" },
  { "Replogle et al.", "gene gene_transcript|sgID_AB gem_group", "gene_name" },
  { "scPerturb", "perturbation nperts|perturbation_type|ncounts", "" },
  { "GEARS", "condition condition_name|dose_val|cov_drug_dose_name", "gene_name" },
  { "State", "target_gene|gene batch|batch_var|gem_group|guide_id", "" },
  { "PerturBench", "condition cell_type|cell_line dataset|treatment|perturbation_type|ncounts|n_genes", "" },
}

local function has_all(kind, text)
  for _, names in ipairs(words(text)) do
    local one = false
    for name in names:gmatch "[^|]+" do one = one or kind[name] ~= nil end
    if not one then return false end
  end
  return true
end

local function fail(file, message, hint) err.raise { code = "EFORMAT", file = file, message = message, hint = hint } end

--- "a, b, c, …": at most n names.
function M.some(list, n)
  local out = {}
  for i = 1, math.min(n or 8, #list) do out[i] = label.safe(list[i]) end
  if #list > #out then out[#out + 1] = "…" end
  return table.concat(out, ", ")
end

local function column_names(f, axis)
  local names, kind = {}, {}
  for i, c in ipairs(f:columns(axis)) do names[i], kind[c.name] = c.name, c.kind end
  return names, kind
end

--- Whose conventions the columns of a file follow ("GEARS", "scPerturb", "PerturBench", "State", "CELLxGENE", ...), or nil.
---@return string?
function M.convention(f)
  local _, obs = column_names(f, "obs")
  local _, var = column_names(f, "var")
  for _, c in ipairs(CONVENTIONS) do
    if has_all(obs, c[2]) and has_all(var, c[3]) then return c[1] end
  end
end

local KIND = { number = "numbers", boolean = "true and false", text = "text" }

--- A column of obs or var that the user named; EFORMAT if it is not there (with the nearest name) or not text.
---@param axis "obs"|"var"
---@param want? "text"
function M.named_column(f, file, axis, name, want)
  local names, kind = column_names(f, axis)
  if not kind[name] then
    local near = options.nearest(name, names)
    fail(file, ("%s column '%s' not found (have: %s)%s"):format(axis, label.safe(name), #names > 0 and M.some(names)
      or "none",
      near and ("; did you mean '%s'?"):format(label.safe(near)) or ""))
  end
  if want and kind[name] ~= want then
    fail(file, ("%s column '%s' holds %s, text was expected"):format(axis, label.safe(name), KIND[kind[name]]
      or kind[name]))
  end
  return f:column(axis, name)
end

-- The candidates of a role that are columns of obs with this kind.
local function present(f, role, kinds)
  local _, kind = column_names(f, "obs")
  local out = {}
  for _, name in ipairs(M.candidates[role]) do
    if kind[name] and (not kinds or kinds == kind[name]) then out[#out + 1] = name end
  end
  return out
end

-- How many rows have each level, as a list of { name, count } by falling count.
local function level_counts(column)
  local count, out = {}, {}
  for _, c in ipairs(column.codes) do count[c] = (count[c] or 0) + 1 end
  for i, name in ipairs(column.levels) do
    if count[i] then out[#out + 1] = { name, count[i] } end
  end
  table.sort(out, function(a, b) return a[2] > b[2] or a[2] == b[2] and a[1] < b[1] end)
  return out
end
M.level_counts = level_counts

-- A control, or nothing but controls: "NegCtrl10_NegCtrl0".
local function only_controls(s, is_control)
  if is_control(s) then return true end
  for _, separators in ipairs { "[^+|;,&]+", "[^_]+" } do
    local all, n = true, 0
    for part in s:gmatch(separators) do all, n = all and is_control(part), n + 1 end
    if all and n > 1 then return true end
  end
  return false
end

local function has_control(column, is_control)
  for _, level in ipairs(level_counts(column)) do
    if only_controls(level[1], is_control) then return true end
  end
  return false
end

-- A boolean column that marks the control cells: a function of the row, or nil.
local function control_flag(f)
  local _, kind = column_names(f, "obs")
  for _, name in ipairs { "control", "is_control" } do
    if kind[name] == "boolean" then
      local values = f:column("obs", name).values
      return function(i) return values:get(i) == 1 end, name
    end
  end
end

-- Which label was probably meant to be the control: one that contains a usual word, else the most frequent.
local function likely_control(counts)
  for _, level in ipairs(counts) do
    local low = level[1]:lower()
    for _, w in ipairs { "non-target", "nontarget", "non_target", "control", "ctrl", "unperturbed", "scramble",
      "mock", "neg" } do
      if low:find(w, 1, true) then return level[1] end
    end
  end
  return counts[1] and counts[1][1]
end

local function no_control(file, name, counts, given)
  local shown = {}
  for i = 1, math.min(4, #counts) do shown[i] = ("%s (%.0f)"):format(label.safe(counts[i][1]), counts[i][2]) end
  local frequent = ("most frequent: %s%s"):format(table.concat(shown, ", "), #counts > 4 and ", …" or "")
  if given then
    local names = {}
    for i, c in ipairs(counts) do names[i] = c[1] end
    local near = options.nearest(given, names)
    fail(file, ("obs '%s': control label '%s' not found%s (%s)"):format(label.safe(name), label.safe(given),
      near and ("; did you mean '%s'?"):format(label.safe(near)) or "", frequent))
  end
  local likely = likely_control(counts)
  fail(file, ("obs '%s': no control label (%s)"):format(label.safe(name), frequent),
    likely and ('control="%s"'):format(label.safe(likely)) or nil)
end

-- The column of a file without a name that we know: of those whose name has the first of some words, the one that tells
-- most cells apart.
local function no_column(f, file)
  local names, kind = column_names(f, "obs")
  local text, most = nil, 0
  for _, w in ipairs { "pert", "guide", "sgrna", "target", "gene", "condition", "knock", "crispr" } do
    for _, name in ipairs(text and {} or names) do
      local levels = kind[name] == "text" and name:lower():find(w, 1, true) and #f:column("obs", name).levels or 0
      if levels > most then text, most = name, levels end
    end
    if text then break end
  end
  fail(file, ("no perturbation column (obs has: %s)"):format(#names > 0 and M.some(names) or "no columns"),
    ('perturbation="%s"'):format(text and label.safe(text) or "COLUMN"))
end

--- The perturbation column and who is a control: { column =, levels =, codes =, is_control = f(label), flag = f(row) or
--- nil, raw levels }. `effects`: no control is needed. Notes go to `notes`. EFORMAT as in the manual of formats.
function M.perturbation(f, file, o, effects, notes)
  local is_control = label.control_test(o.control)
  local flag, flag_name
  if not o.control then flag, flag_name = control_flag(f) end
  local function usable(column) return flag or effects or has_control(column, is_control) end
  local chosen, column, also = o.perturbation, nil, {}
  if chosen then
    column = M.named_column(f, file, "obs", chosen, "text")
  else
    local list = present(f, "perturbation", "text")
    for _, name in ipairs(list) do
      local c = f:column("obs", name)
      if usable(c) then
        if chosen then also[#also + 1] = name else chosen, column = name, c end
      end
    end
    if not chosen and #list == 0 then no_column(f, file) end
    if not chosen then chosen, column = list[1], f:column("obs", list[1]) end
    if #also > 0 then
      notes[#notes + 1] = ("using obs '%s'; '%s' would fit too"):format(label.safe(chosen), label.safe(also[1]))
    end
  end
  if not usable(column) then
    no_control(file, chosen, level_counts(column), type(o.control) == "table" and table.concat(o.control, " ")
      or o.control)
  end
  if flag then notes[#notes + 1] = ("controls are marked in obs '%s'"):format(flag_name) end
  return { column = chosen, levels = column.levels, codes = column.codes, is_control = is_control, flag = flag }
end

-- Names of genes, and those of their guides with the gene, found when asked for.
local function known_names(genes, guides)
  local known = {}
  for _, g in ipairs(genes) do known[g] = g end
  if guides == false then return known end
  local names = {}
  return setmetatable(names, { __index = function(t, s)
    local gene = known[s] or label.guide(s, known) or false
    rawset(t, s, gene)
    return gene
  end })
end

-- What a token of a label is called: the gene of a guide, the symbol of an alias; and notes about that.
local function renamer(known, symbols)
  local done, count = {}, { guides = 0, symbols = 0 }
  return function(token)
    if done[token] then return done[token] end
    local name = known[token] or token
    if name ~= token then count.guides = count.guides + 1 end
    local symbol = symbols and symbols.of(name) or name
    if symbol ~= name then count.symbols = count.symbols + 1 end
    done[token] = symbol
    return symbol
  end, count
end

--- Normalised labels of the levels of a column ("control", "A", "A+B"), and the separator that was used.
---@param o table options of data.read: combine (separator; nil: found out, false: labels are not split), guides
---@param symbols? table { of = f(name) }, see roles.symbols
---@param notes string[]
function M.normalise(file, levels, is_control, genes, o, symbols, notes)
  local known, out, sep = known_names(genes, o.guides), {}, o.combine
  if sep == nil then sep = label.separator(levels, is_control, known) or false end
  local rename, count = renamer(known, symbols)
  local split = label.splitter(rename, is_control, sep)
  for i, s in ipairs(levels) do
    local ok, name = pcall(split, s)
    if not ok then fail(file, err.line(name)) end
    out[i] = name
  end
  if count.guides > 0 then
    notes[#notes + 1] = ("%d names of guides stand for their genes (guides=false keeps them apart)"):format(count.guides)
  end
  if count.symbols > 0 then notes[#notes + 1] = ("%d perturbed genes have another symbol now"):format(count.symbols) end
  return out, sep or nil
end

--- Gene names by a table of symbols (dynamo.symbols): the new names, the report, and `of` for any name. A gene whose symbol
--- another one has keeps its own name.
---@param genes string[]
---@param path string see symbols.read
---@param notes string[]
---@return string[] genes
---@return table { report =, of = f(name) }
function M.symbols(genes, path, notes)
  local symbols = require "dynamo.symbols"
  local names = symbols.read(path)
  local mapped, report = symbols.map(genes, names)
  local taken, out, of, kept = {}, {}, {}, 0
  for i, g in ipairs(genes) do if mapped[i] == g then taken[g] = true end end
  for i, s in ipairs(mapped) do
    if s ~= genes[i] and taken[s] then
      out[i], kept = genes[i], kept + 1
    else
      out[i] = s
    end
    taken[out[i]], of[genes[i]] = true, out[i]
  end
  notes[#notes + 1] = "symbols: " .. tostring(report):gsub("\n%s*", "; ")
    .. (kept > 0 and ("; %d keep their name, another gene has the symbol"):format(kept) or "")
  return out, { report = report, of = function(name) return of[name] or (symbols.map({ name }, names))[1] end }
end

--- Normalised labels of a Dataset's perturbations, and their separator; genes and labels get their symbols first, if there
--- is a table of them (D.symbols has the report).
function M.labels(D, o, levels, is_control)
  local genes = D.genes
  if o.symbols then D.genes, D.symbols = M.symbols(genes, o.symbols, D.notes) end
  return M.normalise(D.file, levels, is_control, genes, o, D.symbols, D.notes)
end

--- The context column { column =, levels =, codes = }, or nil if the file has none.
function M.context(f, file, o, notes)
  local name = o.context
  if name == false then return nil end
  if not name then
    local list = present(f, "context", "text")
    name = list[1]
    if not name then return nil end
    if #list > 1 then
      notes[#notes + 1] = ("context is obs '%s'; '%s' would fit too"):format(label.safe(name), label.safe(list[2]))
    end
  end
  local column = M.named_column(f, file, "obs", name, "text")
  return { column = name, levels = column.levels, codes = column.codes }
end

-- A column of numbers as text: each number is a level.
local function number_levels(column)
  local levels, at, codes = {}, {}, {}
  for i, v in ipairs(column.values:totable()) do
    local k = v == v and ("%.14g"):format(v) or nil
    if k and not at[k] then
      levels[#levels + 1] = k
      at[k] = #levels
    end
    codes[i] = k and at[k] or 0
  end
  return { levels = levels, codes = codes }
end

--- The name of the batch column and the column { levels =, codes = }, or nil.
function M.batch(f, file, o)
  if o.batch then M.named_column(f, file, "obs", o.batch) end
  local name = o.batch or present(f, "batch")[1]
  if not name then return nil end
  local column = f:column("obs", name)
  if column.levels then return name, { levels = column.levels, codes = column.codes } end
  return name, column.values and number_levels(column) or nil
end

--- A numeric column with the number of cells behind each row, or nil.
function M.cell_counts(f)
  local name = present(f, "n_cells", "number")[1]
  return name and f:column("obs", name).values
end

local PARTS = { train = true, test = true, validate = true, val = true, valid = true, validation = true,
  training = true }

--- The column with train and test { levels, codes }: the one named, or 'split' if its words are parts.
function M.split(f, file, o)
  if o.split then return M.named_column(f, file, "obs", o.split, "text") end
  local _, kind = column_names(f, "obs")
  if kind.split ~= "text" then return nil end
  local column = f:column("obs", "split")
  for _, level in ipairs(level_counts(column)) do
    if not PARTS[level[1]:lower()] then return nil end
  end
  return column
end

local function ensembl(names)
  local n = 0
  for i = 1, math.min(#names, 100) do
    if names[i]:match "^ENS%u*G%d%d%d%d%d%d%d%d%d%d%d" then n = n + 1 end
  end
  return n > 0 and n * 2 > math.min(#names, 100)
end

local function text_of(column)
  local out = {}
  for i, c in ipairs(column.codes) do out[i] = c > 0 and column.levels[c] or "" end
  return out
end

--- Gene names: the var column asked for, a symbol column if the index has Ensembl ids, else the index.
---@param axis? string  "var" or "raw"
function M.gene_names(f, file, o, notes, axis)
  if axis == "raw" then return f:names "raw" end
  if o.genes then return text_of(M.named_column(f, file, "var", o.genes, "text")) end
  local names = f:names "var"
  if not ensembl(names) then return names end
  local _, kind = column_names(f, "var")
  for _, c in ipairs(M.candidates.symbol) do
    if kind[c] == "text" then
      notes[#notes + 1] = ("gene names from var '%s', the index has Ensembl ids"):format(c)
      return text_of(f:column("var", c)), c
    end
  end
  notes[#notes + 1] = "gene names are Ensembl ids; var has no column with symbols"
  return names
end

--- What to do with genes that occur twice: names to keep, a list of columns (first, suffix) or a map for sums.
---@param policy "error"|"first"|"sum"|"suffix"
---@return string[] names
---@return integer[]? columns to keep, for "first"
---@return integer[]? map from columns to names, for "sum"
function M.duplicates(f, file, names, policy, notes)
  local first, out, columns, map, repeats = {}, {}, {}, {}, 0
  for i, g in ipairs(names) do
    if not first[g] then
      out[#out + 1], columns[#columns + 1] = g, i
      first[g], map[i] = #out, #out
    else
      repeats = repeats + 1
      map[i] = first[g]
      if policy == "error" then
        local others = {}
        for _, c in ipairs(f:columns "var") do
          if c.kind == "text" then others[#others + 1] = c.name end
        end
        fail(file, ("var: '%s' is there twice (genes %d and %d)"):format(label.safe(g), columns[first[g]], i),
          'duplicates="first", "sum" or "suffix"' .. (others[1] and (', or genes="%s"'):format(label.safe(others[1]))
            or ""))
      end
    end
  end
  if repeats == 0 then return names end
  notes[#notes + 1] = ("%d genes occur twice: duplicates=\"%s\""):format(repeats, policy)
  if policy == "first" then return out, columns end
  if policy == "sum" then return out, nil, map end
  local count, all = {}, {}
  for i, g in ipairs(names) do
    local name = g
    while count[name] do
      count[g] = count[g] + 1
      name = g .. "-" .. (count[g] - 1)
    end
    count[name], all[i] = count[name] or 1, name
  end
  return all
end

return M
