--- Values as text for people: tables with sorted keys, tensors with their numbers, objects in their own words.
--
--     print(show(value))           -- several lines where that helps
--     print(show.line(value))      -- always one line
local core = require "dynamo.core"
local label = require "dynamo.label"

local M = {}

local DEPTH, ITEMS, BYTES = 3, 30, 200

local function number(v)
  if math.type and math.type(v) == "integer" then return ("%d"):format(v) end
  if v ~= v then return "nan" end
  if v == math.huge then return "inf" elseif v == -math.huge then return "-inf" end
  if v == math.floor(v) and math.abs(v) < 1e15 then return ("%.0f"):format(v) end
  return ("%.6g"):format(v)
end

local function quoted(s)
  local cut = #s > BYTES
  if cut then s = s:sub(1, BYTES) end
  return '"' .. label.safe(s:gsub('[\\"]', "\\%0"):gsub("\n", "\\n"):gsub("\t", "\\t")) .. '"' .. (cut and "…" or "")
end

-- The class of a userdata is the name its metatable shows to scripts.
local function class(v)
  local meta = type(v) == "userdata" and getmetatable(v)
  return type(meta) == "string" and meta or nil
end

local function has_tostring(v)
  local meta = getmetatable(v)
  return type(meta) == "table" and meta.__tostring ~= nil
end

local function bytes(n)
  local units = { "B", "kB", "MB", "GB" }
  local u = 1
  while n >= 1000 and u < #units do n, u = n / 1000, u + 1 end
  return (u == 1 and "%d %s" or "%.3g %s"):format(n, units[u])
end

local function tensor_head(t)
  local size, count = { t:size() }, 1
  for i, n in ipairs(size) do
    count = count * n
    size[i] = ("%d"):format(n)
  end
  local shape = #size == 0 and "scalar" or table.concat(size, "x")
  return ("tensor %s %s (%s)"):format(t:type(), shape, bytes(count * (t:type() == "double" and 8 or 4)))
end

