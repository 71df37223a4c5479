--- Gene sets: GMT files of MSigDB and others, and what embeddings from annotation are made of.
--
--     local sets = dynamo.annotation.read { "c5.bp.gmt.gz", "h.all.gmt.gz" }
--     local e = dynamo.embed.annotation(sets, { dim = 128 })
local core = require "dynamo.core"
local err = require "dynamo.error"
local inputs = require "dynamo.inputs"
local options = require "dynamo.options"

local M = {}

M.schema = {
  read = {
    min_size = { default = 0, type = "integer", min = 0, help = "leave out sets with fewer genes" },
    max_size = { type = "integer", min = 1, help = "leave out sets with more genes" },
  },
}

local Sets = {}
Sets.__index = Sets

function Sets.__tostring(s)
  local n = #s.files
  return ("%d gene sets over %d genes, %s"):format(#s.sets, #s:genes(), n == 1 and s.files[1] or n .. " files")
end

--- All genes of the sets, sorted.
---@return string[]
function Sets:genes()
  local seen, out = {}, {}
  for _, set in ipairs(self.sets) do
    for _, g in ipairs(set.genes) do
      if not seen[g] then seen[g] = true out[#out + 1] = g end
    end
  end
  table.sort(out)
  return out
end

--- The set with this name; an error names the nearest one.
---@param name string
---@return table # { name=, genes={...} }
function Sets:find(name)
  local names = {}
  for i, set in ipairs(self.sets) do
    if set.name == name then return set end
    names[i] = set.name
  end
  return err.raise {
    code = "EVALUE",
    message = ("no gene set '%s'%s"):format(tostring(name), options.suggestion(tostring(name), names)),
  }
end

local function base(path) return (path:match "[^/]+$" or path):gsub("%.[gz]z?s?t?d?$", "") end

-- Sets of one file, added to `out`; a name that another file has too gets the file's name behind it.
local function add(out, seen, path, o)
  local sets, info = core.read_gmt(path)
  for _, set in ipairs(sets) do
    local n = #set.genes
    if n >= o.min_size and n <= (o.max_size or math.huge) then
      if seen[set.name] then set.name = ("%s (%s)"):format(set.name, base(path)) end
      seen[set.name] = true
      out.sets[#out.sets + 1] = set
    end
  end
  out.files[#out.files + 1] = path
  if info.empty > 0 then out.notes[#out.notes + 1] = ("%s: %d sets without genes"):format(path, info.empty) end
  if info.repeats > 0 then
    out.notes[#out.notes + 1] = ("%s: %d genes named twice in a set"):format(path, info.repeats)
  end
end

--- Read gene sets in GMT format: a set per line, name, description and genes separated by tabs; gzip and zstd are
--- unpacked. With several files their sets stand one after the other; of two with one name the later gets the name of
--- its file behind it. Raises EIO (no such file) and EFORMAT (fewer than three fields, a set twice in one file).
---@param paths string|string[]  a file, or a list of files
---@param opts? table  min_size, max_size: leave out smaller and larger sets
---@return table # { sets = { { name=, genes={...} }, ... }, files, notes }, methods genes() and find(name)
function M.read(paths, opts)
  local o = options.check("annotation.read", opts, M.schema.read)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" or #paths == 0 then
    local what = "annotation.read: a path or a list of paths expected (got %s)"
    err.raise { code = "EOPTION", message = what:format(options.quote(paths)) }
  end
  local out, seen = setmetatable({ sets = {}, files = {}, notes = {} }, Sets), {}
  for _, path in ipairs(paths) do
    add(out, seen, path, o)
    inputs.note(path)
  end
  return out
end

return M
