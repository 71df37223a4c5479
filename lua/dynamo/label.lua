--- Labels of perturbations: controls, combinations, and names in messages.
local M = {}

local CONTROL = {}
for word in ([[control ctrl non-targeting nontargeting non_targeting nt ntc unperturbed negative_control neg_control
  negctrl neg-ctrl neg_ctrl scramble scrambled safe-targeting safe_targeting mock vehicle dmso]])
  :gmatch "%S+" do CONTROL[word] = true end

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

-- A usual word, or one with a number: "non-targeting_00012", "NegCtrl0", "NT-3" (not NT3: that might be a gene).
local function usual(s)
  s = s:lower()
  if CONTROL[s] then return true end
  local word, between = s:match "^(%a[%a_-]-)([_%s.|-]*)%d+$"
  return word ~= nil and CONTROL[word] == true and (between ~= "" or #word > 4)
end

--- A function that says whether a label means "not perturbed".
---@param name? string|string[]  the control label or labels; default: the usual ones, case ignored, numbered or not
function M.control_test(name)
  if type(name) == "table" then
    local known = {}
    for _, s in ipairs(name) do known[s] = true end
    return function(s) return known[s] == true end
  end
  if name then return function(s) return s == name end end
  return usual
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

-- What follows the gene in the names of guides: KLF1_sg2, KLF1-g2, KLF1.2, KLF1_guide2, KLF1_sgRNA_2, KLF1_pDS031.
local GUIDES = { "^(.-)[_.-][sS]?[gG][RrNnAa]*[_.-]?%d+$", "^(.-)[_.-][gG]uide[_.-]?%d+$", "^(.-)_p%u%u%d+$", "^(.-)[_.-]%d+$" }

--- The gene of the name of a guide ("KLF1_sg2", "sgKLF1-2" are KLF1), or nil. A name that is known is no guide.
---@param s string
---@param known table<string, any> names of genes
---@return string?
function M.guide(s, known)
  if known[s] then return nil end
  local bare = s:match "^sg[RNA]*[_-]?(%u.*)$"
  for _, text in ipairs { s, bare } do
    for _, pattern in ipairs(GUIDES) do
      local gene = text:match(pattern)
      if gene and known[gene] then return gene end
    end
  end
  return bare and known[bare] and bare or nil
end

--- The genes of a normalised label: "A+B" is {"A", "B"}.
function M.targets(p) return split_at(p, "+") end

-- A target of a combination; the same one twice is an error, unless it is another guide of it.
local function add_target(parts, raw, token, name)
  for _, other in ipairs(parts) do
    if other == name and name == token then
      error(("perturbation '%s' names %s twice"):format(M.safe(raw), name), 0)
    elseif other == name then
      return
    end
  end
  parts[#parts + 1] = name
end

--- A function from raw to normalised labels: "control", "A", "A+B" (sorted).
---
--- Combinations are split at `sep`, by default at "+", with false not at all; control tokens drop out ("A+ctrl" is A).
--- Tokens are compared whole. `rename` may give a token another name; two guides of one gene are that gene.
---@param rename? fun(token: string): string
---@param is_control fun(s: string): boolean
---@param sep? string|false
---@return fun(raw: string): string
function M.splitter(rename, is_control, sep)
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
        if p ~= "" and not is_control(p) then add_target(parts, raw, p, rename and rename(p) or p) end
      end
      table.sort(parts)
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
