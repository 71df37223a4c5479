local core = require "dynamo.core"
local progress = require "dynamo.progress"
local show = require "dynamo.show"

test("show: tables in a fixed order, cut in depth and length", function()
  assert(show { b = 1, a = { "x", true }, [10] = 0.5 } == '{ [10] = 0.5, a = { "x", true }, b = 1 }')
  assert(show.line { 1, { 2, { 3, { 4 } } } } == "{ 1, { 2, { 3, { … } } } }" or show.line { 1, { 2, { 3, { 4 } } } } ==
    "{ 1, { 2, { … } } }")
  local t = { name = "t" }
  t.self = t
  assert(show(t) == '{ name = "t", self = { cycle } }')
  local long = {}
  for i = 1, 100 do long[i] = i end
  assert(show.line(long):find("30, … (100 items) }", 1, true))
  assert(show "a\27[31m\n" == '"a\\x1b[31m\\n"')
  assert(show(nil) == "nil" and show(0 / 0) == "nan" and show(1e300) == "1e+300")
end)

test("show: several lines where one is too short", function()
  local text = show({ alpha = ("x"):rep(30), beta = ("y"):rep(30) }, { width = 60 })
  assert(text == '{\n  alpha = "' .. ("x"):rep(30) .. '",\n  beta = "' .. ("y"):rep(30) .. '",\n}')
end)

test("show: tensors have a head and as many numbers as fit", function()
  local text = show(core.tensor { { 1, 2.5 }, { -3, 0 / 0 } }, { width = 80 })
  assert(text == "tensor float 2x2 (16 B)\n    1.0000     2.5000\n   -3.0000        nan")
  local big = show(core.zeros(1000, 1000), { width = 80 })
  local _, lines = big:gsub("\n", "\n")
  assert(lines == 12 and big:find "…")
  for line in big:gmatch "[^\n]+" do assert(#line < 100) end
  assert(show.line { core.zeros(2, 3) } == "{ tensor float 2x3 (24 B) }")
end)

test("progress: the line", function()
  local line = progress.line("train", 12, 60, 30, "loss 0.03", 80)
  assert(line:find("train 12/60  20% |####", 1, true) and line:find("00:30 < 02:00", 1, true) and #line < 80)
  assert(progress.line("t", 0, 0, 0) == "t 0/0   0%  00:00 < --:--  ")
end)
