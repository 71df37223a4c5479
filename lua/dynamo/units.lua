--- The units that a model works in, and bringing the control cells of another file there.
--
-- Units are { from = what the values of the file were, values = what they are after preparation, steps = { { name =, options =,
-- kept = genes or nil }, ... } }. A model file keeps them, so that `dynamo predict --controls` treats cells as training did.
local core = require "dynamo.core"
local data = require "dynamo.data"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"
local preparation = require "dynamo.preparation"
local prepare = require "dynamo.prepare"

local M = {}

-- What values can be: of cells as they were read, or after steps. Of a family, each stands for the others.
local LINEAR = { counts = true, ["as they are"] = true }
local LOG = { log1p = true, ["log1p of counts"] = true }
local KNOWN = { counts = true, ["as they are"] = true, log1p = true, ["log1p of counts"] = true, scaled = true,
  normalised = true }

local function fail(path, text, hint) err.raise { code = "EVALUE", file = path, message = text, hint = hint } end

--- The units of a Dataset, or nil where it has no expression (tables, effects, labels).
---@param D table
---@return table|nil
function M.of(D)
  local values = D.values
  if not KNOWN[values] then return nil end
  return { from = D.stored or values, values = values, steps = D.prepared or {} }
end

-- ---- in a model file ---------------------------------------------------------------------------------------

--- Units as plain values for a configuration, and the lists of genes of the steps that keep some, by place.
---@param units table
---@return table config
---@return table<integer, string[]> kept
function M.plain(units)
  local config, kept = { from = units.from, values = units.values, steps = require("dynamo.json").array {} }, {}
  for k, s in ipairs(units.steps) do
    config.steps[k], kept[k] = { name = s.name, options = s.options }, s.kept
  end
  return config, kept
end

--- Units of a configuration: nothing in it is believed. nil and a sentence where it is not what `plain` makes.
---@param config any
---@param kept fun(k: integer): string[]|nil
---@return table|nil units
---@return string|nil what is wrong
function M.checked(config, kept)
  if type(config) ~= "table" or not (KNOWN[config.from] and KNOWN[config.values] and type(config.steps) == "table") then
    return nil, "units are not { from, values, steps }"
  end
  local units = { from = config.from, values = config.values, steps = {} }
  for k, s in ipairs(config.steps) do
    local schema = type(s) == "table" and preparation.names[s.name] and prepare.schema[s.name]
    if not schema or type(s.options) ~= "table" then return nil, ("units: step %d is unknown"):format(k) end
    local ok, o = pcall(options.check, "units: " .. s.name, s.options, schema)
    if not ok or s.name == "normalise" and type(o.target) ~= "number" then
      return nil, ok and "units: normalise has no target" or err.tostring(o)
    end
    units.steps[k] = { name = s.name, options = o, kept = kept(k) }
  end
  return units
end

-- ---- other cells -------------------------------------------------------------------------------------------

-- A file without a perturbation column has control cells only.
local function read_controls(path, o)
  local ok, D = pcall(data.read, path, o)
  if ok then return D end
  if not tostring(D):find("no perturbation column", 1, true) then error(D, 0) end
  o.perturbation = false
  return data.read(path, o)
end

local function sparse(x) return core.is_sparse(x) and x or core.sparse_from_dense(x) end

-- Values of log1p as they were before; they are counts times a factor per cell.
local function linear(x)
  local start, columns, values = sparse(x):csr()
  local n, g = x:size()
  return core.sparse_csr(n, g, start, columns, values:expm1())
end

-- Whether all cells have the same total, to 1 %: then all genes that were scaled are still there.
local function same_totals(x)
  local sums = x:row_sums()
  local n = sums:count()
  return n > 0 and sums:max():item() - sums:min():item() <= 0.01 * math.abs(sums:sum():item() / n)
end

local function scales(units)
  local target, by_counts = nil, false
  for _, s in ipairs(units.steps) do
    if s.name == "normalise" then target = s.options.target end
    if s.name == "filter_cells" and (s.options.min_counts or s.options.max_counts) then by_counts = true end
  end
  return target, by_counts
end

local function refuse(path, D, units, why)
  local want = units.values == "log1p of counts" and "log1p of counts scaled to 10,000 a cell" or units.values
  if #units.steps > 0 then
    local names = {}
    for i, s in ipairs(units.steps) do names[i] = s.name end
    want = ("%s after %s"):format(want, table.concat(names, ", "))
  end
  fail(path, ("values are %s, those of the model %s: the controls cannot be brought to its units%s"):format(
    label.safe(tostring(D.values)), want, why and " (" .. why .. ")" or ""),
    LINEAR[units.from] and "an .h5ad with the counts of the control cells" or "an .h5ad with values as in training")
end

-- Logarithms where the model's steps take counts: undone where totals show that whole cells were scaled.
local function from_logarithms(D, units, path, note)
  local target, by_counts = scales(units)
  if units.values ~= "log1p" or not target then refuse(path, D, units) end
  local x = linear(D.x)
  if same_totals(x) then
    note(("%s: log1p values, scaled again as in training (%.6g a cell)"):format(path, target))
    if by_counts then note(("%s: cells are not filtered by their counts, which are not in the file"):format(path)) end
    local D2 = setmetatable({}, getmetatable(D))
    for k, v in pairs(D) do D2[k] = v end
    D2.x, D2.values, D2.cache = x, "as they are", {}
    return D2, true
  end
  if math.abs(target - 1e4) > 1e-6 * target then
    refuse(path, D, units, "how they were scaled does not show")
  end
  note(("%s: log1p values whose totals differ between cells: taken as scaled to 10,000, as in training"):format(path))
  return D, false
end

-- The steps to apply to cells that start where the model's training cells did, or later.
local function steps_for(units, scaled, counts)
  local out = {}
  for _, s in ipairs(units.steps) do
    local scaling = s.name == "normalise" or s.name == "log1p"
    local filter = s.name == "filter_cells" and (s.options.min_counts or s.options.max_counts)
    if not (scaling and scaled) and not (filter and not counts) then out[#out + 1] = s end
  end
  return out
end

--- The control cells of a file (other cells stay with them) in the units of a model.
---
--- Counts go through the steps of training with what those had learned: totals, genes. log1p values are undone and
--- scaled again where their totals show that nothing was left out. Raises EVALUE, one sentence, where the values cannot be
--- brought to the model's units (negative values for a model of counts), and what data.read raises.
---@param path string
---@param units table|nil nil: as data.read gives them
---@param note fun(text: string)
---@return table Dataset
function M.read(path, units, note)
  local from_counts = units and LINEAR[units.from]
  local D = read_controls(path, { counts = from_counts or nil })
  if not units or not KNOWN[D.values] then return D end
  if not from_counts then
    if not (LOG[D.values] and LOG[units.from] or D.values == units.from) then refuse(path, D, units) end
    return preparation.replay(D, steps_for(units, LOG[units.from], true), path)
  end
  local scaled, counts = false, D.values == "counts"
  if D.values == "log1p" then
    local again
    D, again = from_logarithms(D, units, path, note)
    scaled = not again
  elseif D.values ~= units.from and not (LINEAR[D.values] and scales(units)) then
    refuse(path, D, units)
  end
  return preparation.replay(D, steps_for(units, scaled, counts or D.values == units.from), path)
end

return M
