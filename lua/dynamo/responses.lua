--- Responses: mean changes of expression (or labels) per perturbation and context, what everything downstream works on.
--
-- A Responses is a table with
--
--     genes     names of the G measured genes               contexts  sorted names of the C cell lines or types
--     control   Tensor double (C, G): mean of the control cells, log1p units; zeros where the file has only effects
--     rows      N of { perturbation = "A+B", targets = { "A", "B" }, context =, n_cells =, part = "train"|... or nil },
--               sorted by context, then perturbation
--     delta     Tensor double (N, G): change against the control mean of the row's own context, or labels 0/1
--     mask      Tensor double (N, G): 1 observed, 0 not; nil when everything is observed
--     weight    Tensor double (N, G) of the entries, or nil: all 1
--     kind      "effect" | "label"
--     cells     nil, or { x = Sparse|Tensor float (cells, G), row_of = {row or 0: control},
--               context_of = {index}, batch_of = {number or 0: unknown} or nil }
--     control_by  "batch" where deltas are against the controls of the batches of each perturbation, else nil
--     learned   nil, or what was learned from which rows before (see dynamo.learned)
--     file      where it comes from                          notes     list of sentences about what was decided
--     units     what was done to the cells, or nil: see dynamo.units
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local learned = require "dynamo.learned"
local options = require "dynamo.options"

local M = {}

local class = {}
class.__index = class

-- ---- helpers shared by the modules on top ------------------------------------

--- A whole number with commas: 1234567 is "1,234,567".
function M.commas(n)
  local s = ("%.0f"):format(n)
  local count
  repeat s, count = s:gsub("^(-?%d+)(%d%d%d)", "%1,%2") until count == 0
  return s
end

--- The place of every name of a list (the first one of equal names).
function M.places(list)
  local at = {}
  for i = #list, 1, -1 do at[list[i]] = i end
  return at
end

--- The list 1 .. n.
function M.range(n)
  local out = {}
  for i = 1, n do out[i] = i end
  return out
end

--- Rows of a matrix, also none of them.
function M.pick(t, list)
  if #list == 0 then return core.zeros(0, t:size(2), t:type()) end
  return t:index(1, list)
end

