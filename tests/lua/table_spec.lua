local tabular = require "dynamo.table"

local columns = { "model", "r", "n" }
local rows = { { "koopman", 0.81249, 12 }, { "mean|x", 0 / 0, nil }, { "β", "0.500 ± 0.010", 3 } }

test("table: aligned text", function()
  assert(tabular.format(columns, rows) == table.concat({
    "model                r   n",
    "-------  -------------  --",
    "koopman          0.812  12",
    "mean|x               –   –",
    "β        0.500 ± 0.010   3" }, "\n"))
  assert(tabular.format({ "a" }, {}) == "a\n-")
end)

test("table: numbers", function()
  assert(tabular.number(3) == "3" and tabular.number(-0.0001) == "0.000" and tabular.number(0 / 0) == "–")
  assert(tabular.number(2, 2) == "2.00" and tabular.number(-1.5, 1) == "-1.5")
  assert(tabular.plus_minus(0.5, 0.0123) == "0.500 ± 0.012")
  assert(tabular.interval(0.5, 0.25, 1) == "0.500 [0.250, 1.000]")
end)

test("table: Markdown, LaTeX and CSV escape", function()
  local md = tabular.markdown(columns, rows)
  assert(md:find("| mean\\|x | – | – |", 1, true) and md:find("|---|--:|--:|", 1, true))
  local tex = tabular.latex({ "a_b", "x" }, { { "50% & more", 1.5 } })
  assert(tex:find("a\\_b & x \\\\", 1, true) and tex:find("50\\% \\& more & 1.500", 1, true) and tex:find "\\midrule")
  assert(tabular.csv({ "a", "b" }, { { 'x,"y"', 0.1 }, { nil, 1 / 3 }, { "z", 2 } }) ==
    'a,b\n"x,""y""",0.1\n,0.3333333333333333\nz,2\n')
end)
