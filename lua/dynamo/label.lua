--- Labels of perturbations: controls, combinations, and names in messages.
local M = {}

local CONTROL = {}
for word in ([[control ctrl non-targeting nontargeting non_targeting nt ntc unperturbed negative_control neg_control
  scramble safe-targeting mock vehicle dmso]]):gmatch "%S+" do CONTROL[word] = true end

--- Keys of `t`, sorted: `pairs` has a different order in every run.
function M.sorted_keys(t)
  local ks = {}
  for k in pairs(t) do ks[#ks + 1] = k end
  table.sort(ks)
  return ks
end

--- Keys of any type: numbers first, in order, then strings.
function M.sorted_keys_any(t)
  local ks = {}
  for k in pairs(t) do ks[#ks + 1] = k end
  table.sort(ks, function(a, b)
    if type(a) ~= type(b) then return type(a) == "number" end
    return a < b
  end)
  return ks
end

--- Text from a file with its control characters visible.
function M.safe(s)
  return (tostring(s):gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- A function that says whether a label means "not perturbed".
---@param name? string|string[]  the control label or labels; default: the usual ones, case ignored
function M.control_test(name)
  if type(name) == "table" then
    local known = {}
    for _, s in ipairs(name) do known[s] = true end
    return function(s) return known[s] == true end
  end
  if name then return function(s) return s == name end end
  return function(s) return CONTROL[s:lower()] == true end
end

--- The usual control labels, sorted.
function M.control_words() return M.sorted_keys(CONTROL) end

local function split_at(s, sep)
  local parts, from = {}, 1
  while true do
    local a, b = s:find(sep, from, true)
    parts[#parts + 1] = s:sub(from, (a or 0) - 1):match "^%s*(.-)%s*$"
    if not a then return parts end
    from = b + 1
  end
end

-- Whether a separator occurs in these labels, and splits every one of them into known names.
local function separates(labels, sep, is_control, known)
  local single, found = {}, false
  for _, s in ipairs(labels) do single[s] = not s:find(sep, 1, true) end
  for _, s in ipairs(labels) do
    if not single[s] and not is_control(s) then
      found = true
      if known[s] then return false end -- a gene whose own name has it
      for _, p in ipairs(split_at(s, sep)) do
        if not (known[p] or single[p] or is_control(p)) then return false end
      end
    end
  end
  return found
end

--- What separates the genes of combinations: "+" if any label has it, else the first of _ | ; , & that splits every
--- label which has it into known genes or labels of their own; nil if there are no combinations. Never "-": HLA-A,
--- NKX2-1.
---@param labels string[]
---@param is_control fun(s: string): boolean
---@param known table<string, any>  names of genes
---@return string?
function M.separator(labels, is_control, known)
  for _, s in ipairs(labels) do
    if s:find("+", 1, true) and not is_control(s) then return "+" end
  end
  for _, sep in ipairs { "_", "|", ";", ",", "&" } do
    if separates(labels, sep, is_control, known) then return sep end
  end
end

--- The genes of a normalised label: "A+B" is {"A", "B"}.
function M.targets(p) return split_at(p, "+") end

--- A function from raw to normalised labels: "control", "A", "A+B" (sorted).
---
--- Combinations are split at `sep`, by default at "+", with false not at all; control tokens drop out ("A+ctrl" is A).
--- Tokens are compared whole.
---@param sep? string|false
function M.splitter(_, is_control, sep)
  local known = {}
  return function(raw)
    if not raw then return "control" end
    local s = known[raw]
    if s then return s end
    local parts = {}
    if is_control(raw) then
      s = "control"
    else
      for _, p in ipairs(sep == false and { raw } or split_at(raw, sep or "+")) do
        if p ~= "" and not is_control(p) then parts[#parts + 1] = p end
      end
      table.sort(parts)
      for i = 2, #parts do
        if parts[i] == parts[i - 1] then
          error(("perturbation '%s' names %s twice"):format(M.safe(raw), parts[i]), 0)
        end
      end
      s = #parts == 0 and "control" or table.concat(parts, "+")
    end
    known[raw] = s
    return s
  end
end

--- Optimal-string-alignment distance, for suggestions.
local function distance(a, b)
  local prev = {}
  for j = 0, #b do prev[j] = j end
  for i = 1, #a do
    local cur = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      cur[j] = math.min(prev[j] + 1, cur[j - 1] + 1, prev[j - 1] + cost)
    end
    prev = cur
  end
  return prev[#b]
end

--- "; did you mean 'X'?" for the nearest of `names`, or "".
function M.suggest(name, names)
  local best, at = 3, nil
  for _, n in ipairs(names) do
    if math.abs(#n - #name) < best then
      local d = distance(name:lower(), n:lower())
      if d < best then best, at = d, n end
    end
  end
  return at and ("; did you mean '%s'?"):format(M.safe(at)) or ""
end

return M
