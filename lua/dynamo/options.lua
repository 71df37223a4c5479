--- Option tables: one schema gives defaults, checks, error messages and help.
--
-- A schema maps each option to `{ default=, type="integer|number|string|boolean|table|function|userdata|any",
-- min=, max=, values={...}, required=true, help="..." }`. Several types are separated by "|". For lists,
-- `type = "table"` together with `item = "number"` checks every element (`min`, `max`, `values` hold for elements).
local err = require "dynamo.error"
local label = require "dynamo.label"

local M = {}

-- Edits (insert, delete, replace, swap of neighbours) that turn a into b.
local function distance(a, b)
  local before, row = nil, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local new = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = math.min(row[j] + 1, new[j - 1] + 1, row[j - 1] + (same and 0 or 1))
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      new[j] = d
    end
    before, row = row, new
  end
  return row[#b]
end

--- The name in `list` that `word` was probably meant to be, or nil.
function M.nearest(word, list)
  word = tostring(word):lower()
  local best, score
  for _, name in ipairs(list) do
    local low = name:lower()
    local d = distance(word, low)
    local near = d <= math.min(2, math.max(1, math.floor(#word / 3))) or d == 0
    if not near and #word >= 3 and (low:sub(1, #word) == word or word:sub(1, #low) == low and #low >= 3) then
      near, d = true, 3
    end
    if near and (not score or d < score) then best, score = name, d end
  end
  return best
end

--- "; did you mean 'x'?", or the list of what there is: the end of a message about an unknown name.
function M.suggestion(word, list)
  local name = M.nearest(word, list)
  if name then return ("; did you mean '%s'?"):format(name) end
  if #list == 0 then return "" end
  if #list > 24 then return "" end
  return " (there are: " .. table.concat(list, " ") .. ")"
end

local function is_integer(v) return type(v) == "number" and v == math.floor(v) and v > -2 ^ 53 and v < 2 ^ 53 end

local function has_type(v, types)
  for t in types:gmatch "[%w_]+" do
    if t == "any" or type(v) == t then return true end
    if t == "integer" and is_integer(v) then return true end
  end
  return false
end

--- A short text for any value: strings in quotes, numbers as they are, the rest by kind.
function M.quote(v)
  if type(v) == "string" then return "'" .. v:sub(1, 60):gsub("%c", "?") .. "'" end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "boolean" or v == nil then return tostring(v) end
  return "a " .. type(v)
end

local function article(types)
  local words = types:gsub("|", " or ")
  return (words:match "^[aeiou]" and "an " or "a ") .. words
end

--- What an option may be, in words: "an integer 1..512", "one of a b c".
function M.allowed(rule)
  local types = rule.type or (rule.default ~= nil and type(rule.default)) or "any"
  if rule.values then
    local words = {}
    for i, v in ipairs(rule.values) do words[i] = tostring(v) end
    return (rule.item and "a list of " or "one of ") .. table.concat(words, " ")
  end
  local text = rule.item and "a list of " .. rule.item .. "s" or article(types)
  local lo, hi = rule.min, rule.max
  if lo and hi then return ("%s %.14g..%.14g"):format(text, lo, hi) end
  if lo then return ("%s of at least %.14g"):format(text, lo) end
  if hi then return ("%s of at most %.14g"):format(text, hi) end
  return text
end

local function in_bounds(v, rule)
  if rule.values then
    for _, allowed in ipairs(rule.values) do if v == allowed then return true end end
    return false
  end
  if type(v) ~= "number" then return true end
  return v == v and (not rule.min or v >= rule.min) and (not rule.max or v <= rule.max)
end

local function valid(v, rule)
  local types = rule.type or (rule.default ~= nil and type(rule.default)) or "any"
  if not has_type(v, types) then return false end
  if not (rule.item and type(v) == "table") then return in_bounds(v, rule) end
  for _, x in ipairs(v) do
    if not (has_type(x, rule.item) and in_bounds(x, rule)) then return false, x end
  end
  return true
end

local function complain(name, message) err.raise { code = "EOPTION", message = name .. ": " .. message } end

--- Check one value against its rule; `name` is what the caller is called.
function M.check_value(name, key, value, rule)
  local ok, item = valid(value, rule)
  if not ok then
    complain(name, ("option '%s' must be %s (got %s)"):format(key, M.allowed(rule), M.quote(item or value)))
  end
end

--- A new table with every option of `schema`: the one given in `opts` (checked), else the default.
--
-- Unknown options, wrong types and values out of range raise errors that name the option, the value and what is
-- allowed: "model.koopman: unknown option 'latant'; did you mean 'latent'?". Options without a default stay nil.
---@param name string what the caller is called, such as "model.koopman"
---@param opts table? the options as given
---@param schema table
---@return table
function M.check(name, opts, schema)
  if opts == nil then opts = {} end
  if type(opts) ~= "table" then
    complain(name, ("a table of options expected (got %s)"):format(M.quote(opts)))
  end
  local names = label.sorted_keys_any(schema)
  for _, key in ipairs(label.sorted_keys_any(opts)) do
    if schema[key] == nil then
      if type(key) == "number" then
        complain(name, ("options have names (got %s without one)"):format(M.quote(opts[key])))
      end
      complain(name, ("unknown option '%s'%s"):format(tostring(key), M.suggestion(key, names)))
    end
  end
  local out = {}
  for _, key in ipairs(names) do
    local rule, value = schema[key], opts[key]
    if value ~= nil then
      M.check_value(name, key, value, rule)
      out[key] = value
    elseif rule.required then
      complain(name, ("option '%s' is required: %s"):format(key, M.allowed(rule)))
    elseif type(rule.default) == "table" and getmetatable(rule.default) == nil then
      local copy = {} -- nobody may change the schema through a result
      for k, v in pairs(rule.default) do copy[k] = v end
      out[key] = copy
    else
      out[key] = rule.default
    end
  end
  return out
end

--- The options of a schema as lines of text: name, default, what is allowed, help.
function M.describe(schema)
  local lines = {}
  for _, key in ipairs(label.sorted_keys_any(schema)) do
    local rule = schema[key]
    local text = ("  %-14s %s"):format(key, M.allowed(rule))
    if rule.default ~= nil and type(rule.default) ~= "table" then
      text = text .. ", default " .. tostring(rule.default)
    end
    if rule.help then text = text .. "; " .. rule.help end
    lines[#lines + 1] = text
  end
  return table.concat(lines, "\n")
end

return M
