--- Figures as SVG text, drawn by gnuplot; the same data gives the same bytes.
--
--     local svg, why = plot.scatter { x = predicted, y = observed, title = "KLF1", xlabel = "predicted change" }
--
-- Every function takes one table and returns the text of an SVG, or nil and the reason (gnuplot is not installed).
-- Points are lists or one-dimensional tensors. Names from files never become gnuplot code.
local M = {}

-- Distinguishable for all kinds of colour vision (Okabe and Ito, 2008).
local COLOURS = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d00", "#666666" }
M.colours = COLOURS

local function colour(i) return COLOURS[(i - 1) % #COLOURS + 1] end

-- ---- gnuplot ---------------------------------------------------------------

local found

--- Whether gnuplot can be run; says so once on standard error if not.
function M.available()
  if found == nil then
    local p = io.popen "gnuplot --version 2>/dev/null"
    local text = p and p:read "*l"
    if p then p:close() end
    found = text ~= nil and text:match "^gnuplot" ~= nil
    if not found then
      io.stderr:write "dynamo: note: gnuplot not found, no figures (try: apt-get install gnuplot-nox)\n"
    end
  end
  return found
end

local MISSING = "gnuplot is not installed (try: apt-get install gnuplot-nox)"

-- A text in single quotes: gnuplot looks for nothing inside but the quote.
local function quote(s) return "'" .. tostring(s):gsub("%c", " "):gsub("'", "''") .. "'" end

local function number(v)
  if v == nil or v ~= v then return "NaN" end
  if v == math.huge or v == -math.huge then return "NaN" end
  return (("%.9g"):format(v))
end

-- A field of a data block: no tabs, quotes or lines of its own.
local function field(v)
  if type(v) == "number" or v == nil then return number(v) end
  return '"' .. tostring(v):gsub('[%c"\\]', " ") .. '"'
end

local Script = {}
Script.__index = Script

local function new_script(o, width, height)
  local s = setmetatable({ lines = {}, blocks = 0 }, Script)
  s.binary = o.format == "png"
  s:add("set terminal %s size %d,%d noenhanced font 'Helvetica,%d' linewidth 1", s.binary and "pngcairo" or "svg",
    o.width or width, o.height or height, s.binary and 10 or 13)
  s.title = tostring(o.title or "figure")
  s:add "set encoding utf8"
  s:add 'set datafile separator "\\t"'
  s:add "set tics nomirror out scale 0.6"
  s:add "set border 3 linewidth 0.8"
  s:add "set key outside top center horizontal samplen 1.5 noenhanced"
  s:add "set grid back linewidth 0.4 linecolor rgb '#aaaaaa' dashtype 3"
  if o.title then s:add("set title %s", quote(o.title)) end
  if o.xlabel then s:add("set xlabel %s", quote(o.xlabel)) end
  if o.ylabel then s:add("set ylabel %s", quote(o.ylabel)) end
  return s
end

--- One more line of the script.
function Script:add(format, ...)
  self.lines[#self.lines + 1] = select("#", ...) > 0 and format:format(...) or format
end

--- Rows as a data block; its name.
function Script:data(rows)
  self.blocks = self.blocks + 1
  local name = "$d" .. self.blocks
  self:add("%s << END_OF_DATA", name)
  for _, r in ipairs(rows) do
    local cells = {}
    for j = 1, r.n or #r do cells[j] = field(r[j]) end
    self.lines[#self.lines + 1] = table.concat(cells, "\t")
  end
  self:add "END_OF_DATA"
  return name
end

local function range(axis, lo, hi)
  return ("set %srange [%s:%s]"):format(axis, lo and number(lo) or "*", hi and number(hi) or "*")
end

--- The plot command, its parts one below the other.
function Script:plot(parts) self:add("plot %s", table.concat(parts, ", \\\n  ")) end

--- Run it: the SVG (or the bytes of the PNG), or nil and what gnuplot said.
function Script:run()
  if not M.available() then return nil, MISSING end
  local path = os.tmpname()
  local f = io.open(path, "w")
  if not f then return nil, path .. " cannot be written" end
  f:write(table.concat(self.lines, "\n"), "\n")
  f:close()
  local p = io.popen(("LC_ALL=C.UTF-8 gnuplot -d '%s' 2>&1"):format(path))
  local text = p:read "*a"
  p:close()
  os.remove(path)
  if self.binary and text:find("\137PNG", 1, true) == 1 then return text end
  local svg = text:match "<svg.*</svg>%s*"
  if not svg then return nil, "gnuplot: " .. text:gsub("%s+", " "):sub(1, 300) end
  local title = self.title:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }):gsub("%%", "%%%%")
  svg = svg:gsub("<title>.-</title>%s*<desc>.-</desc>", "<title>" .. title .. "</title>", 1)
  -- axes and text in the colour of the page around them: readable on dark ones
  return (svg:gsub('fill="black"', 'fill="currentColor"'):gsub('color="black"', 'color="inherit"'):gsub(
    'stroke="black"', 'stroke="currentColor"'):gsub("rgb%( 17,  17,  17%)",
    "currentColor"):gsub("rgb%( 68,  68,  68%)", "currentColor"):match "^(.-)%s*$" .. "\n")
end

-- ---- data ------------------------------------------------------------------

local function list(v, what)
  if v == nil then error("plot: " .. what .. " is missing", 3) end
  if type(v) == "userdata" then return v:totable() end
  return v
end

local function finite(v) return v == v and v ~= math.huge and v ~= -math.huge end

local function bounds(values, lo, hi)
  for _, v in ipairs(values) do
    if finite(v) then
      lo = not lo and v or math.min(lo, v)
      hi = not hi and v or math.max(hi, v)
    end
  end
  return lo, hi
end

-- The same places between -1/2 and 1/2 in every run (van der Corput).
local function jitter(i)
  local v, f = 0, 0.5
  while i > 0 do
    v, i, f = v + f * (i % 2), math.floor(i / 2), f / 2
  end
  return v - 0.5
end

local function quantile(sorted, q)
  local at = 1 + (#sorted - 1) * q
  local lo = math.floor(at)
  return sorted[lo] + (at - lo) * ((sorted[lo + 1] or sorted[lo]) - sorted[lo])
end

-- ---- figures ---------------------------------------------------------------

-- Many points as the number of them in each cell of a grid.
local function binned(x, y, cells)
  local x0, x1 = bounds(x)
  local y0, y1 = bounds(y)
  local dx, dy = math.max((x1 - x0) / cells, 1e-300), math.max((y1 - y0) / cells, 1e-300)
  local count, rows = {}, {}
  for i = 1, #x do
    if finite(x[i]) and finite(y[i]) then
      local a = math.min(cells - 1, math.floor((x[i] - x0) / dx))
      local b = math.min(cells - 1, math.floor((y[i] - y0) / dy))
      local key = b * cells + a
      count[key] = (count[key] or 0) + 1
    end
  end
  for key = 0, cells * cells - 1 do
    local n = count[key]
    if n then rows[#rows + 1] = { x0 + (key % cells + 0.5) * dx, y0 + (math.floor(key / cells) + 0.5) * dy, n } end
  end
  return rows
end

--- Points, usually predicted against observed; above 3000 of them, the density on a grid.
---@param o table { x, y, title, xlabel, ylabel, diagonal = true, zero = true, marks = { { x, y, "name" }, ... } }
function M.scatter(o)
  local x, y = list(o.x, "x"), list(o.y, "y")
  local s = new_script(o, 520, 480)
  local lo, hi = bounds(x)
  lo, hi = bounds(y, lo, hi)
  if not lo then return nil, "no finite points" end
  local parts = {}
  if o.zero ~= false then
    s:add "set xzeroaxis linetype 1 linewidth 0.6 linecolor rgb '#888888'"
    s:add "set yzeroaxis linetype 1 linewidth 0.6 linecolor rgb '#888888'"
  end
  if o.diagonal then
    local d = s:data { { lo, lo }, { hi, hi } }
    parts[1] = d .. " using 1:2 with lines dt 2 lw 1 lc rgb '#888888' notitle"
  end
  if #x > 3000 then
    local d = s:data(binned(x, y, 90))
    s:add "set logscale cb"
    s:add "set palette defined (0 '#a6cee3', 1 '#0072b2', 2 '#08306b')"
    s:add "set cblabel 'points'"
    parts[#parts + 1] = d .. " using 1:2:3 with points pt 5 ps 0.35 lc palette notitle"
  else
    local rows = {}
    for i = 1, #x do rows[i] = { x[i], y[i] } end
    parts[#parts + 1] = s:data(rows) .. " using 1:2 with points pt 7 ps 0.45 lc rgb '#900072b2' notitle"
  end
  if o.marks and #o.marks > 0 then
    local d = s:data(o.marks)
    parts[#parts + 1] = d .. " using 1:2 with points pt 7 ps 0.6 lc rgb '#d55e00' notitle"
    parts[#parts + 1] = d .. " using 1:2:3 with labels offset 0.6,0.5 left font ',10' noenhanced notitle"
  end
  s:plot(parts)
  return s:run()
end

-- Names under the axis, turned if they would not fit.
local function name_axis(s, names, width)
  local tics, longest = {}, 0
  for i, n in ipairs(names) do
    tics[i] = ("%s %d"):format(quote(n), i)
    longest = math.max(longest, #n)
  end
  local turned = longest * #names * 7.5 > width
  s:add("set xtics %s noenhanced (%s)", turned and "rotate by -35 left" or "norotate center", table.concat(tics, ", "))
  s:add("set rmargin %d", turned and math.min(18, math.floor(longest * 0.6) + 2) or 3)
  s:add("set xrange [0.4:%.1f]", #names + 0.6)
  s:add "set grid noxtics ytics"
end

local function references(s, o, parts, n)
  for _, r in ipairs(o.references or {}) do
    local d = s:data { { 0.4, r[1] }, { n + 0.6, r[1] } }
    parts[#parts + 1] = ("%s using 1:2 with lines dt 2 lw 1.2 lc rgb '#444444' title %s"):format(d,
      quote(r[2]))
  end
end

--- How values are distributed in groups: a box (quartiles, median, whiskers at 5% and 95%) and every value as a dot.
---@param o table { groups = { { name, values = {...} }, ... }, title, ylabel, references = { { value, "name" } } }
function M.distribution(o)
  local groups = list(o.groups, "groups")
  local width = math.max(420, math.min(1100, 120 + 90 * #groups))
  local s = new_script(o, width, 440)
  local names, boxes, dots = {}, {}, {}
  for i, g in ipairs(groups) do
    names[i] = tostring(g.name or g[1])
    local sorted = {}
    for _, v in ipairs(list(g.values or g[2], "values")) do
      if finite(v) then
        sorted[#sorted + 1] = v
        dots[#dots + 1] = { i + jitter(#sorted) * 0.5, v, i }
      end
    end
    table.sort(sorted)
    if #sorted > 0 then
      boxes[#boxes + 1] = { i, quantile(sorted, 0.05), quantile(sorted, 0.25), quantile(sorted, 0.5),
        quantile(sorted, 0.75), quantile(sorted, 0.95) }
    end
  end
  if #dots == 0 then return nil, "no finite values" end
  name_axis(s, names, width)
  s:add "set boxwidth 0.62"
  s:add "set style fill solid 0.18 border"
  local parts = {}
  local d = s:data(dots)
  for i in ipairs(groups) do
    parts[#parts + 1] = ("%s using 1:($3 == %d ? $2 : NaN) with points pt 7 ps 0.35 lc rgb '#80%s' notitle")
      :format(d, i, colour(i):sub(2))
  end
  local b = s:data(boxes)
  parts[#parts + 1] = b .. " using 1:3:2:6:5 with candlesticks whiskerbars 0.4 lw 1.1 lc rgb '#444444' title ''"
  parts[#parts + 1] = b .. " using ($1 - 0.31):4:(0.62):(0) with vectors nohead lw 2.4 lc rgb '#111111' title ''"
  references(s, o, parts, #groups)
  s:plot(parts)
  return s:run()
end

--- Curves, such as training and validation loss over epochs.
---@param o table { series = { { name, x = {}?, y = {}, lo = {}?, hi = {}?, dashed = false } }, logy = false }
function M.lines(o)
  local s = new_script(o, 640, 400)
  if o.logy then s:add "set logscale y" end
  local parts = {}
  for i, c in ipairs(list(o.series, "series")) do
    local y = list(c.y, "y")
    local x, lo, hi = c.x and list(c.x, "x"), c.lo and list(c.lo, "lo"), c.hi and list(c.hi, "hi")
    local rows = {}
    for k = 1, #y do rows[k] = { x and x[k] or k, y[k], lo and lo[k] or y[k], hi and hi[k] or y[k] } end
    if #rows > 0 then
      local d = s:data(rows)
      if lo and hi then
        parts[#parts + 1] = ("%s using 1:3:4 with filledcurves lc rgb '#c0%s' notitle"):format(d, colour(i):sub(2))
      end
      parts[#parts + 1] = ("%s using 1:2 with lines lw 1.8 dt %d lc rgb '%s' title %s"):format(d,
        c.dashed and 2 or 1, colour(c.colour or i), quote(c.name or c[1] or ""))
    end
  end
  if #parts == 0 then return nil, "no curves" end
  s:plot(parts)
  return s:run()
end

--- Eigenvalues in the complex plane with the unit circle: inside it they decay, outside they grow.
---@param o table { groups = { { name, re = {...}, im = {...} }, ... }, title } or { re, im }
function M.eigenvalues(o)
  local s = new_script(o, 480, 480)
  local groups = o.groups or { { name = "", re = o.re, im = o.im } }
  s:add "set size ratio -1"
  s:add "set xzeroaxis linetype 1 linewidth 0.6 linecolor rgb '#888888'"
  s:add "set yzeroaxis linetype 1 linewidth 0.6 linecolor rgb '#888888'"
  if not o.xlabel then s:add "set xlabel 'real part'" end
  if not o.ylabel then s:add "set ylabel 'imaginary part'" end
  local circle, most = {}, 1
  for k = 0, 180 do circle[k + 1] = { math.cos(k * math.pi / 90), math.sin(k * math.pi / 90) } end
  local parts = { s:data(circle) .. " using 1:2 with lines lw 1 dt 2 lc rgb '#888888' title 'unit circle'" }
  for i, g in ipairs(groups) do
    local re, im, rows = list(g.re, "re"), list(g.im, "im"), {}
    for k = 1, #re do
      rows[k] = { re[k], im[k] }
      if finite(re[k]) and finite(im[k]) then most = math.max(most, math.abs(re[k]), math.abs(im[k])) end
    end
    if #rows > 0 then
      local name = g.name or g[1] or ""
      parts[#parts + 1] = ("%s using 1:2 with points pt 7 ps 0.6 lc rgb '%s' %s"):format(s:data(rows),
        colour(i), name ~= "" and "title " .. quote(name) or "notitle")
    end
  end
  s:add(range("x", -1.1 * most, 1.1 * most))
  s:add(range("y", -1.1 * most, 1.1 * most))
  s:plot(parts)
  return s:run()
end

--- Bars, with intervals if given.
---@param o table { names = {...}, values = {...}, lo = {...}?, hi = {...}?, title, ylabel, references }
function M.bars(o)
  local names, values = list(o.names, "names"), list(o.values, "values")
  local lo, hi = o.lo and list(o.lo, "lo"), o.hi and list(o.hi, "hi")
  local width = math.max(420, math.min(1100, 120 + 70 * #names))
  local s = new_script(o, width, 420)
  name_axis(s, names, width)
  s:add "set boxwidth 0.65"
  s:add "set style fill solid 0.75 noborder"
  s:add "set xzeroaxis linetype 1 linewidth 0.8 linecolor rgb '#444444'"
  local rows, least, most = {}, 0, 0
  for i, v in ipairs(values) do
    local a, b = lo and lo[i] or v, hi and hi[i] or v
    rows[i] = { i, v, a, b }
    least, most = bounds({ v, a, b }, least, most)
  end
  for _, r in ipairs(o.references or {}) do least, most = bounds({ r[1] }, least, most) end
  local room = (most - least) * 0.06
  s:add(range("y", least < 0 and least - room or 0, most > 0 and most + room or 0))
  local d = s:data(rows)
  local parts = {}
  for i = 1, #rows do
    parts[i] = ("%s every ::%d::%d using 1:2 with boxes lc rgb '%s' notitle"):format(d, i - 1, i - 1,
      colour(o.single and 1 or i))
  end
  if lo and hi then
    parts[#parts + 1] = d .. " using 1:3:(0):($4 - $3) with vectors heads size screen 0.008,90 lw 1.4 "
      .. "lc rgb '#111111' title ''"
  end
  references(s, o, parts, #names)
  if #parts == 0 then return nil, "no bars" end
  s:plot(parts)
  return s:run()
end

--- A table of numbers as colours; one row of `values` per name in `rows`, from the top.
---@param o table { rows = {...}, columns = {...}, values = { {...}, ... }, title, label = "of the colours" }
function M.heatmap(o)
  local names, columns, values = list(o.rows, "rows"), list(o.columns, "columns"), list(o.values, "values")
  local s = new_script(o, math.min(1100, 180 + 26 * #columns), math.min(1000, 140 + 22 * #names))
  local cells, lo, hi = {}, nil, nil
  for i = 1, #names do
    for j = 1, #columns do cells[#cells + 1] = { j, i, values[i][j] } end
    lo, hi = bounds(values[i], lo, hi)
  end
  if not lo then return nil, "no finite values" end
  local function tics(axis, texts, turned)
    local t = {}
    for i, n in ipairs(texts) do t[i] = ("%s %d"):format(quote(n), i) end
    s:add("set %stics %s noenhanced font ',10' (%s)", axis, turned and "rotate by 60 right" or "norotate",
      table.concat(t, ", "))
  end
  tics("x", columns, true)
  tics("y", names, false)
  s:add("set xrange [0.5:%.1f]", #columns + 0.5)
  s:add("set yrange [%.1f:0.5]", #names + 0.5)
  s:add "unset grid"
  if o.label then s:add("set cblabel %s", quote(o.label)) end
  if lo < 0 and hi > 0 then
    local most = math.max(-lo, hi)
    s:add(range("cb", -most, most))
    s:add "set palette defined (-1 '#b35806', 0 '#f7f7f7', 1 '#2166ac')"
  else
    s:add "set palette defined (0 '#f7fbff', 1 '#6baed6', 2 '#08306b')"
  end
  s:plot { s:data(cells) .. " using 1:2:3 with image pixels notitle" }
  return s:run()
end

--- Points of a plane whose axes mean nothing, groups of them in colours, some with names.
---@param o table { x, y, groups = { { name =, places = {...} }, ... }, labels = { { x, y, "name" }, ... }, title, format =
--- "svg" or "png" }
function M.map(o)
  local x, y = list(o.x, "x"), list(o.y, "y")
  local s = new_script(o, 620, 620)
  local rows = {}
  for i = 1, #x do rows[i] = { x[i], y[i] } end
  if #rows == 0 then return nil, "no points" end
  s:add "unset xtics"
  s:add "unset ytics"
  s:add "unset grid"
  s:add "set border 0"
  s:add "set key outside bottom center vertical maxrows 8 noenhanced"
  local size = #rows > 3000 and 0.2 or 0.35
  local parts = { ("%s using 1:2 with points pt 7 ps %g lc rgb '#b8b8b8' notitle"):format(s:data(rows), size) }
  for k, g in ipairs(o.groups or {}) do
    local some = {}
    for i, at in ipairs(g.places) do some[i] = rows[at] end
    parts[#parts + 1] = ("%s using 1:2 with points pt 7 ps %g lc rgb '%s' title %s"):format(s:data(some), size + 0.15,
      colour(k), quote(("%s (%d)"):format(g.name, #some)))
  end
  if o.labels and #o.labels > 0 then
    parts[#parts + 1] = s:data(o.labels) .. " using 1:2:3 with labels point pt 6 ps 0.7 offset 0.6,0.5 left font ',11' "
      .. "noenhanced notitle"
  end
  s:plot(parts)
  return s:run()
end

--- Horizontal bars for a terminal.
---@param names string[]
---@param values number[]
---@param opts? table { width = 60 }
function M.text_bars(names, values, opts)
  local width, longest, most = opts and opts.width or 60, 0, 0
  local wide = require("dynamo.table").width
  for i, n in ipairs(names) do
    longest = math.max(longest, wide(n))
    if finite(values[i]) then most = math.max(most, math.abs(values[i])) end
  end
  local room, out = math.max(10, width - longest - 12), {}
  for i, n in ipairs(names) do
    local v = values[i]
    local size = most > 0 and finite(v) and math.floor(math.abs(v) / most * room + 0.5) or 0
    out[i] = ("%s%s %8s %s"):format(n, (" "):rep(longest - wide(n)), finite(v) and ("%.3f"):format(v) or "–",
      (v < 0 and "-" or "#"):rep(size)):gsub("%s+$", "")
  end
  return table.concat(out, "\n")
end

return M
