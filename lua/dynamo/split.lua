--- Splits: which rows of a Responses train, validate and test a model.
--
-- A recipe such as `split.unseen_genes { test = 0.25 }` is made into a Split by `recipe:make(R, seed)`:
--
--     { name =, seed =, train = {row indices}, validate = {...}, test = {...}, group = { [row] = "unseen"|"1/2
-- seen"|... },
--       unit = "gene"|"perturbation"|"row", notes = {...}, native = nil or { train =, validate = } }
--
-- `unit` is what may not be in both train and test. The same seed gives the same split everywhere.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local recipe = require "dynamo.recipe"
local responses = require "dynamo.responses"

local M = { schema = {} }

local class = {}
class.__index = class

local function fail(name, message) err.raise { code = "EVALUE", message = ("split.%s: %s"):format(name, message) } end

local seed_rule = { type = "integer", min = 0, help = "default: the seed of the run" }
local share = function(default, help) return { default = default, type = "number", min = 0, max = 0.99,
  help = help } end

-- ---- helpers ---------------------------------------------------------------------

-- Assign shares of a sorted list to parts, by a permutation: { [name] = part }, the rest is "train".
local function deal(list, seed, purpose, parts)
  local order, out, at = core.permutation(#list, seed, purpose), {}, 0
  for _, p in ipairs(parts) do
    for _ = 1, math.min(p.count, #list - at) do
      at = at + 1
      out[list[order[at]]] = p.name
    end
  end
  for _, name in ipairs(list) do out[name] = out[name] or "train" end
  return out
end

local function round(x) return math.floor(x + 0.5) end

-- Test and validation genes: `test` of all, `validate` of the others.
local function deal_genes(genes, test, validate, seed)
  local n_test = round(test * #genes)
  return deal(genes, seed, "split", { { name = "test", count = n_test },
    { name = "validate", count = round(validate * (#genes - n_test)) } })
end

-- "1/2 seen": how many targets are among the training genes; "unseen" for a single that is not.
local function group_of(row, seen)
  local k = 0
  for _, g in ipairs(row.targets) do k = k + (seen[g] and 1 or 0) end
  if #row.targets == 1 then return k == 1 and "seen" or "unseen" end
  return ("%d/%d seen"):format(k, #row.targets)
end

-- Genes that occur in the rows of a list, as a set.
local function genes_of(R, list)
  local seen = {}
  for _, i in ipairs(list) do
    for _, g in ipairs(R.rows[i].targets) do seen[g] = true end
  end
  return seen
end

local function new_split(name, seed, unit)
  return setmetatable({ name = name, seed = seed, unit = unit, train = {}, validate = {}, test = {}, group = {},
    notes = {} }, class)
end

local function add(S, part, i) S[part][#S[part] + 1] = i end

-- The part that all targets of a row are in, or nil if they are in different ones.
local function common_part(row, part)
  local p = part[row.targets[1]]
  for _, g in ipairs(row.targets) do
    if part[g] ~= p then return nil end
  end
  return p
end

local function set_groups(R, S)
  local seen = genes_of(R, S.train)
  for _, list in ipairs { S.validate, S.test } do
    for _, i in ipairs(list) do S.group[i] = group_of(R.rows[i], seen) end
  end
end

local function finish(R, S)
  set_groups(R, S)
  if #S.train == 0 then fail(S.name, "no row is left for training") end
  if #S.test == 0 then fail(S.name, ("no row to test on (%d rows, %d target genes)"):format(#R.rows, #R:targets())) end
  return M.check(R, S)
end

local function make_recipe(name, opts, make)
  return recipe.new("split", "split", name, opts, M.schema[name], {
    make = function(self, R, seed)
      if not responses.is(R) then fail(name, "make expects Responses") end
      return make(self.options, R, self.options.seed or seed or 1)
    end,
  })
end

-- ---- unseen genes ------------------------------------------------------------------

M.schema.unseen_genes = {
  test = share(0.25, "share of the target genes that are tested"),
  validate = share(0.1, "share of the other genes that are held out for early stopping"),
  mixed = { default = "drop", values = { "drop", "test" },
    help = "combinations of test and training genes: leave out, or test" },
  seed = seed_rule,
}

-- Rows by the parts of their genes; `use(row)` says which part's rows of this context count.
local function by_genes(R, S, part, mixed)
  local dropped = 0
  for i, row in ipairs(R.rows) do
    local p = common_part(row, part)
    if not p and mixed == "test" then
      for _, g in ipairs(row.targets) do p = part[g] == "test" and "test" or p end
    end
    if p then add(S, p, i) else dropped = dropped + 1 end
  end
  if dropped > 0 then
    S.notes[1] = ("%d combinations of genes from different parts are left out"):format(dropped)
  end
end

--- Genes that training never sees: no gene of a test perturbation, also inside combinations, occurs in train or
--- validate; the same genes are held out in every context.
---
--- Options: test (share of genes, 0.25), validate (share of the other genes, 0.1), mixed ("drop" combinations of test
--- and other genes, or "test" them), seed. `make` raises EVALUE if a part that is needed is empty.
---@param opts? table
---@return table recipe with make(R, seed) -> Split
function M.unseen_genes(opts)
  return make_recipe("unseen_genes", opts, function(o, R, seed)
    local S = new_split("unseen_genes", seed, o.mixed == "test" and "test genes" or "gene")
    by_genes(R, S, deal_genes(R:targets(), o.test, o.validate, seed), o.mixed)
    return finish(R, S)
  end)
end

-- ---- the split column of a file ---------------------------------------------------------

M.schema.column = {
  validate = share(0.1, "share of the training genes that are held out, if the file has no such part"),
  conflict = { default = "error", values = { "error", "drop" },
    help = "a perturbation that one context trains and another tests: stop, or leave it out of training" },
  seed = seed_rule,
}

-- Rows of `list` whose genes are all in a share of the list's genes, and those without any of these genes.
local function carve(R, list, validate, seed)
  local genes = R:targets(list)
  local part = deal(genes, seed, "validate", { { name = "validate", count = round(validate * #genes) } })
  local train, held, dropped = {}, {}, 0
  for _, i in ipairs(list) do
    local p = common_part(R.rows[i], part)
    if p == "train" then train[#train + 1] = i elseif p then held[#held + 1] = i else dropped = dropped + 1 end
  end
  return train, held, dropped
end

-- Leave out of training what is tested in any context.
local function drop_tested(R, S)
  local tested, n = {}, 0
  for _, i in ipairs(S.test) do tested[R.rows[i].perturbation] = true end
  for _, part in ipairs { "train", "validate" } do
    local kept = {}
    for _, i in ipairs(S[part]) do
      if tested[R.rows[i].perturbation] then n = n + 1 else kept[#kept + 1] = i end
    end
    S[part] = kept
  end
  if n > 0 then
    S.notes[#S.notes + 1] = ("%d training rows of perturbations that another context tests are left out"):format(n)
  end
end

--- The parts that the file itself gives to its perturbations (`row.part`); validation genes are taken from train if the
--- file names none. Options: validate (0.1), conflict ("error", "drop"), seed. `make` raises EVALUE if the data have
--- no parts.
---@param opts? table
---@return table recipe
function M.column(opts)
  return make_recipe("column", opts, function(o, R, seed)
    local S, none = new_split("column", seed, "perturbation"), 0
    for i, row in ipairs(R.rows) do
      if row.part then add(S, row.part, i) else none = none + 1 end
    end
    if none == #R.rows then
      err.raise { code = "EVALUE", file = R.file, message = "split.column: no row has a part",
        hint = 'split = "COLUMN" in data.read' }
    end
    if none > 0 then S.notes[1] = ("%d rows without a part are left out"):format(none) end
    if o.conflict == "drop" then drop_tested(R, S) end
    if #S.validate == 0 and o.validate > 0 then
      local dropped
      S.train, S.validate, dropped = carve(R, S.train, o.validate, seed)
      if dropped > 0 then
        S.notes[#S.notes + 1] = ("%d combinations of training and validation genes are left out"):format(dropped)
      end
    end
    return finish(R, S)
  end)
end

-- ---- combinations -----------------------------------------------------------------------

M.schema.combinations = {
  test = share(0.25, "share of genes, and of combinations of seen genes, that are tested"),
  validate = share(0.1, "the same inside training"),
  singles = { default = "split", values = { "split", "all" },
    help = "split: 0/1/2 seen scheme of GEARS; all: every single trains" },
  folds = { default = 5, type = "integer", min = 2, help = 'with singles = "all": number of folds' },
  fold = { type = "integer", min = 1, help = "which fold is tested; default: the seed of the run, counted round" },
  seed = seed_rule,
}

-- Perturbation names with one target and with several (sorted), and the targets of each.
local function names_by_size(R, allowed)
  local singles, combos, targets = {}, {}, {}
  for _, row in ipairs(R.rows) do
    local p = row.perturbation
    if not targets[p] and (not allowed or allowed[p]) then
      targets[p] = row.targets
      local list = #row.targets == 1 and singles or combos
      list[#list + 1] = p
    end
  end
  table.sort(singles)
  table.sort(combos)
  return singles, combos, targets
end

-- One level of the GEARS scheme over the perturbations in `allowed` (nil: all): held-out share of genes, and of
-- combinations of kept genes. Returns the set of perturbations held out and the set kept.
local function hold_out(R, allowed, portion, seed, purpose)
  local singles, combos, targets = names_by_size(R, allowed)
  local genes = {}
  for _, t in pairs(targets) do
    for _, g in ipairs(t) do genes[g] = true end
  end
  genes = label.sorted_keys(genes)
  local part = deal(genes, seed, purpose .. " genes", { { name = "out", count = round(portion * #genes) } })
  local out, kept, whole = {}, {}, {}
  for _, p in ipairs(singles) do (part[targets[p][1]] == "out" and out or kept)[p] = true end
  for _, p in ipairs(combos) do
    if common_part({ targets = targets[p] }, part) == "train" then whole[#whole + 1] = p else out[p] = true end
  end
  local dealt = deal(whole, seed, purpose .. " combinations", { { name = "out", count = round(portion * #whole) } })
  for _, p in ipairs(whole) do (dealt[p] == "out" and out or kept)[p] = true end
  return out, kept
end

-- Every single trains; combinations are dealt into folds, the validation share comes from the other folds.
local function all_singles(o, R, seed)
  local _, combos = names_by_size(R)
  local fold = o.fold or (seed - 1) % o.folds + 1
  if fold > o.folds then fail("combinations", ("fold %d of %d"):format(fold, o.folds)) end
  if #combos < o.folds then fail("combinations", ("%d combinations for %d folds"):format(#combos, o.folds)) end
  local order, test, rest = core.permutation(#combos, o.seed or 1, "folds"), {}, {}
  for k, i in ipairs(order) do
    if (k - 1) % o.folds + 1 == fold then test[combos[i]] = true else rest[#rest + 1] = combos[i] end
  end
  table.sort(rest)
  local held = {}
  for name, p in pairs(deal(rest, seed, "validate", { { name = "validate", count = round(o.validate * #rest) } })) do
    if p == "validate" then held[name] = true end
  end
  return test, held, fold
end

--- Combinations by how many of their genes were seen. `singles = "split"`: the scheme of GEARS ('simulation'): a share
--- `test` of the genes is never seen; tested are their singles, all combinations with one of them ("0/2 seen",
--- "1/2 seen"), and a share `test` of the combinations of seen genes ("2/2 seen"); validation is the same inside
--- training. `singles = "all"`: every single trains and the combinations are tested in `folds` (the seed chooses the
--- fold). Roohani et al. 2024, Ahlmann-Eltze et al. 2025.
---@param opts? table
---@return table recipe
function M.combinations(opts)
  return make_recipe("combinations", opts, function(o, R, seed)
    local S, test, held = new_split("combinations", seed, "perturbation"), nil, nil
    if o.singles == "all" then
      test, held, S.fold = all_singles(o, R, seed)
    else
      local kept
      test, kept = hold_out(R, nil, o.test, seed, "split")
      held = o.validate > 0 and hold_out(R, kept, o.validate, seed, "validate") or {}
    end
    for i, row in ipairs(R.rows) do
      add(S, test[row.perturbation] and "test" or held[row.perturbation] and "validate" or "train", i)
    end
    return finish(R, S)
  end)
end

-- ---- another context --------------------------------------------------------------------

M.schema.contexts = {
  test = { type = "table|string", item = "string", required = true, help = "contexts that training never sees" },
  unseen = share(0.25, "share of the target genes that are unseen in every context; 0: any gene is tested"),
  validate = share(0.1, "share of the other genes that are held out for early stopping"),
  parts = { default = "genes", values = { "genes", "column" },
    help = "column: the test rows of the file, in place of `unseen`" },
  seed = seed_rule,
}

-- Part of each row: by its genes, or by the file, where a perturbation tested in a held-out context trains nowhere.
local function parts_of(R, o, held, seed)
  if o.parts == "genes" then
    local part = deal_genes(R:targets(), o.unseen, o.validate, seed)
    return function(row) return common_part(row, part) end
  end
  local tested, list, validate = {}, {}, {}
  for _, row in ipairs(R.rows) do
    if held[row.context] and row.part == "test" then tested[row.perturbation] = true end
  end
  for i, row in ipairs(R.rows) do
    if row.part == "train" and not tested[row.perturbation] then list[#list + 1] = i end
  end
  local _, v = carve(R, list, o.validate, seed)
  for _, i in ipairs(v) do validate[R.rows[i].perturbation] = true end
  return function(row)
    if held[row.context] and row.part == "test" then return "test" end
    if tested[row.perturbation] or row.part == "test" then return nil end
    return (validate[row.perturbation] or row.part == "validate") and "validate" or row.part
  end
end

--- A held-out cell line: training sees the other contexts, and of them no test gene. The genes are those that
--- `unseen_genes` holds out with the same seed. `S.native` has the train and validation rows of the held-out contexts,
--- for the native model, its centroid and templates; a zero-shot model may not use them. `parts = "column"` tests what
--- the file tests in the held-out contexts.
---@param opts table  test = { "RPE1" }, unseen = 0.25, validate = 0.1, parts = "genes" | "column", seed
---@return table recipe
function M.contexts(opts)
  return make_recipe("contexts", opts, function(o, R, seed)
    local by_file = o.parts == "column"
    local S = new_split("contexts", seed, by_file and "perturbation" or o.unseen > 0 and "gene" or "row")
    local held = {}
    for _, c in ipairs(type(o.test) == "string" and { o.test } or o.test) do
      held[R.contexts[R:control_index(c)]] = true
    end
    S.native = { train = {}, validate = {} }
    local part = parts_of(R, o, held, seed)
    for i, row in ipairs(R.rows) do
      local p = part(row)
      if held[row.context] and (p == "test" or o.unseen == 0 and not by_file) then add(S, "test", i)
      elseif held[row.context] and p then add(S.native, p, i)
      elseif p == "train" or p == "validate" then add(S, p, i) end
    end
    return finish(R, S)
  end)
end

-- ---- given parts ------------------------------------------------------------------------

local function known_parts(name)
  local p = ({ train = "train", training = "train", test = "test", validate = "validate", val = "validate",
    valid = "validate",
    validation = "validate", dev = "validate" })[tostring(name):lower()]
  return p
end

--- "train", "validate" or "test" for the words that files use, or nil.
M.part_name = known_parts

-- Rows of the perturbations (all contexts) or row indices in a list.
local function resolve(R, by, item, name, file)
  if type(item) == "number" then
    if not R.rows[item] then fail(name, ("no row %s (there are %d)"):format(tostring(item), #R.rows)) end
    return { item }
  end
  local parts = label.targets(item)
  table.sort(parts)
  local list = by[item] or by[table.concat(parts, "+")]
  if not list then
    err.raise { code = "EVALUE", file = file,
      message = ("split.%s: '%s' is not among the perturbations of the data%s"):format(
      name, label.safe(item), options.suggestion(item, R:perturbations())) }
  end
  return list
end

local function from_lists(R, S, lists, file)
  local by, used = {}, {}
  for i, row in ipairs(R.rows) do
    by[row.perturbation] = by[row.perturbation] or {}
    table.insert(by[row.perturbation], i)
  end
  for _, part in ipairs { "train", "validate", "test" } do
    for _, item in ipairs(lists[part] or {}) do
      for _, i in ipairs(resolve(R, by, item, S.name, file)) do
        add(S, part, i)
        used[i] = true
      end
    end
    table.sort(S[part])
  end
  local rest = #R:where(function(_, i) return not used[i] end)
  if rest > 0 then S.notes[1] = ("%d rows are in no part"):format(rest) end
  return finish(R, S)
end

M.schema.given = {
  train = { type = "table", required = true, help = "perturbation names (all contexts) or row indices" },
  validate = { type = "table", help = "the same" },
  test = { type = "table", required = true, help = "the same" },
  seed = seed_rule,
}

--- Parts as lists of perturbation names (in every context) or of row indices. `make` raises EVALUE for a name that is
--- not in the data, with the nearest one, and ELEAK for one in two parts.
---@param opts table
---@return table recipe
function M.given(opts)
  return make_recipe("given", opts, function(o, R, seed) return from_lists(R, new_split("given", seed, "row"), o) end)
end

-- The lists of a split file: JSON { "train": [...] } or lines NAME<TAB>PART.
local function read_lists(path)
  local f, message = io.open(path, "rb")
  if not f then err.raise { code = "EIO", file = path, message = message } end
  local text = f:read "*a"
  f:close()
  if text:match "^%s*{" then
    local ok, t = pcall(require("dynamo.json").decode, text)
    if not ok or type(t) ~= "table" then
      err.raise { code = "EFORMAT", file = path, message = "not JSON: " .. err.line(t) }
    end
    local lists = {}
    for _, key in ipairs(label.sorted_keys_any(t)) do
      local part = known_parts(key)
      if part and type(t[key]) == "table" then lists[part] = t[key] end
    end
    return lists
  end
  local lists, n = {}, 0
  for line in text:gmatch "[^\r\n]+" do
    n = n + 1
    local name, word = line:match "^([^\t]+)\t%s*(%S+)%s*$"
    local part = word and known_parts(word)
    if part then
      lists[part] = lists[part] or {}
      table.insert(lists[part], name)
    elseif n > 1 and not line:match "^#" then
      err.raise { code = "EFORMAT", file = path,
        message = ("line %d: NAME<TAB>train, validate or test expected"):format(n) }
    end
  end
  return lists
end

M.schema.file = { path = { type = "string", required = true, help = "JSON or TSV" }, seed = seed_rule }

--- Parts from a file: JSON {"train": [...], "validate": [...], "test": [...]} or lines NAME<TAB>PART. Raises EIO,
--- EFORMAT.
---@param path string|table  a path or { path = ... }
---@return table recipe
function M.file(path)
  return make_recipe("file", type(path) == "string" and { path = path } or path, function(o, R, seed)
    return from_lists(R, new_split("file", seed, "perturbation"), read_lists(o.path), o.path)
  end)
end

-- ---- the audit ----------------------------------------------------------------------------

local function leak(message)
  err.raise { code = "ELEAK", message = message, hint = "a perturbation may be in one part only" }
end

-- First row per key in each part of train and validate; keys of a row by unit.
local function keys(row, i, unit)
  if unit == "row" then return { tostring(i) } end
  if unit == "perturbation" then return { row.perturbation } end
  return row.targets
end

--- Stop with ELEAK if something is in both train (or validate) and test: a row, with `S.unit` "perturbation" one in any
--- context, with "gene" a target gene, also inside a combination. The message names it. Returns S.
---@param R table Responses
---@param S table Split
---@return table
function M.check(R, S)
  local unit, held = S.unit or "row", {}
  for _, i in ipairs(S.test) do
    if not R.rows[i] then fail(S.name, ("no row %s (there are %d)"):format(tostring(i), #R.rows)) end
    if unit ~= "test genes" then
      for _, k in ipairs(keys(R.rows[i], i, unit)) do held[k] = held[k] or i end
    end
  end
  if unit == "test genes" then -- genes of tested singles; genes of mixed combinations may train
    for _, i in ipairs(S.test) do
      if #R.rows[i].targets == 1 then held[R.rows[i].targets[1]] = i end
    end
  end
  for _, part in ipairs { "train", "validate" } do
    for _, i in ipairs(S[part]) do
      local row = R.rows[i] or fail(S.name, ("no row %s (there are %d)"):format(tostring(i), #R.rows))
      for _, k in ipairs(keys(row, i, unit)) do
        local j = held[k]
        if j and unit == "row" then
          leak(("%s in %s is in both %s and test"):format(label.safe(row.perturbation), label.safe(row.context), part))
        elseif j then
          leak(("%s is in both %s (%s) and test (%s)"):format(label.safe(k), part, label.safe(row.perturbation),
            label.safe(R.rows[j].perturbation)))
        end
      end
    end
  end
  return S
end

-- ---- text ---------------------------------------------------------------------------------

--- Names of the groups of the test rows with their numbers, sorted: { { "0/2 seen", 12 }, ... }.
function class:groups()
  local count, out = {}, {}
  for _, i in ipairs(self.test) do count[self.group[i]] = (count[self.group[i]] or 0) + 1 end
  for _, g in ipairs(label.sorted_keys(count)) do out[#out + 1] = { g, count[g] } end
  return out
end

function class.__tostring(S)
  local groups = {}
  for _, g in ipairs(S:groups()) do groups[#groups + 1] = ("%s %s"):format(responses.commas(g[2]), g[1]) end
  return ("Split %s, seed %.0f: %s train, %s validate, %s test (%s)"):format(S.name, S.seed, responses.commas(#S.train),
    responses.commas(#S.validate), responses.commas(#S.test), table.concat(groups, ", "))
end

return M
