--- manifest.json: what a run was made of (identity, equal for equal runs) and how it went (circumstances).
local core = require "dynamo.core"
local cost = require "dynamo.cost"
local read = require "dynamo.inputs"
local json = require "dynamo.json"
local label = require "dynamo.label"
local recipe = require "dynamo.recipe"

local M = {}

--- Options of an experiment or a recipe as plain values; objects by their text.
---@param v any
---@return any
local function resolved(v)
  local kind = type(v)
  if kind == "number" or kind == "string" or kind == "boolean" then return v end
  if kind ~= "table" then return kind == "userdata" and tostring(v) or kind end
  if recipe.schema(v) then
    return { recipe = tostring(v), options = resolved(v.options) }
  end
  local meta = getmetatable(v)
  if type(meta) == "table" and meta.__tostring or v.source then return tostring(v) end
  if #v > 50 then return ("%d items"):format(#v) end
  local out = #v > 0 and json.array {} or {}
  for _, k in ipairs(label.sorted_keys_any(v)) do out[k] = resolved(v[k]) end
  return out
end

M.resolved = resolved

local function digest(path, name)
  local s = core.stat(path)
  if not s or s.type ~= "file" then return { name = name, bytes = json.null, sha256 = json.null } end
  return { name = name, bytes = s.size, sha256 = core.sha256_file(path) }
end

local function inputs(results)
  local out, seen = json.array {}, {}
  local list = { results.experiment.file }
  for _, path in ipairs(results.inputs) do list[#list + 1] = path end
  for _, path in ipairs(read.files()) do list[#list + 1] = path end
  for _, path in ipairs(list) do
    if not seen[path] then out[#out + 1] = digest(path, path:match "[^/]*$") end
    seen[path] = true
  end
  return out
end

local function audit(results)
  local out = json.array {}
  for k, S in ipairs(results.splits) do
    local findings = json.array {}
    for _, f in ipairs(results.leakage and results.leakage.findings or {}) do
      if f.seed == results.seeds[k] then
        findings[#findings + 1] = { kind = f.kind, message = f.message, allowed = f.allowed }
      end
    end
    out[k] = { split = tostring(S), unit = S.unit, overlap = 0, notes = json.array(S.notes), findings = findings,
      checked = results.leakage and json.array(results.leakage.checked),
      learned = results.leakage and json.array(results.leakage.learned) }
  end
  return out
end

local function command_line()
  local words = json.array {}
  local given = rawget(_G, "arg")
  if type(given) ~= "table" then return words end
  for i = 0, #given do words[#words + 1] = tostring(given[i]) end
  return words
end

--- The text of manifest.json for Results whose files are in `folder`.
---@param results table
---@param folder string
---@param files string[]  names of the files written so far
---@return string
function M.text(results, folder, files)
  local outputs = json.array {}
  for _, f in ipairs(files) do
    if f ~= "report.html" then outputs[#outputs + 1] = digest(folder .. "/" .. f, f) end
  end
  local coverage, missing = results:coverage()
  local steps = results.R.preparation
  local o = {}
  for k, v in pairs(results.experiment.options) do
    if k ~= "check" and k ~= "out" then o[k] = resolved(v) end
  end
  return json.encode({
    identity = { version = core.version, experiment = results.experiment.options.name, options = o,
      model = tostring(results:main().recipe), seeds = json.array(results.seeds), inputs = inputs(results),
      outputs = outputs, leakage = audit(results), coverage = coverage, without_embedding = json.array(missing),
      data = tostring(results.R), preparation = steps and json.array(resolved(steps)) },
    circumstances = { command = command_line(), lua = rawget(_G, "jit") and jit.version or _VERSION, blas = core.blas(),
      threads = core.threads(), seconds = results.seconds, peak_memory = cost.peak(),
      finished = os.date "!%Y-%m-%dT%H:%M:%SZ" },
  }, { indent = true }) .. "\n"
end

return M
