--- key=value from the command line onto an experiment: train.epochs=100 seeds=1..5 model.rank=4
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = {}

local function complain(text, ...) err.raise { code = "EOPTION", message = text:format(...) } end

local function scalar(s)
  if s == "true" then return true elseif s == "false" then return false end
  local quoted = s:match '^"(.*)"$' or s:match "^'(.*)'$"
  if quoted then return quoted end
  local n = tonumber(s)
  if n and n == n and math.abs(n) ~= math.huge and not s:match "^%s" then return n end
  return s
end

local function range(s)
  local lo, hi = s:match "^(-?%d+)%.%.(-?%d+)$"
  if not lo then return nil end
  lo, hi = tonumber(lo), tonumber(hi)
  if hi < lo or hi - lo >= 100000 then complain("'%s': a range goes up, over at most 100000 numbers", s) end
  local out = {}
  for i = lo, hi do out[#out + 1] = i end
  return out
end

--- The value of a text: a number, boolean, string (quoted or not), list "1,2,3" or range "1..5"; lists of ranges too.
---@param s string
function M.value(s)
  local list = range(s)
  if list then return list end
  if s:match '^".*"$' or s:match "^'.*'$" or not s:find(",", 1, true) then return scalar(s) end
  list = {}
  for part in (s .. ","):gmatch "(.-)," do
    local inner = range(part)
    if inner then
      for _, v in ipairs(inner) do list[#list + 1] = v end
    elseif part ~= "" then
      list[#list + 1] = scalar(part)
    end
  end
  return list
end

--- Parse a list of key=value strings: { { key, path = {"train", "epochs"}, value, text }, ... }.
---@param args string[]
function M.parse(args)
  local out = {}
  for _, a in ipairs(args or {}) do
    local key, text = a:match "^([%a_][%w_.%-]*)=(.*)$"
    if not key then complain("'%s': key=value expected, as in train.epochs=100", label.safe(a)) end
    if #key > 200 then complain("'%s…': a key of %d bytes; none is that long", key:sub(1, 60), #key) end
    local path = {}
    for part in (key .. "."):gmatch "(.-)%." do
      if part == "" then complain("'%s': a name is missing around a dot", key) end
      path[#path + 1] = part
    end
    out[#out + 1] = { key = key, path = path, value = M.value(text), text = text }
  end
  return out
end

local function names(t, allowed)
  local all, seen = {}, {}
  for _, from in ipairs { type(t) == "table" and t or {}, allowed or {} } do
    for _, k in ipairs(label.sorted_keys_any(from)) do
      k = tostring(k)
      if not seen[k] then
        seen[k] = true
        all[#all + 1] = k
      end
    end
  end
  table.sort(all)
  return all
end

local function unknown(o, i, t, allowed)
  local inside = i > 1 and " in " .. table.concat(o.path, ".", 1, i - 1) or ""
  local known = names(t, allowed)
  local hint = options.nearest(o.path[i], known)
  complain("%s: there is no '%s'%s%s", o.key, o.path[i], inside, hint and ("; did you mean '%s'?"):format(hint)
    or #known > 0 and (" (there are: %s)"):format(table.concat(known, " ")) or "")
end

-- The new value in the type of the old one.
local function converted(o, old)
  local new = o.value
  if type(old) == "table" and type(new) ~= "table" then new = { new } end
  if type(old) == "string" and (type(new) == "number" or type(new) == "boolean") then new = o.text end
  if type(old) ~= type(new) then
    complain("%s=%s: %s expected", o.key, label.safe(o.text), type(old) == "table" and "list" or type(old))
  end
  return new
end

local function is_rule(rule) return type(rule) == "table" and (rule.type or rule.values or rule.default ~= nil) end

local function apply_one(t, o, allowed)
  for i, key in ipairs(o.path) do
    if type(t) ~= "table" then unknown(o, i, nil, nil) end
    local at = t[key] == nil and t[tonumber(key)] ~= nil and tonumber(key) or key
    local rule = allowed and allowed[key]
    if t[at] == nil and rule == nil then unknown(o, i, t, allowed) end
    if i == #o.path then
      local new = o.value
      if t[at] ~= nil then new = converted(o, t[at]) end
      if is_rule(rule) then
        if rule.type == "table" and type(new) ~= "table" then new = { new } end
        options.check_value(o.key, key, new, rule)
      end
      t[at] = new
      return
    end
    if t[at] == nil then t[at] = {} end
    t, allowed = t[at], type(rule) == "table" and not is_rule(rule) and rule or nil
  end
end

--- Apply parsed overrides to `t`. Only keys that exist in `t` (they keep their type) or in `allowed` can be set.
---@param t table
---@param list table what M.parse returned
---@param allowed? table the shape of what else may be set: { train = { epochs = rule of dynamo.options or true } }
---@return table t
function M.apply(t, list, allowed)
  for _, o in ipairs(list) do apply_one(t, o, allowed) end
  return t
end

return M
