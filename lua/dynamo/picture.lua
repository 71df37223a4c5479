--- Pictures of embeddings: t-SNE of the genes, gene sets in colour; to SVG, PNG, a table, or the terminal.
--
--     local p = e:picture { sets = "h.all.gmt.gz", highlight = { "HALLMARK_OXIDATIVE_PHOSPHORYLATION" }, path = "x.svg" }
--     print(p:text())                   -- Braille dots, a letter where a set's genes are
--     p.trustworthiness, p.kept         -- how far to believe what is near in it
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

local M = { schema = {} }

-- Sets that can be told apart in one picture.
local SETS = 8

M.schema.picture = {
  sets = { type = "table|string", help = "gene sets: GMT files, what annotation.read gives, or lists of genes by name" },
  highlight = { type = "table", item = "string", help = "names of the sets to colour; default: all, eight at most" },
  genes = { type = "table", item = "string", help = "genes to write the names of" },
  perplexity = { type = "number", min = 1, max = 1000, help = "neighbours that count; default 30, less for few genes" },
  steps = { type = "integer", default = 1000, min = 1, max = 100000, help = "of the descent; 250 exaggerate attraction" },
  theta = { type = "number", default = 0.3, min = 0, max = 0.7, help = "precision of far forces; 0: exact" },
  k = { type = "integer", default = 10, min = 1, max = 1000, help = "neighbours that trustworthiness asks about" },
  title = { type = "string", help = "default: what the embedding is" },
  path = { type = "string", help = "file to write: .svg, .png, .tsv" },
  seed = { type = "integer", default = 1, min = 0, max = 2 ^ 53,
    help = "of the 1,000 genes that trustworthiness asks; the picture itself draws nothing" },
  progress = { type = "function", help = "called with (done, total)" },
}

local class = {}
class.__index = class

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

-- ---- sets ------------------------------------------------------------------