-- Which of n positions are shown in room for k of them: the first and the last, 0 for the gap.
local function chosen(n, k)
  local out = {}
  if n <= k then
    for i = 1, n do out[i] = i end
    return out
  end
  local head = math.ceil((k - 1) / 2)
  for i = 1, head do out[#out + 1] = i end
  out[#out + 1] = 0
  for i = n - (k - 1 - head) + 1, n do out[#out + 1] = i end
  return out
end

-- One format for a block of numbers.
local function block_format(values)
  local most, whole = 0, true
  for _, v in ipairs(values) do
    if v == v and math.abs(v) ~= math.huge then
      most = math.max(most, math.abs(v))
      whole = whole and v == math.floor(v)
    end
  end
  if whole and most < 1e7 then return "%.0f" end
  if most >= 1e5 or most > 0 and most < 1e-3 then return "%.3e" end
  return "%.4f"
end

local function element(t, flat, i, j)
  if flat then return t:get(j) end
  return t:get(i, j)
end

-- No closure over the tensor: a compiled trace would keep it alive.
local function rows_text(t, flat, n, m, width)
  local rows = chosen(n, 12)
  local room = math.max(3, math.floor((width - 2) / 11))
  local cols = chosen(m, room)
  local values = {}
  for _, i in ipairs(rows) do
    for _, j in ipairs(cols) do if i > 0 and j > 0 then values[#values + 1] = element(t, flat, i, j) end end
  end
  local format = block_format(values)
  local lines = {}
  for _, i in ipairs(rows) do
    local cells = {}
    for _, j in ipairs(cols) do
      local text = "…"
      if i > 0 and j > 0 then
        local v = element(t, flat, i, j)
        text = (v ~= v or math.abs(v) == math.huge) and number(v) or format:format(v)
      end
      local gap = text == "…" and 9 or 10 - #text
      cells[#cells + 1] = (" "):rep(gap) .. text
    end
    lines[#lines + 1] = i == 0 and "         …" or (table.concat(cells, " "))
  end
  return table.concat(lines, "\n")
end

local function tensor(t, width)
  local size = { t:size() }
  local lines = { tensor_head(t) }
  if #size == 0 then return lines[1] .. " " .. number(t:item()) end
  for _, n in ipairs(size) do if n == 0 then return lines[1] end end
  while #size > 2 do
    t = t:select(1, 1)
    size = { t:size() }
    lines[2] = "  first slice:"
  end
  local n, m = size[1], size[2]
  if #size == 1 then n, m = 1, size[1] end
  lines[#lines + 1] = rows_text(t, #size == 1, n, m, width)
  return table.concat(lines, "\n")
end

local inline

local function key_text(k)
  if type(k) == "string" and k:match "^[%a_][%w_]*$" then return k end
  return "[" .. inline(k, 0, {}) .. "]"
end

-- One line for any value.
function inline(v, depth, open)
  local kind = type(v)
  if kind == "string" then return quoted(v) end
  if kind == "number" then return number(v) end
  if class(v) == "dynamo.Tensor" then
    local _, ok = pcall(tensor_head, v)
    return ok
  end
  if kind ~= "table" or has_tostring(v) then return (tostring(v):gsub("\n.*", " …")) end
  if open[v] then return "{ cycle }" end
  if next(v) == nil then return "{}" end
  if depth <= 0 then return "{ … }" end
  open[v] = true
  local parts, n = {}, #v
  for i = 1, math.min(n, ITEMS) do parts[i] = inline(v[i], depth - 1, open) end
  if n > ITEMS then parts[#parts + 1] = ("… (%d items)"):format(n) end
  local named = {}
  for _, k in ipairs(M.keys(v)) do
    if not (type(k) == "number" and k >= 1 and k <= n and k == math.floor(k)) then named[#named + 1] = k end
  end
  for i, k in ipairs(named) do
    if i > ITEMS then
      parts[#parts + 1] = ("… (%d keys)"):format(#named)
      break
    end
    parts[#parts + 1] = key_text(k) .. " = " .. inline(v[k], depth - 1, open)
  end
  open[v] = nil
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- The keys of a table in a fixed order, whatever their types.
function M.keys(t)
  local keys = {}
  for k in next, t do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    local ta, tb = type(a), type(b)
    if ta ~= tb then return ta < tb end
    if ta == "number" or ta == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

--- One line of text for a value.
function M.line(v) return inline(v, DEPTH, {}) end

--- How long a string appears, in characters.
local function wide(s) return select(2, s:gsub("[^\128-\191]", "")) end

local function lines_of(v, width, indent, depth, open)
  local text = inline(v, depth, open)
  if type(v) ~= "table" or has_tostring(v) or depth <= 0 or open[v] then return text end
  if wide(text) + #indent <= width then return text end
  open[v] = true
  local inner, out, n = indent .. "  ", { "{" }, #v
  for i = 1, math.min(n, ITEMS) do out[#out + 1] = inner .. lines_of(v[i], width, inner, depth - 1, open) .. "," end
  if n > ITEMS then out[#out + 1] = ("%s… (%d items)"):format(inner, n) end
  local shown = 0
  for _, k in ipairs(M.keys(v)) do
    if not (type(k) == "number" and k >= 1 and k <= n and k == math.floor(k)) then
      shown = shown + 1
      if shown > ITEMS then
        out[#out + 1] = inner .. "…"
        break
      end
      out[#out + 1] = inner .. key_text(k) .. " = " .. lines_of(v[k], width, inner, depth - 1, open) .. ","
    end
  end
  open[v] = nil
  out[#out + 1] = indent .. "}"
  return table.concat(out, "\n")
end

--- A value as text, over several lines if one is not enough.
---@param v any
---@param opts? table  { width = columns of the terminal }
---@return string
function M.show(v, opts)
  local width = opts and opts.width or core.term_width()
  if class(v) == "dynamo.Tensor" then
    local ok, text = pcall(tensor, v, width)
    return ok and text or tostring(v)
  end
  if type(v) == "userdata" or type(v) == "table" and has_tostring(v) then return tostring(v) end
  return lines_of(v, width, "", DEPTH, {})
end

return setmetatable(M, { __call = function(_, v, opts) return M.show(v, opts) end })
