local core = require "dynamo.core"
local responses = require "dynamo.responses"

local function small(extra)
  local t = { genes = { "A", "B", "C" }, contexts = { "K", "R" }, file = "dir/small.csv",
    rows = { { perturbation = "B", context = "R", n_cells = 3 }, { perturbation = "A+B", context = "K" },
      { perturbation = "A", context = "K" } },
    delta = core.tensor({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } }, "double") }
  for k, v in pairs(extra or {}) do t[k] = v end
  return responses.new(t)
end

test("responses: rows are sorted with their numbers", function()
  local R = small()
  assert(R.rows[1].perturbation == "A" and R.rows[2].perturbation == "A+B" and R.rows[3].context == "R")
  assert(R.delta:get(1, 1) == 7 and R.delta:get(3, 3) == 3 and R.rows[2].targets[2] == "B" and R.rows[3].n_cells == 3)
  assert(R:find("K", "B+A") == 2 and R:find("R", "A") == nil and R:control_index "R" == 2)
  raises("no context 'k'; did you mean 'K'?", R.control_index, R, "k")
  assert(table.concat(R:targets(), " ") == "A B" and #R:singles() == 2 and #R:combinations() == 1)
  assert(R:target_columns()[2][2] == 2)
  assert(tostring(R) == "Responses small.csv: 3 perturbations x 3 genes in 2 contexts, effects", tostring(R))
  assert(R:describe():find("context K: 1 single, 1 double, control profile is zero", 1, true))
end)

test("responses: what does not fit together is an error", function()
  raises("delta is 3x3, expected 3 rows x 2 genes", small, { genes = { "A", "B" } })
  raises("unknown context 'R'", small, { contexts = { "K" } })
  raises("perturbation 'A' is there twice in context 'K'", small, { rows = { { perturbation = "A", context = "K" },
    { perturbation = "A", context = "K" }, { perturbation = "B", context = "R" } } })
end)

test("responses: rows and genes are taken with cells and mask", function()
  local x = core.sparse(5, 3, { 1, 2, 3, 4, 5 }, { 1, 1, 2, 3, 3 }, { 1, 2, 3, 4, 5 })
  -- rows are sorted, so the cells move with them: cell 2 belongs to B in R
  local R = small { cells = { x = x, row_of = { 0, 1, 2, 3, 0 }, context_of = { 1, 2, 1, 1, 2 } },
    mask = core.tensor({ { 1, 0, 1 }, { 1, 1, 1 }, { 0, 1, 1 } }, "double") }
  assert(R.cells.row_of[2] == 3 and R.cells.row_of[4] == 1 and R.mask:get(1, 1) == 0)
  local S = R:select { 3 }
  assert(#S.rows == 1 and S.delta:get(1, 2) == 2 and #S.cells.row_of == 3 and S.cells.row_of[2] == 1 and S.mask:get(1,
    2) == 0)
  assert(S.cells.x:size(1) == 3 and S.cells.x:get(2, 1) == 2)
  local G = R:take_genes { "C", "A" }
  assert(G.delta:get(1, 1) == 9 and G.delta:get(1, 2) == 7 and G.cells.x:get(4, 1) == 4 and G.control:size(2) == 2)
  assert(R:select({ 2 }).mask == nil) -- everything observed
  raises("no gene 'D'", R.take_genes, R, { "D" })
  assert(#R:select {}.rows == 0)
end)

test("responses: files with other contexts are joined over shared genes", function()
  local function one(context, genes, value)
    return responses.new { genes = genes, contexts = { context }, rows = { { perturbation = "A", context = context } },
      delta = core.full(value, 1, #genes, "double"), control = core.full(value, 1, #genes, "double"), file = context
        .. ".csv",
      cells = { x = core.sparse(2, #genes, { 1, 2 }, { 1, 1 }, { 1, value }), row_of = { 0, 1 }, context_of = { 1,
        1 } } }
  end
  local parts = { one("Z", { "A", "B", "C" }, 1), one("K", { "B", "A" }, 2) }
  local R = responses.join(parts)
  assert(R.contexts[1] == "K" and table.concat(R.genes, " ") == "A B" and #parts[1].genes == 3)
  assert(R.delta:get(1, 1) == 2 and R.control:get(1, 2) == 2 and R.rows[2].context == "Z")
  assert(R.cells.row_of[2] == 2 and R.cells.row_of[4] == 1 and R.cells.context_of[4] == 1 and R.cells.x:get(4, 2) == 2)
  assert(R.notes[1] == "Z.csv: 2 of 3 genes are in all files")
  raises("context 'K' is in K.csv as well", responses.join, { parts[2], parts[2] })
  raises("no gene in common", responses.join, { parts[1], one("Q", { "X" }, 1) })
end)
