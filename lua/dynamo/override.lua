--- key=value from the command line onto an experiment: train.epochs=100 seeds=1..5 model.rank=4
local label = require "dynamo.label"

local M = {}

local function scalar(s)
  if s == "true" then return true elseif s == "false" then return false end
  return tonumber(s) or s
end

--- The value of a text: a number, boolean, string, list "1,2,3" or range "1..5".
function M.value(s)
  local lo, hi = s:match "^(-?%d+)%.%.(-?%d+)$"
  if lo then
    local out = {}
    for i = tonumber(lo), tonumber(hi) do out[#out + 1] = i end
    return out
  end
  if s:find(",", 1, true) then
    local out = {}
    for part in (s .. ","):gmatch "(.-)," do
      if part ~= "" then out[#out + 1] = scalar(part) end
    end
    return out
  end
  return scalar(s)
end

--- Parse a list of key=value strings: { { path = {"train", "epochs"}, key, value, text }, ... }.
function M.parse(args)
  local out = {}
  for _, a in ipairs(args or {}) do
    local key, text = a:match "^([%a_][%w_.]*)=(.*)$"
    if not key then error(("'%s': key=value expected, as in train.epochs=100"):format(a), 0) end
    local path = {}
    for part in key:gmatch "[^.]+" do path[#path + 1] = part end
    out[#out + 1] = { key = key, path = path, value = M.value(text), text = text }
  end
  return out
end

--- Apply parsed overrides to `t`; only keys that exist (and keep their type) can be set.
function M.apply(t, list)
  for _, o in ipairs(list) do
    local at, done = t, {}
    for i = 1, #o.path do
      local key = o.path[i]
      local old = type(at) == "table" and at[key]
      if type(at) ~= "table" or old == nil then
        local known = type(at) == "table" and label.sorted_keys_any(at) or {}
        for j, k in ipairs(known) do known[j] = tostring(k) end
        error(("%s: there is no '%s'%s%s (known: %s)"):format(o.key, key,
          #done > 0 and " in " .. table.concat(done, ".") or "", label.suggest(key, known), table.concat(known, ", ")), 0)
      end
      if i < #o.path then
        at, done[#done + 1] = old, key
      else
        local new = o.value
        if type(old) == "table" and type(new) ~= "table" then new = { new } end
        if type(old) ~= type(new) then
          error(("%s=%s: %s expected"):format(o.key, o.text, type(old)), 0)
        end
        at[key] = new
      end
    end
  end
end

return M
