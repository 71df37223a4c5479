--- What an object learned from which rows of perturbation data: for the audit of leakage.
--
-- Whatever looks at cells or responses of perturbations and leaves something behind (chosen genes, a median, a network
-- of correlations, components) records the rows here; leakage.audit holds them against the rows that are tested. Made
-- elsewhere by hand (a list of genes from a test of your own)? Say so:
--
--     dynamo.learned.record(R, "genes of a DE list", { { context = "K562", perturbation = "KLF1" } })
local M = {}

local of_userdata = setmetatable({}, { __mode = "k" }) -- networks; tables have a field `learned`

--- What an object learned: a list of { step, rows }, perhaps empty.
---@param object any  a Dataset, Responses, Embedding, Graph
---@return table[]
function M.of(object)
  if type(object) == "table" then return rawget(object, "learned") or {} end
  return of_userdata[object] or {}
end

-- The list with more entries becomes the object's: lists are shared by copies and never changed.
local function give(object, more)
  local list = {}
  for _, l in ipairs(M.of(object)) do list[#list + 1] = l end
  for _, l in ipairs(more) do list[#list + 1] = l end
  if #list == 0 then return object end
  if type(object) == "table" then object.learned = list else of_userdata[object] = list end
  return object
end

--- Record that an object has learned from rows: "all", or a list of { context =, perturbation = } (for Responses also of
--- row indices).
---@param object table|userdata
---@param step string
---@param rows string|table
---@return table|userdata object
function M.record(object, step, rows) return give(object, { { step = step, rows = rows } }) end

--- An object made from another has learned what that one has.
---@param from any
---@param to table|userdata
---@return table|userdata to
function M.pass(from, to) return give(to, M.of(from)) end

--- Rows of Responses by name: a list of { context, perturbation }.
---@param R table
---@param rows integer[]|table[]
---@return table[]
function M.names(R, rows)
  local out = {}
  for k, i in ipairs(rows) do
    local r = type(i) == "number" and R.rows[i] or i
    out[k] = { context = r.context, perturbation = r.perturbation }
  end
  return out
end

--- What Responses learned with rows by name, for Responses that are made from them.
---@param R table
---@return table[]? list, nil if nothing
function M.named(R)
  local list = M.of(R)
  if #list == 0 then return nil end
  local out = {}
  for k, l in ipairs(list) do
    local rows = l.rows == "all" and R.rows or l.rows
    out[k] = { step = l.step, rows = M.names(R, rows) }
  end
  return out
end

return M
