--- The leakage audit at the start of every run: nothing that is fitted may have seen what is tested.
--
-- Kinds of findings: `perturbation` (a tested one also trains, in the same context), `combination` (a tested single's gene is
-- inside a combination that trains), `cells` (cells or responses of tested rows were used to choose genes, normalise, rank
-- genes or make an embedding), `edges` (a network whose edges out of tested genes are those genes' own responses). A finding
-- stops the run (ELEAK) unless its kind is in the experiment's `allow`, which is then in the manifest and under every table:
--
--     dynamo.experiment { ..., allow = { "combination: GEARS' own split" } }
--
-- What was learned from which rows is known from recipes (their `rows`), and from what objects have recorded (dynamo.learned):
-- steps of preparation in the data, co-expression in networks and embeddings, and what a user has recorded for work done
-- elsewhere.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local learned = require "dynamo.learned"
local options = require "dynamo.options"

local M = {}

--- The kinds of findings.
M.kinds = { "perturbation", "combination", "cells", "edges" }

--- `allow` of an experiment as { [kind] = reason }. Raises EOPTION: a kind that there is not.
---@param list string[]  "edges" or "edges: why"
---@return table<string, string>
function M.allowed(list)
  local out = {}
  for _, s in ipairs(list) do
    local kind, reason = s:match "^%s*([%w_]+)%s*:?%s*(.-)%s*$"
    local known = false
    for _, k in ipairs(M.kinds) do known = known or k == kind end
    if not known then
      err.raise { code = "EOPTION", message = ("allow: '%s' is no kind of leak (%s)%s"):format(label.safe(s),
        table.concat(M.kinds, ", "), options.suggestion(kind or s, M.kinds)) }
    end
    out[kind] = reason
  end
  return out
end

local function some(names)
  table.sort(names)
  local shown = {}
  for i = 1, math.min(4, #names) do shown[i] = label.safe(names[i]) end
  return table.concat(shown, ", ") .. (#names > 4 and (", ... %d in all"):format(#names) or "")
end

-- ---- rows ---------------------------------------------------------------------------

local function training(S)
  local out = {}
  for _, part in ipairs { "train", "validate" } do
    for _, i in ipairs(S[part]) do out[#out + 1] = i end
  end
  return out
end

-- Tested perturbations that train in their own context, and genes of tested singles inside training combinations of it.
local function check_rows(R, S, add)
  local seen, inside, same, part = {}, {}, {}, {}
  for _, i in ipairs(training(S)) do
    local r = R.rows[i]
    seen[r.context .. "\0" .. r.perturbation] = true
    for _, g in ipairs(#r.targets > 1 and r.targets or {}) do inside[r.context .. "\0" .. g] = r.perturbation end
  end
  for _, i in ipairs(S.test) do
    local r = R.rows[i]
    if seen[r.context .. "\0" .. r.perturbation] then same[#same + 1] = r.perturbation end
    local combination = #r.targets == 1 and inside[r.context .. "\0" .. r.targets[1]]
    if combination then part[#part + 1] = ("%s (in %s)"):format(r.perturbation, combination) end
  end
  if #same > 0 then add("perturbation", "tested perturbations also train in the same context: " .. some(same)) end
  if #part > 0 then add("combination", "tested genes are inside combinations that train: " .. some(part)) end
end

-- ---- what was learned from cells -------------------------------------------------------

local function tested(S)
  local out = {}
  for _, i in ipairs(S.test) do out[i] = true end
  return out
end

-- Names of tested rows in a list of row indices or { context, perturbation }, or in all rows.
local function overlap(R, held, rows)
  local out = {}
  if rows == "all" then rows = label.sorted_keys(held) end
  for _, r in ipairs(rows) do
    local i = type(r) == "number" and r or R:find(r.context, r.perturbation)
    if i and held[i] then out[#out + 1] = R.rows[i].perturbation end
  end
  return out
end

-- f(value) for tables and userdata: those given, what recipes have as options, and their parts.
local function each_value(v, f, done)
  local kind = type(v)
  if kind ~= "table" and kind ~= "userdata" or done[v] then return end
  done[v] = true
  f(v)
  if kind == "userdata" then return end
  if type(v.options) == "table" then
    for _, k in ipairs(label.sorted_keys_any(v.options)) do each_value(v.options[k], f, done) end
  end
  for _, part in ipairs(v.parts or v) do each_value(part, f, done) end
end

local function is_responses(v) return require("dynamo.responses").is(v) end

-- The rows that a recipe will learn from, by name where they are those of other data; nil if it has none.
local function rows_of(recipe)
  local o = type(recipe.options) == "table" and recipe.options or {}
  if type(o.rows) ~= "table" or type(o.rows[1]) ~= "number" then return nil end
  return is_responses(o.data) and learned.names(o.data, o.rows) or o.rows
end

--- What the data, networks, embeddings and recipes of a run have learned or will learn from rows: a list of { step, rows }.
---@param job table  see leakage.audit
---@return table[]
function M.learned(job)
  local out, done = {}, {}
  local function take(v)
    local list = v ~= job.R and is_responses(v) and learned.named(v) or learned.of(v)
    for _, l in ipairs(list) do out[#out + 1] = { step = l.step .. " has used", rows = l.rows } end
    local rows = type(v) == "table" and rows_of(v)
    if rows then out[#out + 1] = { step = tostring(v.name) .. " learns from", rows = rows } end
  end
  take(job.R)
  each_value(job.graph, take, done)
  for _, r in ipairs(job.rows or {}) do
    each_value(r.recipe, take, done)
    each_value(r.e, take, done)
  end
  return out
end

local function check_cells(R, S, list, add)
  local held, seen = tested(S), {}
  for _, l in ipairs(list) do
    local names = overlap(R, held, l.rows)
    local message = #names > 0 and ("%s tested rows: %s"):format(label.safe(l.step), some(names))
    if message and not seen[message] then add("cells", message) end
    seen[message] = true
  end
end

-- ---- edges --------------------------------------------------------------------------------

-- edges of a gene, genes with so many, share of them that gives it away: curated networks share up to .02, the simulated one,
-- whose edges are the truth, .36, one made from the responses 1
local LEAST, GENES, SHARE = 5, 3, 0.6

-- How many columns of a row are among as many largest changes (labels: are changed), marked in `hit`, and by chance.
local function mark_hits(R, i, columns, hit)
  local change = R.delta:select(1, i):abs()
  if R.mask then change = change * R.mask:select(1, i) end
  if R.kind == "label" then
    for _, j in ipairs(columns) do hit[j] = hit[j] or change:get(j) > 0 end
    return change:mean():item()
  end
  local top = {}
  for place, j in ipairs((change * -1):argsort()) do
    if place > #columns then break end
    top[j] = true
  end
  for _, j in ipairs(columns) do hit[j] = hit[j] or top[j] or false end
  return #columns / #R.genes
end

-- Which share of a gene's neighbours (columns) is among the largest changes of any of its tested rows; and by chance.
local function share_of(R, rows, columns)
  local hit, miss, count = {}, 1, 0
  for _, i in ipairs(rows) do miss = miss * (1 - mark_hits(R, i, columns, hit)) end
  for _, j in ipairs(columns) do count = count + (hit[j] and 1 or 0) end
  return count / #columns, 1 - miss
end

-- Columns of the measured genes that a gene's edges lead to (or come from), itself left out.
local function neighbours(graph, gene, place, direction)
  local out = {}
  if not graph:find(gene) then return out end
  for _, name in ipairs((graph:neighbours(gene, direction))) do
    if place[name] and name ~= gene then out[#out + 1] = place[name] end
  end
  return out
end

-- Tested genes and the rows of each, singles alone.
local function rows_of_genes(R, test)
  local rows = {}
  for _, i in ipairs(test) do
    local targets = R.rows[i].targets
    if #targets == 1 then
      rows[targets[1]] = rows[targets[1]] or {}
      table.insert(rows[targets[1]], i)
    end
  end
  return rows
end

--- How much of what the edges of a network say about tested genes are those genes' own largest responses: mean share over
--- tested single genes with five measured neighbours or more (a neighbour counts if it is among as many largest changes in
--- any context), what chance gives, and how many genes there were.
---@param R table Responses
---@param test integer[]  rows
---@param graph userdata
---@param direction? string  "out" (default): edges that leave the genes; "in": edges into them
---@return number share, number chance, integer genes
function M.edge_share(R, test, graph, direction)
  local place, sum, chance, n = require("dynamo.responses").places(R.genes), 0, 0, 0
  local rows = rows_of_genes(R, test)
  for _, gene in ipairs(label.sorted_keys(rows)) do
    local columns = neighbours(graph, gene, place, direction or "out")
    if #columns >= LEAST then
      local s, c = share_of(R, rows[gene], columns)
      sum, chance, n = sum + s, chance + c, n + 1
    end
  end
  return n > 0 and sum / n or 0, n > 0 and chance / n or 0, n
end

-- Networks of the experiment and of its recipes, each once.
local function graphs_of(job)
  local out, done = {}, {}
  local function take(v) if core.is_graph(v) then out[#out + 1] = v end end
  each_value(job.graph, take, done)
  for _, r in ipairs(job.rows or {}) do
    each_value(r.recipe, take, done)
    each_value(r.e, take, done)
  end
  return out
end

local WORDS = { out = "out of", ["in"] = "into" }

local function check_edges(R, S, graphs, add)
  for _, g in ipairs(graphs) do
    for _, direction in ipairs(g:directed() and { "out", "in" } or { "out" }) do
      local share, chance, n = M.edge_share(R, S.test, g, direction)
      if n >= GENES and share > SHARE and share > 3 * chance then
        add("edges", ("%s: %.0f%% of the edges %s %d tested genes lead to their own largest responses (chance %.1f%%): "
          .. "made from the data that are tested?"):format(tostring(g), 100 * share, WORDS[direction], n, 100 * chance))
      end
    end
  end
end

-- ---- the audit ---------------------------------------------------------------------------------

--- Audit a run before anything is fitted: { checked = kinds, learned = { { step, rows = number or "all" } }, findings = { {
--- kind, seed, message, allowed = reason or nil }, ... } }. Raises ELEAK for the first finding that is not allowed, with the
--- option that would; with `collect` all are returned.
---@param job table  { R, splits, seeds, graph, rows = rows of the table (recipe, e) }
---@param allow? string[]  "kind" or "kind: reason"
---@param collect? boolean
---@return table
function M.audit(job, allow, collect)
  local out, why = { checked = M.kinds, findings = {}, learned = {} }, M.allowed(allow or {})
  local list, graphs = M.learned(job), graphs_of(job)
  for k, l in ipairs(list) do out.learned[k] = { step = l.step, rows = l.rows == "all" and "all" or #l.rows } end
  for k, S in ipairs(job.splits) do
    local function add(kind, message)
      local seed = job.seeds and job.seeds[k] or S.seed
      local hint = ('allow = { "%s: REASON" } if that is meant; it is then written under every table'):format(kind)
      out.findings[#out.findings + 1] = { kind = kind, seed = seed, message = message, allowed = why[kind], hint = hint }
      if not why[kind] and not collect then
        err.raise { code = "ELEAK", message = ("seed %s: %s"):format(tostring(seed), message), hint = hint }
      end
    end
    check_rows(job.R, S, add)
    check_cells(job.R, S, list, add)
    check_edges(job.R, S, graphs, add)
  end
  return out
end

--- One line per kind of finding that was allowed, for tables and reports.
---@param audit table?  of leakage.audit
---@return string[]
function M.notes(audit)
  local out, seen = {}, {}
  for _, f in ipairs(audit and audit.findings or {}) do
    if not seen[f.kind .. f.message] then
      out[#out + 1] = ("allowed leak, %s: %s%s"):format(f.kind, f.message, f.allowed ~= "" and " (" .. f.allowed .. ")" or "")
    end
    seen[f.kind .. f.message] = true
  end
  return out
end

return M
