--- The leakage audit at the start of every run: nothing that is fitted may have seen what is tested.
--
-- Kinds of findings: `perturbation` (a tested one also trains, in the same context), `combination` (a tested single's gene is
-- inside a combination that trains), `cells` (cells or responses of tested rows were used to choose genes, normalise, rank
-- genes or make an embedding), `edges` (a network whose edges out of tested genes are those genes' own responses). A finding
-- stops the run (ELEAK) unless its kind is in the experiment's `allow`, which is then in the manifest and under every table:
--
--     dynamo.experiment { ..., allow = { "combination: GEARS' own split" } }
--
-- What was learned from which rows is known from recipes (their `rows`), and from R.learned = { { step = "hvg", rows = "all"
-- or row indices }, ... }, for data that were prepared elsewhere.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
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

-- Names of tested rows in a list of row indices, or in all rows.
local function overlap(R, S, rows)
  local held, out = tested(S), {}
  if rows == "all" then rows = S.test end
  for _, i in ipairs(rows) do
    if held[i] then out[#out + 1] = R.rows[i].perturbation end
  end
  return out
end

-- Recipes inside recipes: f(recipe) for each.
local function each_recipe(v, f, done)
  if type(v) ~= "table" or done[v] then return end
  done[v] = true
  if type(v.options) == "table" then
    f(v)
    for _, k in ipairs(label.sorted_keys_any(v.options)) do each_recipe(v.options[k], f, done) end
  end
  for _, part in ipairs(v.parts or v) do each_recipe(part, f, done) end
end

local function check_cells(R, S, recipes, add)
  for _, l in ipairs(R.learned or {}) do
    local names = overlap(R, S, l.rows)
    if #names > 0 then add("cells", ("%s has used tested rows: %s"):format(label.safe(l.step), some(names))) end
  end
  local done = {}
  for _, v in ipairs(recipes) do
    each_recipe(v, function(r)
      local rows = r.options.rows
      local names = type(rows) == "table" and type(rows[1]) == "number" and overlap(R, S, rows) or {}
      if #names > 0 then add("cells", ("%s learns from tested rows: %s"):format(tostring(r.name), some(names))) end
    end, done)
  end
end

-- ---- edges --------------------------------------------------------------------------------

local LEAST, GENES, SHARE = 5, 3, 0.5 -- edges of a gene, genes with so many, share of them that gives it away

-- Which share of a tested gene's neighbours (columns) is among as many largest changes of its row; and by chance.
local function share_of(R, i, columns)
  local change = R.delta:select(1, i):abs()
  if R.mask then change = change * R.mask:select(1, i) end
  local k, hit = #columns, 0
  if R.kind == "label" then
    for _, j in ipairs(columns) do hit = hit + (change:get(j) > 0 and 1 or 0) end
    return hit / k, change:mean():item()
  end
  local top = {}
  for place, j in ipairs((change * -1):argsort()) do
    if place > k then break end
    top[j] = true
  end
  for _, j in ipairs(columns) do hit = hit + (top[j] and 1 or 0) end
  return hit / k, k / #R.genes
end

-- Columns of the measured genes that a gene's edges lead to, itself left out.
local function neighbours(R, graph, gene, place)
  local out = {}
  if not graph:find(gene) then return out end
  for _, name in ipairs((graph:neighbours(gene))) do
    if place[name] and name ~= gene then out[#out + 1] = place[name] end
  end
  return out
end

--- How much of what the edges of a network say about tested genes are those genes' own largest responses: mean share over
--- tested single genes with five measured neighbours or more, what chance gives, and how many genes there were.
---@param R table Responses
---@param test integer[]  rows
---@param graph userdata
---@return number share, number chance, integer genes
function M.edge_share(R, test, graph)
  local place, sum, chance, n = require("dynamo.responses").places(R.genes), 0, 0, 0
  for _, i in ipairs(test) do
    local r = R.rows[i]
    local columns = #r.targets == 1 and neighbours(R, graph, r.targets[1], place) or {}
    if #columns >= LEAST then
      local s, c = share_of(R, i, columns)
      sum, chance, n = sum + s, chance + c, n + 1
    end
  end
  return n > 0 and sum / n or 0, n > 0 and chance / n or 0, n
end

-- Networks of the experiment and of its recipes, each once.
local function graphs_of(job, recipes)
  local out, seen = {}, {}
  local function take(g)
    if core.is_graph(g) and not seen[g] then seen[g], out[#out + 1] = true, g end
  end
  take(job.graph)
  local done = {}
  for _, v in ipairs(recipes) do each_recipe(v, function(r) take(r.options.graph) end, done) end
  return out
end

local function check_edges(R, S, graphs, add)
  for _, g in ipairs(graphs) do
    local share, chance, n = M.edge_share(R, S.test, g)
    if n >= GENES and share > SHARE and share > 3 * chance then
      add("edges", ("%s: %.0f%% of the edges out of %d tested genes lead to their own largest responses (chance %.1f%%): "
        .. "made from the data that are tested?"):format(tostring(g), 100 * share, n, 100 * chance))
    end
  end
end

-- ---- the audit ---------------------------------------------------------------------------------

--- Audit a run before anything is fitted: { checked = kinds, findings = { { kind, seed, message, allowed = reason or nil },
--- ... } }. Raises ELEAK for the first finding that is not allowed, with the option that would.
---@param job table  { R, splits, seeds, graph, rows = rows of the table (recipe, e) }
---@param allow? string[]  "kind" or "kind: reason"
---@return table
function M.audit(job, allow)
  local out, why, recipes = { checked = M.kinds, findings = {} }, M.allowed(allow or {}), {}
  for _, r in ipairs(job.rows or {}) do
    recipes[#recipes + 1] = r.recipe
    recipes[#recipes + 1] = r.e
  end
  local graphs = graphs_of(job, recipes)
  for k, S in ipairs(job.splits) do
    local function add(kind, message)
      local seed = job.seeds and job.seeds[k] or S.seed
      out.findings[#out.findings + 1] = { kind = kind, seed = seed, message = message, allowed = why[kind] }
      if not why[kind] then
        err.raise { code = "ELEAK", message = ("seed %s: %s"):format(tostring(seed), message),
          hint = ('allow = { "%s: REASON" } if that is meant; it is then written under every table'):format(kind) }
      end
    end
    check_rows(job.R, S, add)
    check_cells(job.R, S, recipes, add)
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