--- The rows of several blocks, each with the list of places its rows belong to, as one matrix of n rows.
function M.assemble(blocks, places, n, width)
  local order, from, count = {}, {}, 0
  for b, block in ipairs(blocks) do
    for i = 1, block:size(1) do order[places[b][i]] = count + i end
    if block:size(1) > 0 then from[#from + 1] = block end
    count = count + block:size(1)
  end
  if n == 0 then return core.zeros(0, width, "double") end
  return core.cat(from, 1):index(1, order)
end

local function fail(R, message, hint) err.raise { code = "EVALUE", file = R.file, message = message, hint = hint } end

-- ---- making one ----------------------------------------------------------------

local function before(a, b)
  if a.context ~= b.context then return a.context < b.context end
  return a.perturbation < b.perturbation
end

-- The order that sorts the rows, or nil if they are sorted; two rows of one name are an error.
local function sorted_order(R)
  local order, sorted = {}, true
  for i = 1, #R.rows do order[i] = i end
  for i = 2, #order do sorted = sorted and not before(R.rows[i], R.rows[i - 1]) end
  if not sorted then
    table.sort(order, function(i, j)
      if before(R.rows[i], R.rows[j]) then return true end
      return not before(R.rows[j], R.rows[i]) and i < j
    end)
  end
  for k = 2, #order do
    local a, b = R.rows[order[k - 1]], R.rows[order[k]]
    if a.context == b.context and a.perturbation == b.perturbation then
      fail(R, ("perturbation '%s' is there twice in context '%s'"):format(label.safe(a.perturbation),
        label.safe(a.context)))
    end
  end
  return not sorted and order or nil
end

-- The cells of the rows in `order` (a list of old rows), and all control cells.
local function move_cells(cells, order)
  if not cells then return nil end
  local new, keep, row_of, context_of = {}, {}, {}, {}
  local batch_of = cells.batch_of and {} or nil
  for i, old in ipairs(order) do new[old] = i end
  for c, row in ipairs(cells.row_of) do
    if row == 0 or new[row] then
      keep[#keep + 1], row_of[#row_of + 1], context_of[#context_of + 1] = c, row == 0 and 0 or new[row],
        cells.context_of[c]
      if batch_of then batch_of[#keep] = cells.batch_of[c] end
    end
  end
  local x = #keep == #cells.row_of and cells.x or cells.x:index(1, keep)
  return { x = x, row_of = row_of, context_of = context_of, batch_of = batch_of }
end

local function shapes(R)
  local n, g = #R.rows, #R.genes
  if R.delta:size(1) ~= n or R.delta:size(2) ~= g then
    fail(R, ("delta is %dx%d, expected %d rows x %d genes"):format(R.delta:size(1), R.delta:size(2), n, g))
  end
  if R.control:size(1) ~= #R.contexts or R.control:size(2) ~= g then
    fail(R, ("control is %dx%d, expected %d contexts x %d genes"):format(R.control:size(1), R.control:size(2),
      #R.contexts, g))
  end
  for _, key in ipairs { "mask", "weight" } do
    local m = R[key]
    if m and (m:size(1) ~= n or m:size(2) ~= g) then fail(R, key .. " and delta have different shapes") end
  end
end

--- Responses from their parts (fields as at the top of this file; `control`, `targets`, `kind` and `notes` may be
--- absent). Rows are sorted with their deltas. Raises EVALUE: shapes, a row that is there twice, an unknown context.
---@param t table
---@return table
function M.new(t)
  local R = setmetatable({ genes = t.genes, contexts = t.contexts, rows = {}, delta = t.delta, mask = t.mask,
    weight = t.weight, kind = t.kind or "effect", cells = t.cells, file = t.file, notes = t.notes or {},
    control_by = t.control_by, units = t.units }, class)
  R.learned = t.learned
  R.control = t.control or core.zeros(#R.contexts, #R.genes, "double")
  local known = M.places(R.contexts)
  for i, r in ipairs(t.rows) do
    if not known[r.context] then fail(R, ("row %d has the unknown context '%s'"):format(i, label.safe(r.context))) end
    R.rows[i] = { perturbation = r.perturbation, targets = r.targets or label.targets(r.perturbation),
      context = r.context, n_cells = r.n_cells or 1, part = r.part }
  end
  shapes(R)
  if R.mask and R.mask:count() > 0 and R.mask:min():item() > 0 then R.mask = nil end
  local order = sorted_order(R)
  if order then
    local rows = {}
    for i, old in ipairs(order) do rows[i] = R.rows[old] end
    R.rows, R.delta = rows, R.delta:index(1, order)
    R.mask, R.weight = R.mask and R.mask:index(1, order), R.weight and R.weight:index(1, order)
    R.cells = move_cells(R.cells, order)
  end
  return R
end

-- ---- looking up ------------------------------------------------------------------

--- The place of a context in `R.contexts`; EVALUE with the nearest name if it is not there.
---@param context string
---@return integer
function class:control_index(context)
  for i, name in ipairs(self.contexts) do
    if name == context then return i end
  end
  fail(self, ("no context '%s'%s"):format(label.safe(tostring(context)), options.suggestion(context, self.contexts)))
end

--- The row of a perturbation in a context, or nil. The order of genes in a combination does not matter.
---@param context string
---@param perturbation string
---@return integer?
function class:find(context, perturbation)
  if not self.index then
    self.index = {}
    for i, r in ipairs(self.rows) do self.index[r.context .. "\0" .. r.perturbation] = i end
  end
  local i = self.index[context .. "\0" .. perturbation]
  if i or not perturbation:find("+", 1, true) then return i end
  local parts = label.targets(perturbation)
  table.sort(parts)
  return self.index[context .. "\0" .. table.concat(parts, "+")]
end

--- Sorted distinct target genes of all rows, or of the rows in `indices`.
---@param indices? integer[]
---@return string[]
function class:targets(indices)
  local seen = {}
  local function take(r) for _, g in ipairs(r.targets) do seen[g] = true end end
  if indices then
    for _, i in ipairs(indices) do take(self.rows[i]) end
  else
    for _, r in ipairs(self.rows) do take(r) end
  end
  return label.sorted_keys(seen)
end

--- Sorted distinct perturbations of all rows, or of the rows in `indices`.
---@param indices? integer[]
---@return string[]
function class:perturbations(indices)
  local seen = {}
  for i = 1, indices and #indices or #self.rows do seen[self.rows[indices and indices[i] or i].perturbation] = true end
  return label.sorted_keys(seen)
end

--- Indices of the rows for which f(row, index) is true.
---@param f fun(row: table, index: integer): boolean
---@return integer[]
function class:where(f)
  local out = {}
  for i, r in ipairs(self.rows) do
    if f(r, i) then out[#out + 1] = i end
  end
  return out
end

--- Indices of the rows with one target gene.
function class:singles() return self:where(function(r) return #r.targets == 1 end) end

--- Indices of the rows with several target genes.
function class:combinations() return self:where(function(r) return #r.targets > 1 end) end

--- The columns of the target genes of each row in `indices` (all rows by default): lists for `exclude` of the metrics.
---@param indices? integer[]
---@return integer[][]
function class:target_columns(indices)
  self.column = self.column or M.places(self.genes)
  local out = {}
  for i = 1, indices and #indices or #self.rows do
    local list = {}
    for _, g in ipairs(self.rows[indices and indices[i] or i].targets) do list[#list + 1] = self.column[g] end
    out[i] = list
  end
  return out
end

-- ---- parts of it -------------------------------------------------------------------

--- The rows in `indices` (in that order of names), all genes and contexts.
---@param indices integer[]
---@return table
function class:select(indices)
  local rows = {}
  for i, k in ipairs(indices) do rows[i] = self.rows[k] end
  return M.new { genes = self.genes, contexts = self.contexts, rows = rows, delta = M.pick(self.delta, indices),
    mask = self.mask and M.pick(self.mask, indices), weight = self.weight and M.pick(self.weight, indices),
      control = self.control, kind = self.kind,
    cells = move_cells(self.cells, indices), file = self.file, notes = self.notes, learned = learned.named(self),
    control_by = self.control_by, units = self.units }
end

--- All rows, only the genes in `names` (in that order); EVALUE if one is not measured.
---@param names string[]
---@return table
function class:take_genes(names)
  local at, list, same = M.places(self.genes), {}, #names == #self.genes
  for i, g in ipairs(names) do
    list[i] = at[g] or fail(self, ("no gene '%s'%s"):format(label.safe(g), options.suggestion(g, self.genes)))
    same = same and list[i] == i
  end
  if same then return self end
  local cells = self.cells and { x = self.cells.x:index(2, list), row_of = self.cells.row_of,
    context_of = self.cells.context_of, batch_of = self.cells.batch_of }
  return M.new { genes = names, contexts = self.contexts, rows = self.rows, delta = self.delta:index(2, list),
    mask = self.mask and self.mask:index(2, list), weight = self.weight and self.weight:index(2, list),
      control = self.control:index(2, list), kind = self.kind,
    cells = cells, file = self.file, notes = self.notes, learned = learned.named(self),
    control_by = self.control_by, units = self.units }
end

-- ---- joining -------------------------------------------------------------------------

--- The names that every list has, in the order of the first.
function M.shared(lists)
  local count = {}
  for _, list in ipairs(lists) do
    for g in pairs(M.places(list)) do count[g] = (count[g] or 0) + 1 end
  end
  local out = {}
  for _, g in ipairs(lists[1]) do
    if count[g] == #lists then out[#out + 1] = g end
  end
  return out
end

-- Cells of all parts as one matrix, or nil if a part has none.
local function join_cells(parts, contexts)
  local x, row_of, context_of, first = {}, {}, {}, 0
  local at, batch_of, batches = M.places(contexts), {}, 0
  for p, R in ipairs(parts) do
    if not R.cells then return nil end
    x[p] = R.cells.x
    batch_of = R.cells.batch_of and batch_of
    local from = batches -- batches of two files are different ones
    for _, b in ipairs(batch_of and R.cells.batch_of or {}) do
      batch_of[#batch_of + 1], batches = b > 0 and from + b or 0, math.max(batches, from + b)
    end
    for c, row in ipairs(R.cells.row_of) do
      row_of[#row_of + 1] = row == 0 and 0 or first + row
      context_of[#context_of + 1] = at[R.contexts[R.cells.context_of[c]]]
    end
    first = first + #R.rows
  end
  if type(x[1]) == "table" then
    return { x = require("dynamo.stream").join(x), row_of = row_of, context_of = context_of }
  end
  local sparse = 0
  for _, m in ipairs(x) do sparse = sparse + (core.is_sparse(m) and 1 or 0) end
  if sparse > 0 then
    for p, m in ipairs(x) do x[p] = core.is_sparse(m) and m or core.sparse_from_dense(m) end
  end
  return { x = (sparse > 0 and core.sparse_cat or core.cat)(x, 1), row_of = row_of, context_of = context_of, batch_of = batch_of or nil }
end

-- Contexts of all parts with the part of each; one in two parts is an error.
local function join_contexts(parts)
  local contexts, from = {}, {}
  for _, R in ipairs(parts) do
    if R.kind ~= parts[1].kind then
      fail(R, ("has %ss, %s has %ss"):format(R.kind, tostring(parts[1].file), parts[1].kind))
    end
    for _, c in ipairs(R.contexts) do
      if from[c] then
        fail(R, ("context '%s' is in %s as well"):format(label.safe(c), tostring(from[c])),
          "context_name = \"...\" for each file")
      end
      from[c], contexts[#contexts + 1] = R.file or "another part", c
    end
  end
  return contexts
end

-- The parts with the genes that all of them have, and notes about the others.
local function join_genes(parts)
  local lists, out, notes = {}, {}, {}
  for p, R in ipairs(parts) do
    lists[p] = R.genes
    for _, note in ipairs(R.notes) do notes[#notes + 1] = note end
  end
  local genes = M.shared(lists)
  if #genes == 0 then fail(parts[2], ("no gene in common with %s"):format(tostring(parts[1].file))) end
  for p, R in ipairs(parts) do
    if #R.genes > #genes then
      notes[#notes + 1] = ("%s: %s of %s genes are in all files"):format(tostring(R.file), M.commas(#genes),
        M.commas(#R.genes))
    end
    out[p] = R:take_genes(genes)
  end
  return genes, out, notes
end

-- mask or weight of all parts (1 where a part has none), or nil if no part has it.
local function join_field(parts, key, width)
  local blocks, any = {}, false
  for p, R in ipairs(parts) do
    any = any or R[key] ~= nil
    blocks[p] = R[key] or core.full(1, #R.rows, width, "double")
  end
  return any and core.cat(blocks, 1) or nil
end

--- Several Responses with different contexts as one, over the genes that all of them have (a note counts the others).
--- Raises EVALUE: a context in two of them, effects beside labels, no shared gene.
---@param parts table[]
---@return table
function M.join(parts)
  if #parts == 1 then return parts[1] end
  local contexts = join_contexts(parts)
  local genes, same, notes = join_genes(parts)
  local t = { genes = genes, rows = {}, kind = parts[1].kind, notes = notes, units = parts[1].units }
  local delta, control, files = {}, {}, {}
  for p, R in ipairs(same) do
    for _, r in ipairs(R.rows) do t.rows[#t.rows + 1] = r end
    learned.pass({ learned = learned.named(R) }, t)
    delta[p], control[p], files[p] = R.delta, R.control, tostring(R.file):match "[^/]*$"
  end
  local order, sorted = {}, {}
  for i = 1, #contexts do order[i] = i end
  table.sort(order, function(a, b) return contexts[a] < contexts[b] end)
  for i, k in ipairs(order) do sorted[i] = contexts[k] end
  t.contexts, t.file = sorted, table.concat(files, ", ")
  t.control_by = parts[1].control_by
  t.delta, t.mask, t.weight = core.cat(delta, 1), join_field(same, "mask", #genes), join_field(same, "weight", #genes)
  t.control, t.cells = core.cat(control, 1):index(1, order), join_cells(same, sorted)
  return M.new(t)
end

-- ---- text ----------------------------------------------------------------------------

--- "18 singles, 15 doubles": how many rows have how many targets.
function M.count_targets(rows)
  local by, parts = {}, {}
  for _, r in ipairs(rows) do by[#r.targets] = (by[#r.targets] or 0) + 1 end
  local names = { "single", "double", "triple" }
  for _, n in ipairs(label.sorted_keys(by)) do
    parts[#parts + 1] = ("%s %s%s"):format(M.commas(by[n]), names[n] or ("combination of %d"):format(n), by[n] == 1
      and "" or "s")
  end
  return #parts > 0 and table.concat(parts, ", ") or "none"
end

--- A few lines: sizes, rows per context, kind, share observed, notes.
---@return string
function class:describe()
  local lines = { tostring(self) }
  for c, name in ipairs(self.contexts) do
    local rows = {}
    for _, r in ipairs(self.rows) do
      if r.context == name then rows[#rows + 1] = r end
    end
    local moved = self.control:select(1, c):abs():max():item() > 0 and "" or ", control profile is zero"
    lines[#lines + 1] = ("  context %s: %s%s"):format(label.safe(name), M.count_targets(rows), moved)
  end
  for _, note in ipairs(self.notes) do lines[#lines + 1] = "  note: " .. note end
  return table.concat(lines, "\n")
end

function class.__tostring(R)
  local seen = R.mask and (", %.1f%% observed"):format(100 * R.mask:mean():item()) or ""
  local cells = R.cells and (", %s cells"):format(M.commas(#R.cells.row_of)) or ""
  return ("Responses%s: %s perturbations x %s genes in %d context%s, %ss%s%s"):format(
    R.file and " " .. label.safe(R.file:match ", " and R.file or R.file:match "[^/]*$") or "", M.commas(#R.rows),
      M.commas(#R.genes), #R.contexts,
    #R.contexts == 1 and "" or "s", R.kind, seen, cells)
end

--- Whether a value is a Responses.
function M.is(v) return type(v) == "table" and getmetatable(v) == class end

return M