-- A list of { name =, genes = } of whatever was given.
local function sets_of(v)
  if type(v) == "string" or type(v) == "table" and type(v[1]) == "string" then
    v = require("dynamo.annotation").read(v)
  end
  if v.sets then return v.sets end
  if v[1] then return v end
  local out = {}
  for _, name in ipairs(label.sorted_keys(v)) do out[#out + 1] = { name = name, genes = v[name] } end
  return out
end

-- The sets to colour, in the order they were named.
local function wanted(sets, names)
  if not names then
    if #sets > SETS then
      raise(("picture: %d gene sets, %d at most can be told apart"):format(#sets, SETS), "highlight = { NAMES }")
    end
    return sets
  end
  local by, all, out = {}, {}, {}
  for i, s in ipairs(sets) do by[s.name], all[i] = s, s.name end
  for i, name in ipairs(names) do
    out[i] = by[name] or raise(("no gene set '%s'%s"):format(label.safe(name), options.suggestion(name, all)))
  end
  if #out > SETS then raise(("picture: %d gene sets, %d at most can be told apart"):format(#out, SETS)) end
  return out
end

-- { name =, places = of its genes in the embedding } of each set.
local function groups_of(e, o)
  local out = {}
  if not o.sets then
    if o.highlight then
      err.raise { code = "EOPTION", message = "picture: option 'highlight' names gene sets; option 'sets' has none" }
    end
    return out
  end
  for i, s in ipairs(wanted(sets_of(o.sets), o.highlight)) do
    if type(s) ~= "table" or type(s.genes) ~= "table" then
      err.raise { code = "EOPTION", message = ("picture: set %d is not { name =, genes = {...} }"):format(i) }
    end
    local places = {}
    for _, g in ipairs(s.genes) do places[#places + 1] = e:index(g) end
    if #places == 0 then
      raise(("picture: no gene of set '%s' has a vector in %s"):format(label.safe(s.name), e.source))
    end
    out[i] = { name = s.name, places = places }
  end
  return out
end

-- ---- making ----------------------------------------------------------------

-- Two principal components of the directions; one and zeros if there is but one.
local function start_of(e)
  local unit = e:normalised()
  local pc = unit:pca(math.min(2, e:dim())).values:to "double"
  if e:dim() > 1 then return pc end
  return core.cat({ pc, core.zeros(#e.genes, 1, "double") }, 2)
end

-- Trustworthiness and share of neighbours kept, of 1,000 genes at most; nil if there are too few genes.
local function trust(e, points, o)
  local n, rows = #e.genes, {}
  local k = math.min(o.k, math.floor((n - 1) / 2))
  if k < 1 or 2 * k >= n then return nil end
  local order = core.permutation(n, o.seed, "picture")
  for i = 1, math.min(n, 1000) do rows[i] = order[i] end
  local t, kept = core.trustworthiness(e.values, points, rows, k)
  return t, kept, k
end

--- A picture of an embedding: t-SNE of the vectors' directions (van der Maaten and Hinton 2008; Barnes-Hut: van der Maaten
--- 2014; started from two principal components: Kobak and Berens 2019).
---
--- p.points (genes, 2) double, p.kl in nats, p.trustworthiness (Venna and Kaski 2001) and p.kept (share of the p.k nearest
--- genes that are among the p.k nearest in the picture). The same bytes for any number of threads. Time O(steps genes log
--- genes) and that of the exact nearest neighbours. Raises EVALUE (fewer than 4 genes, no such set), EOPTION, ECANCEL.
---@param e Embedding
---@param opts? table  see `dynamo.picture.schema.picture`
---@return table picture
function M.of(e, opts)
  local o = options.check("picture", opts, M.schema.picture)
  local n = #e.genes
  if n < 4 then raise(("picture: %d genes in %s, at least 4 are needed"):format(n, e.source)) end
  local groups, marked = groups_of(e, o), {}
  for i, g in ipairs(o.genes or {}) do
    marked[i] = e:index(g) or raise(("gene '%s' has no vector in %s%s"):format(label.safe(g), e.source,
      options.suggestion(g, e.genes)))
  end
  local perplexity = o.perplexity or math.max(1, math.min(30, (n - 1) / 3))
  if perplexity > n - 1 then raise(("picture: perplexity %g of %d genes"):format(perplexity, n)) end
  local points, kl = core.tsne(e.values, start_of(e), { perplexity = perplexity, steps = o.steps, theta = o.theta,
    early = math.min(250, math.floor(o.steps / 2)), progress = o.progress })
  local t, kept, k = trust(e, points, o)
  local p = setmetatable({ genes = e.genes, points = points, kl = kl, trustworthiness = t, kept = kept, k = k,
    groups = groups, marked = marked, title = o.title or e.source, perplexity = perplexity }, class)
  if o.path then p:write(o.path) end
  return p
end

function class:__tostring()
  return ("Picture of %s: %d genes, divergence %.3f, trustworthiness %s"):format(self.title, #self.genes, self.kl,
    self.trustworthiness and ("%.3f"):format(self.trustworthiness) or "unknown")
end

-- ---- drawings --------------------------------------------------------------

--- The drawing as SVG, or PNG with format = "png"; nil and the reason without gnuplot.
---@param opts? table  { format = "svg", width =, height = }
---@return string? text, string? why
function class:draw(opts)
  local o = opts or {}
  local labels = {}
  for i, at in ipairs(self.marked) do labels[i] = { self.points:get(at, 1), self.points:get(at, 2), self.genes[at] } end
  return require("dynamo.plot").map { x = self.points:select(2, 1):clone(), y = self.points:select(2, 2):clone(),
    groups = self.groups, labels = labels, title = self.title, format = o.format, width = o.width, height = o.height }
end

-- Gene, coordinates, and 1 where it is in a set.
local function table_text(self)
  local columns, inside = { "gene", "x", "y" }, {}
  for i, g in ipairs(self.groups) do
    columns[i + 3] = g.name:gsub("%c", " ")
    inside[i] = {}
    for _, at in ipairs(g.places) do inside[i][at] = true end
  end
  local out = { table.concat(columns, "\t") }
  for i, name in ipairs(self.genes) do
    local row = { (name:gsub("%c", " ")), ("%.9g"):format(self.points:get(i, 1)), ("%.9g"):format(self.points:get(i, 2)) }
    for k in ipairs(self.groups) do row[k + 3] = inside[k][i] and "1" or "0" end
    out[i + 1] = table.concat(row, "\t")
  end
  return table.concat(out, "\n") .. "\n"
end

--- Write the drawing (.svg, .png: needs gnuplot) or the coordinates (.tsv). Raises EIO, EOPTION (another extension).
---@param path string
function class:write(path)
  local ext = path:match "%.(%w+)$"
  if ext ~= "svg" and ext ~= "png" and ext ~= "tsv" then
    err.raise { code = "EOPTION", message = ("%s: the name of a picture must end in .svg, .png or .tsv"):format(path) }
  end
  local text, why
  if ext == "tsv" then text = table_text(self) else text, why = self:draw { format = ext } end
  if not text then err.raise { code = "EIO", file = path, message = "cannot be drawn: " .. tostring(why) } end
  core.write_file(path, text)
end

-- ---- the terminal ------------------------------------------------------------

-- What dot (column 0..1, row 0..3) adds to a Braille pattern.
local DOTS = { [0] = { [0] = 1, 2, 4, 64 }, { [0] = 8, 16, 32, 128 } }

local function utf8_of(code)
  return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

-- Dots of all points, two by four in a character; bits[cell], and the cell of each point.
local function raster(self, width, height)
  local lo, hi = self.points:min(1), self.points:max(1)
  local bits, seen, cell_of = {}, {}, {}
  local w, h = 2 * width, 4 * height
  local sx, sy = math.max(hi:get(1) - lo:get(1), 1e-300), math.max(hi:get(2) - lo:get(2), 1e-300)
  for i = 1, #self.genes do
    local a = math.min(w - 1, math.floor((self.points:get(i, 1) - lo:get(1)) / sx * w))
    local b = math.min(h - 1, math.floor((hi:get(2) - self.points:get(i, 2)) / sy * h))
    local cell = math.floor(b / 4) * width + math.floor(a / 2)
    local dot = b * w + a
    if not seen[dot] then bits[cell] = (bits[cell] or 0) + DOTS[a % 2][b % 4] end
    seen[dot], cell_of[i] = true, cell
  end
  return bits, cell_of
end

-- The set that most genes of a cell are in (the first of equals).
local function letters(self, cell_of)
  local count, best = {}, {}
  for k, g in ipairs(self.groups) do
    for _, at in ipairs(g.places) do
      local cell = cell_of[at]
      count[cell] = count[cell] or {}
      count[cell][k] = (count[cell][k] or 0) + 1
      local top = best[cell]
      if not top or count[cell][k] > count[cell][top] then best[cell] = k end
    end
  end
  return best
end

--- The picture in characters: Braille dots, a letter where genes of a set are, and the sets below.
---@param opts? table  { width = of the terminal, height = lines, colour = false }
---@return string
function class:text(opts)
  local o = opts or {}
  local width = o.width or math.min(core.term_width(), 100)
  local height = o.height or math.max(4, math.floor(width * 0.3))
  local bits, cell_of = raster(self, width, height)
  local best, out = letters(self, cell_of), {}
  local function letter(k)
    local c = string.char(64 + k)
    return o.colour and ("\27[3%dm%s\27[0m"):format(1 + (k - 1) % 6, c) or c
  end
  for r = 0, height - 1 do
    local line = {}
    for c = 0, width - 1 do
      local cell = r * width + c
      line[c + 1] = best[cell] and letter(best[cell]) or bits[cell] and utf8_of(0x2800 + bits[cell]) or " "
    end
    out[#out + 1] = (table.concat(line):gsub(" +$", ""))
  end
  for k, g in ipairs(self.groups) do out[#out + 1] = ("%s  %s (%d genes)"):format(letter(k), label.safe(g.name), #g.places) end
  return table.concat(out, "\n")
end

-- ---- the command -------------------------------------------------------------

-- "FILE:NAME": sets of these files, and the names.
local function named_sets(list)
  local files, names, known = {}, {}, {}
  for _, word in ipairs(list) do
    local file, name = word:match "^(.+):([^:]+)$"
    if not file then
      err.raise { code = "EUSAGE", message = ("picture: --set %s: FILE.gmt:NAME expected"):format(label.safe(word)) }
    end
    if not known[file] then files[#files + 1] = file end
    known[file], names[#names + 1] = true, name
  end
  if #files == 0 then return nil end
  return require("dynamo.annotation").read(files), names
end

--- What `dynamo picture` does: draws to the terminal, or writes files. Raises EUSAGE and what reading and drawing raise.
---@param o table  { embedding = file, sets = { "FILE:NAME" }, genes = list, out = files, perplexity =, seed =, quiet = }
---@return table picture
function M.main(o)
  local e = require("dynamo.embed").read(o.embedding)
  local sets, names = named_sets(o.sets or {})
  local bar = require("dynamo.progress").new { quiet = o.quiet, label = "picture" }
  local ok, p = pcall(M.of, e, { sets = sets, highlight = names, genes = o.genes, perplexity = o.perplexity, seed = o.seed,
    progress = function(done, total) bar:update(done, total, "t-SNE") end })
  bar:finish()
  if not ok then error(p, 0) end
  io.write(p:text { colour = core.isatty(1) }, "\n", tostring(p), "\n")
  for _, path in ipairs(o.out or {}) do
    p:write(path)
    io.write("wrote ", path, "\n")
  end
  return p
end

return M
