--- What there is: every function of the core, of every class and of every module, with its document.
--
-- Two sources, no third: what is written in C is declared in lua/dynamo/meta/*.lua, what is written in Lua is annotated
-- in place and read from its own text (inside the program, or from the folder on package.path). Options are the schemas
-- that check them. help(), `dynamo help` and the manual page are made from this.
--
--     meta.entries()["embed.node2vec"]
--     { name = "embed.node2vec", kind = "function", module = "embed", sig = "embed.node2vec(graph, opts)",
--       summary = "...", doc = "...", params = { { "graph", "userdata", "..." } }, returns = { "Embedding" } }
local label = require "dynamo.label"

local M = {}

-- ---- texts --------------------------------------------------------------------------------------

local function search(name)
  for template in package.path:gmatch "[^;]+" do
    local path = template:gsub("%?", (name:gsub("%.", "/")))
    local f = io.open(path)
    if f then
      f:close()
      return path
    end
  end
end

local function read_folder(out, folder, prefix)
  local core = require "dynamo.core"
  if not core.stat(folder) then return end
  for _, name in ipairs(core.listdir(folder)) do
    local f = name:match "%.lua$" and io.open(folder .. "/" .. name)
    if f then
      out[prefix .. name] = f:read "*a"
      f:close()
    end
  end
end

--- The Lua files of dynamo: a table from "dynamo/embed.lua" to its text.
---@return table<string, string>
function M.sources()
  local inside, app = pcall(require, "dynamo.app")
  local out = {}
  if inside then
    for path, text in pairs(app.sources()) do
      if path:match "^dynamo/" then out[path] = text end
    end
    return out
  end
  local folder = search "dynamo.meta":match "^(.*)/[^/]*$"
  read_folder(out, folder, "dynamo/")
  read_folder(out, folder .. "/meta", "dynamo/meta/")
  return out
end

-- ---- annotations --------------------------------------------------------------------------------

-- A type may have spaces inside brackets or after commas and colons: "fun(a: b): c", "table<string, any>".
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c:match "[%(<{%[]" then depth = depth + 1 elseif c:match "[%)>}%]]" then depth = depth - 1 end
    if c == " " and depth == 0 and not text:sub(1, i - 1):match "[,:|]$" then break end
    i = i + 1
  end
  return text:sub(1, i - 1), (text:sub(i):match "^%s*(.-)%s*$")
end

-- One comment block (lines without their dashes): prose, parameters and results.
local function block_of(lines)
  local e = { params = {}, returns = {} }
  local prose, last = {}, nil
  for _, line in ipairs(lines) do
    local tag, rest = line:match "^@(%w+)%s*(.*)$"
    if tag == "param" then
      local name, more = rest:match "^(%S+)%s*(.*)$"
      local kind, text = split_type(more or "")
      last = { name, kind, text }
      e.params[#e.params + 1] = last
    elseif tag == "return" then
      local kind, text = split_type(rest)
      last = { kind, text }
      e.returns[#e.returns + 1] = last
    elseif tag then
      last = nil
    elseif last and line:match "^%s%s+%S" then
      last[#last] = last[#last] .. " " .. line:match "^%s*(.-)%s*$"
    else
      last = nil
      prose[#prose + 1] = line
    end
  end
  while prose[1] and prose[1]:match "^%s*$" do table.remove(prose, 1) end
  while #prose > 0 and prose[#prose]:match "^%s*$" do prose[#prose] = nil end
  e.doc = table.concat(prose, "\n")
  e.summary = M.summary(e.doc)
  return e
end

--- The first sentence of a document, on one line.
function M.summary(doc)
  local first = (doc:match "^(.-)\n%s*\n" or doc):gsub("%s*\n%s*", " ")
  return first:match "^(.-%.)%s+[%u`(]" or first
end

local function comment(line) return line:match "^%-%-%-? ?(.*)$" end

-- "---" opens a block, "--" may go on with it; returns the lines of the block that ends above line i.
local function block_above(lines, i)
  local from = i
  while from > 1 and comment(lines[from - 1]) do from = from - 1 end
  while from < i and not lines[from]:match "^%-%-%-" do from = from + 1 end
  local out = {}
  for k = from, i - 1 do out[#out + 1] = comment(lines[k]) end
  return #out > 0 and out or nil
end

local function lines_of(text)
  local out = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do out[#out + 1] = line end
  return out
end

-- "M.read", "class:find" or "Embedding:dim" as the name people use.
local function public_name(module, owner, sep, name)
  if owner == "M" then return module .. "." .. name, "function" end
  local class = owner:match "^%u" and owner or (owner == "class" or owner == "methods") and
    module:gsub("^%l", string.upper)
  if class then return class .. (sep == "." and "." or ":") .. name, "method" end
end

-- "(graph, opts)" from the documented parameters, for a function that another function makes.
local function arguments(e)
  local names = {}
  for i, p in ipairs(e.params) do names[i] = p[1]:gsub("%?$", "") end
  return "(" .. table.concat(names, ", ") .. ")"
end

-- The entry of the function that line i declares, if it does.
local function function_at(module, lines, i, line)
  local owner, sep, name, args = line:match "^function (%a%w*)([.:])(%a[%w_]*)(%b())"
  local made = not owner and line:match "^M%.(%l[%w_]*) = [%l_]+%("
  if made then owner, sep, name = "M", ".", made end
  if not owner then return nil end
  local full, kind = public_name(module, owner, sep, name)
  local block = block_above(lines, i)
  if not full or made and not block then return nil end
  local f = block_of(block or {})
  f.name, f.kind, f.module, f.documented = full, kind, module, block ~= nil and f.summary ~= ""
  f.sig = (kind == "method" and full:gsub("^%u", string.lower) or full) .. (args or arguments(f))
  return f
end

local function add_module(out, module, text)
  local lines, head = lines_of(text), {}
  for i = 1, #lines do
    if not comment(lines[i]) then break end
    head[#head + 1] = comment(lines[i])
  end
  local e = block_of(head)
  e.name, e.kind, e.module, e.sig = module, "module", module, ("local %s = require \"dynamo.%s\""):format(module, module)
  out[module] = e
  for i, line in ipairs(lines) do
    local f = function_at(module, lines, i, line)
    if f then out[f.name] = f end
  end
end

-- ---- declarations of the core ---------------------------------------------------------------------

local function add_declared(out, name, declared, file)
  local class = name:match "^(%u%w*):"
  local nan = declared.nan and "\nNaN: " .. declared.nan .. "." or ""
  out[name] = { name = name, kind = class and "method" or "core", module = class or "core", sig = declared.sig,
    doc = declared.doc .. nan, summary = M.summary(declared.doc), params = {}, returns = {}, file = file, documented = true }
end

--- What is declared for the core: name -> { sig, doc }; a name that two files declare is an error.
---@return table<string, table>
function M.declared()
  local out, from = {}, {}
  for _, path in ipairs(label.sorted_keys(M.sources())) do
    local file = path:match "^dynamo/meta/([%w_]+)%.lua$"
    if file then
      for name, d in pairs(require("dynamo.meta." .. file)) do
        if out[name] then error(("meta: %s is declared in %s and in %s"):format(name, from[name], file), 0) end
        out[name], from[name] = d, file
      end
    end
  end
  return out
end

local known

--- Everything there is: name -> entry (see the top of this file). Made once.
---@return table<string, table>
function M.entries()
  if known then return known end
  local out = {}
  for name, d in pairs(M.declared()) do add_declared(out, name, d) end
  for path, text in pairs(M.sources()) do
    local module = path:match "^dynamo/([%w_]+)%.lua$"
    if module and module ~= "init" then add_module(out, module, text) end
  end
  known = out
  return out
end

--- The option schema of a function, "embed.node2vec", or nil.
---@param name string
---@return table?
function M.schema(name)
  local module, f = name:match "^([%w_]+)%.([%w_]+)$"
  local e = M.entries()[module or ""]
  if not e or e.kind ~= "module" then return nil end
  local ok, m = pcall(require, "dynamo." .. module)
  local schema = ok and type(m) == "table" and rawget(m, "schema")
  return type(schema) == "table" and schema[f] or nil
end

return M
