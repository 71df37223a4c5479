--- A report: one HTML file with everything inside, readable on paper, on dark screens, by screen readers.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"
local tabular = require "dynamo.table"

local M = {}

local STYLE = [[
:root { color-scheme: light dark; --ink: #1a1a1a; --dim: #5a5a5a; --page: #ffffff; --line: #d0d0d0; --head: #f3f5f8;
  --mark: #eaf3fb; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --dim: #a8a8a8; --page: #16181b; --line: #3c4045;
  --head: #22262b; --mark: #1c2c3a; } }
body { color: var(--ink); background: var(--page); font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
nav ul { padding-left: 1.2rem; }
a { color: inherit; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: 0; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .28rem .7rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th.n, td.n { text-align: right; white-space: nowrap; }
thead th { background: var(--head); }
tbody th { font-weight: 500; }
tr.first { background: var(--mark); }
.note, figcaption { color: var(--dim); font-size: .93rem; max-width: 60rem; }
.figures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 1rem 0; max-width: 100%; }
figcaption strong { color: var(--ink); display: block; }
svg { max-width: 100%; height: auto; color: var(--ink); }
svg text { fill: currentColor; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--dim); font-size: .88rem; }
@media print { body { max-width: none; margin: 0; } figure, table { break-inside: avoid; } nav { display: none; } }
]]

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Text as HTML: nothing from a file can become markup.
function M.escape(s)
  return (tostring(s):gsub("[&<>\"']", ENTITIES):gsub("[%z\1-\8\11\12\14-\31\127]", "?"))
end
local escape = M.escape

local function cell_text(v)
  if v == nil or v ~= v then return "–" end
  if type(v) == "number" then return tabular.number(v) end
  if type(v) == "boolean" then return v and "yes" or "no" end
  return tostring(v)
end

local function is_numeric(text) return text == "–" or text == "" or text:match "^[+-]?%.?%d" ~= nil end

local function numeric_columns(t)
  local right = {}
  for j = 1, #t.columns do
    right[j] = j > 1 and #t.rows > 0
    for _, r in ipairs(t.rows) do right[j] = right[j] and is_numeric(cell_text(r[j])) end
  end
  return right
end

local function html_table(t, out)
  local right = numeric_columns(t)
  local function cell(tag, j, text, scope)
    scope = scope and (' scope="%s"'):format(scope) or ""
    return ("<%s%s%s>%s</%s>"):format(tag, scope, right[j] and ' class="n"' or "", escape(text), tag)
  end
  out[#out + 1] = ('<div class="scroll" tabindex="0" role="region" aria-label="%s"><table>'):format(
    escape(t.title or "table"))
  if t.title then out[#out + 1] = "<caption>" .. escape(t.title) .. "</caption>" end
  local head, body = {}, {}
  for j, c in ipairs(t.columns) do head[j] = cell("th", j, c, "col") end
  out[#out + 1] = "<thead><tr>" .. table.concat(head) .. "</tr></thead>\n<tbody>"
  for i, r in ipairs(t.rows) do
    for j = 1, #t.columns do
      body[j] = j == 1 and cell("th", j, cell_text(r[j]), "row") or cell("td", j, cell_text(r[j]))
    end
    out[#out + 1] = ("<tr%s>%s</tr>"):format(t.highlight == i and ' class="first"' or "", table.concat(body))
  end
  out[#out + 1] = "</tbody></table></div>"
  local notes = t.note and { t.note } or t.notes or {}
  for _, n in ipairs(notes) do out[#out + 1] = '<p class="note">' .. escape(n) .. "</p>" end
end

-- Names inside one SVG must not meet those of another; no part of it may load or run anything.
local function clean_svg(svg, prefix)
  svg = svg:gsub("<%?xml.-%?>", ""):gsub("<!DOCTYPE.->", ""):gsub("<script.-</script>", "")
  svg = svg:gsub("(%sid=['\"])", "%1" .. prefix):gsub("(href=['\"]#)", "%1" .. prefix):gsub("(url%(#)", "%1" .. prefix)
  return (svg:gsub("<svg", '<svg role="img"', 1))
end

local function html_figure(f, i, out)
  out[#out + 1] = "<figure>"
  if f.svg then
    out[#out + 1] = clean_svg(f.svg, "f" .. i .. "-")
  elseif f.text then
    out[#out + 1] = "<pre>" .. escape(f.text) .. "</pre>"
  else
    out[#out + 1] = '<p class="note">No figure: ' .. escape(f.why or "gnuplot is not installed") .. "</p>"
  end
  out[#out + 1] = ("<figcaption><strong>%s</strong>%s</figcaption></figure>"):format(escape(f.title or ""),
    escape(f.caption or ""))
end

local function head(r, out)
  out[#out + 1] = "<!DOCTYPE html>"
  out[#out + 1] = '<html lang="en"><head><meta charset="utf-8">'
  out[#out + 1] = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    .. "style-src 'unsafe-inline'; img-src data:\">"
  out[#out + 1] = '<meta name="viewport" content="width=device-width, initial-scale=1">'
  out[#out + 1] = "<title>" .. escape(r.title) .. "</title>"
  out[#out + 1] = "<style>" .. STYLE .. "</style></head><body>"
  out[#out + 1] = "<main><h1>" .. escape(r.title) .. "</h1>"
end

local function paragraphs(list, out)
  for _, n in ipairs(list) do out[#out + 1] = "<p>" .. escape(n) .. "</p>" end
end

local function facts(r, out)
  if #r.facts == 0 then return end
  out[#out + 1] = "<dl>"
  for _, f in ipairs(r.facts) do
    out[#out + 1] = ("<dt>%s</dt><dd>%s</dd>"):format(escape(f[1]), escape(cell_text(f[2])))
  end
  out[#out + 1] = "</dl>"
end

local function section(out, id, title) out[#out + 1] = ('<h2 id="%s">%s</h2>'):format(id, title) end

--- The text of a report.
---@param r table { title, intro = {...}, facts = { { name, value }, ... }, tables = { { title, columns, rows,
--- note or notes, highlight = row } }, figures = { { title, caption, svg or text or why } }, notes = {...}, footer }
function M.html(r)
  r = options.check("report", r, {
    title = { default = "dynamo report", type = "string" }, intro = { default = {}, type = "table" },
    facts = { default = {}, type = "table" }, tables = { default = {}, type = "table" },
    figures = { default = {}, type = "table" }, notes = { default = {}, type = "table" },
    footer = { type = "string" } })
  local out = {}
  head(r, out)
  paragraphs(r.intro, out)
  facts(r, out)
  if #r.tables > 0 then section(out, "tables", "Results") end
  for _, t in ipairs(r.tables) do html_table(t, out) end
  if #r.figures > 0 then
    section(out, "figures", "Figures")
    out[#out + 1] = '<div class="figures">'
    for i, f in ipairs(r.figures) do html_figure(f, i, out) end
    out[#out + 1] = "</div>"
  end
  if #r.notes > 0 then
    section(out, "notes", "Notes")
    paragraphs(r.notes, out)
  end
  out[#out + 1] = "</main><footer><p>" .. escape(r.footer or ("dynamo " .. tostring(core.version))) .. "</p></footer>"
  out[#out + 1] = "</body></html>\n"
  return table.concat(out, "\n")
end

--- Write a report (see M.html) to `path`.
---@param path string
---@param r table
function M.write(path, r)
  if type(path) ~= "string" then err.raise { code = "EOPTION", message = "report.write: a path expected" } end
  core.write_file(path, M.html(r))
end

return M
