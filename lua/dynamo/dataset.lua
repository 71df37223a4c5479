--- What a Dataset says about itself.
local label = require "dynamo.label"
local responses = require "dynamo.responses"

local M = {}

local commas = responses.commas

-- Numbers per kind of perturbation over the rows of a file.
local function census(D)
  local control, seen, rows = 0, {}, {}
  local function take(p)
    if p == "control" then control = control + 1
    elseif p and not seen[p] then
      seen[p] = true
      rows[#rows + 1] = { targets = label.targets(p) }
    end
  end
  if D.x then
    for i = 1, D.n do take(D:perturbation_of(i)) end
  else
    for _, p in ipairs(D.perturbation.names) do take(p) end
  end
  return control, responses.count_targets(rows)
end

local function context_line(D)
  if not D.context then
    return ("  context: one ('%s')"):format(label.safe(D.context_name or D.options.context_name or "all"))
  end
  local used, names = {}, {}
  if D.x then
    for i = 1, D.n do
      local c = D.context.codes[i]
      if c > 0 then used[D.context.levels[c]] = true end
    end
  else
    for _, c in ipairs(D.context.levels) do used[c] = true end
  end
  for _, c in ipairs(label.sorted_keys(used)) do names[#names + 1] = label.safe(c) end
  local shown = #names > 12 and table.concat(names, " ", 1, 12) .. " …" or table.concat(names, " ")
  return ("  context '%s' (%d): %s"):format(label.safe(D.context.column), #names, shown)
end

--- A few lines: sizes, what the values are, perturbations, contexts.
---@param D table  a Dataset
---@return string
function M.text(D)
  if D.files then
    local lines = {}
    for i, part in ipairs(D.files) do lines[i] = M.text(part) end
    return table.concat(lines, "\n")
  end
  local head = ("Dataset %s: "):format(label.safe(D.file:match "[^/]*$"))
  if D.x then
    head = head .. ("%s %s x %s genes, %s float, %s"):format(commas(D.n), D.kind, commas(#D.genes), D.format, D.values)
  elseif D.kind == "long" then
    head = head .. ("%s %s of %s perturbations x %s genes"):format(commas(D.table.rows:size(1)), D.values,
      commas(D.n), commas(#D.genes))
  else
    head = head .. ("%s perturbations x %s genes, %s"):format(commas(D.n), commas(#D.genes), D.values)
  end
  local control, others = census(D)
  local who = D.perturbation.column and (" '%s'"):format(label.safe(D.perturbation.column)) or ""
  local unit = D.kind == "cells" and "cells" or "rows"
  local is = control > 0 and ("control (%s %s), "):format(commas(control), unit) or ""
  return ("%s\n  perturbation%s: %s%s\n%s"):format(head, who, is, others, context_line(D))
end

return M
