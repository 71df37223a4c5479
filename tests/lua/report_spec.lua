local core = require "dynamo.core"
local plot = require "dynamo.plot"
local report = require "dynamo.report"

local function count(text, what)
  local n, at = 0, 1
  while true do
    at = text:find(what, at, true)
    if not at then return n end
    n, at = n + 1, at + 1
  end
end

local svg = '<svg viewBox="0 0 1 1"><script>alert(1)</script><defs><path id="a"/></defs><use xlink:href="#a"/></svg>'
local example = { title = "K562 <script>", facts = { { "cells", 5961 }, { "name", "a&b" } },
  tables = { { title = "scores", columns = { "model", "r" }, rows = { { "koopman", 0.8125 }, { '"x"', 0 / 0 } },
    note = "n = 3", highlight = 1 } },
  figures = { { title = "one", caption = "c", svg = svg }, { title = "two", svg = svg }, { title = "three" } },
  notes = { "done" } }

test("report: one file, everything escaped, nothing from outside", function()
  local html = report.html(example)
  assert(not html:find "<script" and html:find("K562 &lt;script&gt;", 1, true) and html:find("a&amp;b", 1, true))
  assert(html:find('<td class="n">0.812</td>', 1, true) or html:find('<td class="n">0.813</td>', 1, true))
  assert(html:find('<tr class="first">', 1, true) and html:find("<td class=\"n\">–</td>", 1, true))
  assert(html:find('<th scope="row">&quot;x&quot;</th>', 1, true))
  assert(html:find('id="f1-a"', 1, true) and html:find('href="#f2-a"', 1, true))
  assert(html:find("No figure: gnuplot is not installed", 1, true))
  assert(not html:find("http:", 1, true) and not html:find("https:", 1, true))
  for _, tag in ipairs { "main", "table", "figure", "dl", "tr", "div" } do
    assert(count(html, "<" .. tag .. ">") + count(html, "<" .. tag .. " ") == count(html, "</" .. tag .. ">"), tag)
  end
  raises("unknown option 'figure'; did you mean 'figures'?", report.html, { figure = {} })
end)

test("report: written whole", function()
  local path = os.tmpname()
  report.write(path, example)
  local f = io.open(path)
  assert(f:read "*a" == report.html(example))
  f:close()
  core.remove(path)
  local ok, e = pcall(report.write, "/nowhere/at/all.html", example)
  assert(not ok and e.code == "EIO" and tostring(e):find("/nowhere/at/all.html", 1, true))
end)

test("plot: the same data gives the same bytes; names are not code", function()
  if not plot.available() then
    print "# skip gnuplot is not installed"
    return
  end
  local function draw()
    return plot.scatter { x = core.randn(1, 50), y = core.randn(2, 50), title = "it's `echo 666` \"$(id)\" {a_b}",
      diagonal = true, marks = { { 0, 0, 'KL"F1\t`id`' } } }
  end
  local a = assert(draw())
  assert(a == draw() and a:find("^<svg") and not a:find "uid=")
  assert(a:find("`echo 666`", 1, true), "shown as written")
  for _, f in ipairs {
    plot.distribution { groups = { { name = "a", values = { 1, 2, 3 } }, { name = "b", values = core.randn(3, 9) } },
      references = { { 1, "ceiling" } } },
    plot.lines { series = { { name = "train", y = { 3, 2, 1 } },
      { name = "v", y = { 3, 2 }, lo = { 2, 1 }, hi = { 4, 3 } } } },
    plot.eigenvalues { re = { 0.5, 0.9 }, im = { 0.1, -0.1 } },
    plot.bars { names = { "a", "b" }, values = { 1, -1 }, lo = { 0, -2 }, hi = { 2, 0 } },
    plot.heatmap { rows = { "a" }, columns = { "x", "y" }, values = { { 1, 0 / 0 } } },
    plot.scatter { x = core.randn(4, 5000), y = core.randn(5, 5000) },
  } do assert(f:find "</svg>") end
  local none, why = plot.bars { names = {}, values = {} }
  assert(none == nil and why == "no bars")
end)

test("plot: bars of text", function()
  assert(plot.text_bars({ "a", "bb" }, { 1, -0.5 }, { width = 30 }) ==
    "a     1.000 ################\nbb   -0.500 --------")
end)
