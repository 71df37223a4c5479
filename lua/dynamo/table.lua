--- Tables as text: aligned for terminals, Markdown, LaTeX, CSV.
local M = {}

--- Columns a string takes: code points, not bytes.
local function width(s)
  local _, n = s:gsub("[^\128-\191]", "")
  return n
end

local function is_number(s) return s == "" or s:match "^[+-]?%d" ~= nil or s == "nan" end

local function cells(columns, rows)
  local w, right = {}, {}
  for j, c in ipairs(columns) do
    w[j], right[j] = width(tostring(c)), j > 1
    for _, r in ipairs(rows) do
      local s = tostring(r[j] == nil and "" or r[j])
      w[j] = math.max(w[j], width(s))
      right[j] = right[j] and is_number(s)
    end
  end
  return w, right
end

local function pad(s, n, right)
  local fill = (" "):rep(n - width(s))
  return right and fill .. s or s .. fill
end

--- Aligned text: numbers to the right, a rule under the head.
---@param columns string[]
---@param rows table[]  lists of strings or numbers
function M.format(columns, rows)
  local w, right = cells(columns, rows)
  local out, rule = {}, {}
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = pad(tostring(r[j] == nil and "" or r[j]), w[j], right[j]) end
    out[#out + 1] = (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  line(columns)
  for j = 1, #columns do rule[j] = ("-"):rep(w[j]) end
  out[#out + 1] = table.concat(rule, "  ")
  for _, r in ipairs(rows) do line(r) end
  return table.concat(out, "\n")
end

--- A Markdown table.
function M.markdown(columns, rows)
  local _, right = cells(columns, rows)
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = tostring(r[j] == nil and "" or r[j]):gsub("|", "\\|") end
    return "| " .. table.concat(parts, " | ") .. " |"
  end
  local rule = {}
  for j = 1, #columns do rule[j] = right[j] and "--:" or "---" end
  local out = { line(columns), "|" .. table.concat(rule, "|") .. "|" }
  for _, r in ipairs(rows) do out[#out + 1] = line(r) end
  return table.concat(out, "\n")
end

local TEX = { ["\\"] = "\\textbackslash{}", ["&"] = "\\&", ["%"] = "\\%", ["$"] = "\\$", ["#"] = "\\#", ["_"] = "\\_",
  ["{"] = "\\{", ["}"] = "\\}", ["~"] = "\\textasciitilde{}", ["^"] = "\\textasciicircum{}" }

--- A LaTeX tabular.
function M.latex(columns, rows)
  local _, right = cells(columns, rows)
  local spec = {}
  for j = 1, #columns do spec[j] = right[j] and "r" or "l" end
  local function line(r)
    local parts = {}
    for j = 1, #columns do parts[j] = tostring(r[j] == nil and "" or r[j]):gsub("[\\&%%$#_{}~^]", TEX) end
    return table.concat(parts, " & ") .. " \\\\"
  end
  local out = { "\\begin{tabular}{" .. table.concat(spec) .. "}", "\\hline", line(columns), "\\hline" }
  for _, r in ipairs(rows) do out[#out + 1] = line(r) end
  out[#out + 1] = "\\hline"
  out[#out + 1] = "\\end{tabular}"
  return table.concat(out, "\n")
end

local function field(s)
  s = tostring(s == nil and "" or s)
  return s:find '[,"\r\n]' and '"' .. s:gsub('"', '""') .. '"' or s
end

--- CSV, RFC 4180.
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

M.width = width
return M
