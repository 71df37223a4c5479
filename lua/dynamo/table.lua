--- Tables as text: aligned for terminals, Markdown, LaTeX (booktabs), CSV.
--
-- Cells are strings or numbers. Numbers are shown with three decimals (whole ones without), missing values and NaN as a
-- dash; CSV has them in full precision and empty.
local M = {}

local DASH = "–"

--- Columns a string takes: code points, not bytes.
local function width(s) return select(2, s:gsub("[^\128-\191]", "")) end
M.width = width

--- A number for people: whole numbers as they are, others with `decimals` (3).
function M.number(v, decimals)
  if v == nil or v ~= v then return DASH end
  if v == math.huge then return "inf" elseif v == -math.huge then return "-inf" end
  if v == math.floor(v) and math.abs(v) < 1e15 and not decimals then return ("%.0f"):format(v) end
  local text = ("%." .. (decimals or 3) .. "f"):format(v)
  return (text:gsub("^%-(0%.?0*)$", "%1")) -- no minus zero
end

--- "0.812 ± 0.010": a value and its half width.
function M.plus_minus(v, half, decimals)
  if v == nil or v ~= v then return DASH end
  decimals = decimals or 3
  if half == nil or half ~= half then return M.number(v, decimals) end
  return M.number(v, decimals) .. " ± " .. M.number(half, decimals)
end

--- "0.812 [0.790, 0.834]": a value and its interval.
function M.interval(v, lo, hi, decimals)
  if v == nil or v ~= v then return DASH end
  decimals = decimals or 3
  if lo == nil or hi == nil then return M.number(v, decimals) end
  return ("%s [%s, %s]"):format(M.number(v, decimals), M.number(lo, decimals), M.number(hi, decimals))
end

-- What stands in a cell; lines and control characters would break the table.
local function text(v)
  if v == nil then return DASH end
  if type(v) == "number" then return M.number(v) end
  return (tostring(v):gsub("%c", " "))
end

local function looks_numeric(s)
  return s == "" or s == DASH or s == "nan" or s == "inf" or s == "-inf" or s:match "^[+-]?%.?%d" ~= nil
end

-- Text, width and alignment of all columns.
local function layout(columns, rows)
  local cells, w, right = {}, {}, {}
  for j, c in ipairs(columns) do
    w[j], right[j] = width(text(c)), j > 1 or #rows > 0
    for i, r in ipairs(rows) do
      local s = text(r[j])
      cells[i] = cells[i] or {}
      cells[i][j] = s
      w[j] = math.max(w[j], width(s))
      right[j] = right[j] and looks_numeric(s)
    end
  end
  return cells, w, right
end

local function pad(s, n, right)
  local fill = (" "):rep(n - width(s))
  return right and fill .. s or s .. fill
end

--- Aligned text: numbers to the right, a rule under the head.
---@param columns string[]
---@param rows table[]  lists of strings or numbers
---@return string
function M.format(columns, rows)
  local cells, w, right = layout(columns, rows)
  local out, rule = {}, {}
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = pad(r[j], w[j], right[j]) end
    out[#out + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  local head = {}
  for j, c in ipairs(columns) do head[j], rule[j] = text(c), ("-"):rep(w[j]) end
  line(head)
  out[#out + 1] = table.concat(rule, "  ")
  for _, r in ipairs(cells) do line(r) end
  return table.concat(out, "\n")
end

--- A Markdown table.
function M.markdown(columns, rows)
  local cells, _, right = layout(columns, rows)
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = text(r[j]):gsub("|", "\\|") end
    return "| " .. table.concat(parts, " | ") .. " |"
  end
  local rule = {}
  for j = 1, #columns do rule[j] = right[j] and "--:" or "---" end
  local out = { line(columns), "|" .. table.concat(rule, "|") .. "|" }
  for _, r in ipairs(cells) do out[#out + 1] = line(r) end
  return table.concat(out, "\n")
end

local TEX = { ["\\"] = "\\textbackslash{}", ["&"] = "\\&", ["%"] = "\\%", ["$"] = "\\$", ["#"] = "\\#", ["_"] = "\\_",
  ["{"] = "\\{", ["}"] = "\\}", ["~"] = "\\textasciitilde{}", ["^"] = "\\textasciicircum{}" }

local function tex(s) return (s:gsub("[\\&%%$#_{}~^]", TEX):gsub("±", "$\\pm$"):gsub(DASH, "--")) end

--- A LaTeX tabular with the rules of booktabs.
function M.latex(columns, rows)
  local cells, _, right = layout(columns, rows)
  local spec = {}
  for j = 1, #columns do spec[j] = right[j] and "r" or "l" end
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = tex(text(r[j])) end
    return table.concat(parts, " & ") .. " \\\\"
  end
  local out = { "\\begin{tabular}{" .. table.concat(spec) .. "}", "\\toprule", line(columns), "\\midrule" }
  for _, r in ipairs(cells) do out[#out + 1] = line(r) end
  out[#out + 1] = "\\bottomrule"
  out[#out + 1] = "\\end{tabular}"
  return table.concat(out, "\n")
end

local function field(v)
  if v == nil or v ~= v then return "" end
  local s = type(v) == "number" and ("%.17g"):format(v) or tostring(v)
  if type(v) == "number" and v == math.floor(v) and math.abs(v) < 1e15 then
    s = ("%.0f"):format(v)
  elseif type(v) == "number" then
    for digits = 1, 16 do
      local short = ("%." .. digits .. "g"):format(v)
      if tonumber(short) == v then
        s = short
        break
      end
    end
  end
  return s:find '[,"\r\n]' and '"' .. s:gsub('"', '""') .. '"' or s
end

--- CSV, RFC 4180, numbers with every digit they need.
function M.csv(columns, rows)
  local out = {}
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = field(r[j]) end
    out[#out + 1] = table.concat(parts, ",")
  end
  line(columns)
  for _, r in ipairs(rows) do line(r) end
  return table.concat(out, "\n") .. "\n"
end

return M
