--- Help: manual pages in the prompt and in the terminal, from the documents of dynamo.meta and the option schemas.
--
--     help()                    -- what there is
--     help "embed.node2vec"     -- signature, document, options
--     help(grn)                 -- what this value can do
--     help.apropos "spectral"   -- where a word occurs
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local meta = require "dynamo.meta"
local options = require "dynamo.options"

local M = {}

-- ---- pages about more than one function --------------------------------------------------------------

local PAGES = {
  start = [[
The way from files to predictions.

  local data = dynamo.data.read("k562.h5ad", { perturbation = "gene", context = "cell_line" })
  local grn  = dynamo.graph.read "collectri.csv"
  return dynamo.experiment {
    name      = "first",
    data      = data,
    split     = dynamo.split.unseen_genes { test = 0.25 },
    embedding = dynamo.embed.node2vec { graph = grn, dim = 128 },
    model     = dynamo.model.koopman {},
    seeds     = { 1, 2, 3 },
  }

Saved as first.lua, `dynamo run first.lua` trains and scores it beside the baselines and writes runs/first/. A function
with data at hand gives the thing itself, with one table of options a recipe that is made when it is needed. `dynamo demo`
needs no files at all.]],
  formats = [[
What is read and written.

  cells         .h5ad (every generation of AnnData), 10x .h5 and folders, .loom: dynamo.data.read, dynamo inspect FILE
  responses     long tables, .csv or .tsv: perturbation, gene, value; split and context columns if there are any
  networks      CollecTRI, DoRothEA, TRRUST, STRING, OmniPath, SIF, edge lists of two or three columns: dynamo.graph.read
  gene sets     GMT: dynamo.annotation.read
  embeddings    .tsv, word2vec text, .npz, .safetensors: dynamo.embed.read, e:write(path)
  models        model.dynamo (HDF5): fitted:save, dynamo.load
  predictions   .h5ad that anndata opens: dynamo predict

Text files may be packed (gzip, zstd); what a file is, is decided by its content.]],
  overrides = [[
Options from the command line: dynamo run EXP.lua key=value ...

  train.epochs=100        a number          seeds=1..5               a list of integers
  model.rank=4            a nested option   embedding=spectral{dim=64}   a recipe
  split.test=0.3 -o out   folder of the results

The order is: defaults, then the experiment file, then the command line. An unknown key is an error that names the
nearest one. A script asks for settings of its own with dynamo.setting.]],
  results = [[
What a run leaves behind: runs/NAME/

  results.csv       one number per line: experiment, model, embedding, context, seed, group, reference, genes, metric,
                    value, lo, hi, n
  predictions.h5ad  predicted profiles of the test perturbations
  model.dynamo      the model of the first seed: dynamo.load, dynamo predict
  manifest.json     versions, seeds, inputs with SHA-256, resolved options
  report.html       figures and tables in one file

Pearson Delta is the correlation of predicted and observed change over genes: reference "control" is the change itself,
"centroid" the change against the mean training perturbation, where a model that knows nothing scores 0.]],
}

-- ---- text ---------------------------------------------------------------------------------------------

local function width() return math.max(40, math.min(core.term_width(), 100)) end

-- Paragraphs filled to the width; indented lines stay as they are.
local function fill(text, indent)
  local out, words, limit = {}, {}, width() - #indent
  local function flush()
    local line = ""
    for _, w in ipairs(words) do
      if line ~= "" and #line + 1 + #w > limit then
        out[#out + 1] = indent .. line
        line = w
      else
        line = line == "" and w or line .. " " .. w
      end
    end
    if line ~= "" then out[#out + 1] = indent .. line end
    words = {}
  end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:match "^%s%s" or line == "" then
      flush()
      out[#out + 1] = line == "" and "" or indent .. line
    else
      for w in line:gmatch "%S+" do words[#words + 1] = w end
    end
  end
  flush()
  return table.concat(out, "\n")
end

local function cut(text, n) return #text > n and text:sub(1, n - 3) .. "..." or text end

-- Names with their summaries, in columns.
local function listing(names, entries)
  local out, w = {}, 12
  for _, name in ipairs(names) do w = math.max(w, math.min(#name, 28)) end
  for _, name in ipairs(names) do
    local e = entries[name]
    out[#out + 1] = cut(("  %-" .. w .. "s  %s"):format(name, e.summary), width())
  end
  return table.concat(out, "\n")
end

-- Names of entries that fit, sorted.
local function select(fits)
  local out = {}
  for name, e in pairs(meta.entries()) do
    if fits(e, name) then out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

-- ---- pages ---------------------------------------------------------------------------------------------

local function function_page(e)
  local out = { e.sig, "" }
  if e.doc ~= "" then out[#out + 1] = fill(e.doc, "  ") end
  for _, p in ipairs(e.params) do
    out[#out + 1] = fill(("%s (%s)%s"):format(p[1]:gsub("%?$", ""), p[2], p[3] ~= "" and "  " .. p[3] or ""), "  ")
  end
  for _, r in ipairs(e.returns) do out[#out + 1] = fill(("-> %s %s"):format(r[1], r[2] or ""), "  ") end
  local schema = meta.schema(e.name)
  if schema and next(schema) then out[#out + 1] = "\noptions\n" .. options.describe(schema) end
  local short = e.name:match "[%w_]+$"
  local also = select(function(f, name) return f ~= e and f.kind ~= "module" and name:match "[%w_]+$" == short end)
  if #also > 0 and #also < 8 then out[#out + 1] = "\nsee also: " .. table.concat(also, " ") end
  return table.concat(out, "\n")
end

local function module_page(e)
  local entries = meta.entries()
  local names = select(function(f) return f.module == e.name and f.kind == "function" end)
  local methods = select(function(f) return f.module == e.name and f.kind == "method" end)
  local out = { "dynamo." .. e.name, "", fill(e.doc, "  ") }
  if #names > 0 then out[#out + 1] = "\nfunctions\n" .. listing(names, entries) end
  if #methods > 0 then out[#out + 1] = "\nmethods\n" .. listing(methods, entries) end
  return table.concat(out, "\n")
end

local function class_page(class)
  local names = select(function(_, name) return name:match "^(%u%w*)[:.]" == class end)
  if #names == 0 then return nil end
  return ("%s\n\n%s"):format(class, listing(names, meta.entries()))
end

-- Which modules `dynamo.NAME` loads.
local function public()
  local out = {}
  local text = meta.sources()["dynamo/init.lua"]
  for name in text:match "for name in %(%[%[(.-)%]%]":gmatch "%S+" do out[name] = true end
  return out
end

local function overview()
  local entries, known = meta.entries(), public()
  local modules = select(function(e, name) return e.kind == "module" and e.doc ~= "" and known[name] end)
  local inside = select(function(e, name) return e.kind == "module" and e.doc ~= "" and not known[name] end)
  local classes, seen = {}, {}
  for name in pairs(entries) do
    local class = name:match "^(%u%w*):"
    if class and not seen[class] then
      seen[class] = true
      classes[#classes + 1] = class
    end
  end
  table.sort(classes)
  return table.concat({ 'help "NAME" explains one; help(value) says what a value can do; help.apropos "word" searches.',
    "\npages: " .. table.concat(label.sorted_keys(PAGES), " "), "\nmodules (dynamo.NAME)\n" .. listing(modules, entries),
    "\nmodules behind them (require \"dynamo.NAME\")\n" .. fill(table.concat(inside, " "), "  "),
    "\nclasses\n" .. fill(table.concat(classes, " "), "  "),
    "\nfunctions of the core (dynamo.NAME)\n" .. fill(table.concat(select(function(e, name)
      return e.kind == "core" and name:match "^%l" end), " "), "  ") }, "\n")
end

-- "dynamo.embed.node2vec", "core.svd", "node2vec", "Tensor.add" mean entries too, if only one fits.
local function resolve(topic)
  local entries = meta.entries()
  topic = topic:gsub("^dynamo%.", ""):gsub("^core%.", ""):gsub("%(.*$", "")
  if entries[topic] then return topic end
  local method = topic:gsub("^(%u%w*)%.", "%1:")
  if entries[method] then return method end
  local ends = select(function(e, name) return e.kind ~= "core" and name:match "[.:]([%w_]+)$" == topic end)
  if #ends == 1 then return ends[1] end
  return nil, ends
end

--- The page of a topic as text, or nil and a message.
---@param topic string
---@return string? page, string? message
function M.page(topic)
  if PAGES[topic] then return fill(PAGES[topic], "") end
  local class = class_page(topic)
  local name, several = resolve(topic)
  if not name and class then return class end
  if name then
    local e = meta.entries()[name]
    return e.kind == "module" and module_page(e) or function_page(e)
  end
  if several and #several > 1 then
    return ("'%s' is the name of several:\n%s"):format(topic, listing(several, meta.entries()))
  end
  return nil, ("no help on '%s'%s"):format(label.safe(topic), options.suggestion(topic, M.topics()))
end

-- ---- values ----------------------------------------------------------------------------------------------

-- The name of a function of dynamo, or of a module.
local function name_of(value)
  local dynamo = package.loaded["dynamo"] or {}
  for name, v in pairs(core) do
    if v == value then return name end
  end
  for path, m in pairs(package.loaded) do
    local module = type(path) == "string" and path:match "^dynamo%.([%w_]+)$"
    if module and m == value then return module end
    if module and type(m) == "table" and module ~= "core" then
      for f, v in pairs(m) do
        if v == value and type(v) == "function" then return module .. "." .. tostring(f) end
      end
    end
  end
  for name, v in pairs(dynamo) do
    if v == value then return name end
  end
end

-- What kind of thing a value is: a class with a page, or a recipe's function.
local function class_of(value)
  local mt = getmetatable(value)
  if type(mt) == "string" then return mt:match "^dynamo%.(%w+)$" end
  if type(value) ~= "table" or type(mt) ~= "table" then return nil end
  for path, m in pairs(package.loaded) do
    local module = type(path) == "string" and path:match "^dynamo%.([%w_]+)$"
    if module and type(m) == "table" and rawget(m, "is") and m ~= err and type(m.is) == "function" then
      local ok, yes = pcall(m.is, value)
      local class = module:gsub("^%l", string.upper)
      if ok and yes == true and class_page(class) then return class end
    end
  end
  if type(rawget(value, "kind")) == "string" and type(rawget(value, "name")) == "string" then
    return (resolve(value.name)) or value.kind
  end
  if rawget(value, "models") and rawget(value, "head") then return "Fitted" end
end

-- ---- what people call -------------------------------------------------------------------------------------

--- Print the page of a topic, of a function, or of a value; without one, what there is.
---
--- Raises EUSAGE: there is no such topic (the message has the nearest).
---@param what? any  "embed.node2vec", "Tensor", "formats", a function, an object
function M.help(what)
  if what == nil then return print(overview()) end
  local topic = what
  if type(what) ~= "string" then
    topic = type(what) == "userdata" and class_of(what) or name_of(what) or class_of(what)
    if not topic then return print(("a %s: there is nothing to say about it"):format(type(what))) end
  end
  local page, message = M.page(topic)
  if not page then err.raise { code = "EUSAGE", message = message, hint = 'help.apropos "word"' } end
  print(page)
end

--- Names of everything that has a page, sorted.
---@return string[]
function M.topics()
  local seen = {}
  for name in pairs(PAGES) do seen[name] = true end
  for name in pairs(meta.entries()) do
    seen[name] = true
    local class = name:match "^(%u%w*):"
    if class then seen[class] = true end
  end
  return label.sorted_keys(seen)
end

--- Print the topics in whose name or document a word occurs (no pattern; case does not matter).
---@param word string
function M.apropos(word)
  word = tostring(word):lower()
  local names = select(function(e, name)
    return (name .. "\n" .. e.doc):lower():find(word, 1, true) ~= nil
  end)
  print(#names > 0 and listing(names, meta.entries()) or ("nothing about '%s'"):format(label.safe(word)))
end

-- ---- the manual page ----------------------------------------------------------------------------------------

-- Text for troff: no line is a request, no character an escape.
local function troff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-")
  return (("\n" .. text):gsub("\n([.'])", "\n\\&%1"):sub(2))
end

local STATUS = [[
0 done. 1 an error. 2 usage: an unknown command or option. 130 interrupted. Other failures have codes of their own,
as in sysexits.h: 65 malformed input, 66 missing input, 74 reading or writing failed.]]

local function man_functions(out)
  local entries = meta.entries()
  for _, module in ipairs(select(function(e) return e.kind == "module" and e.doc ~= "" end)) do
    out[#out + 1] = (".SS %s\n%s"):format(troff("dynamo." .. module), troff(entries[module].summary))
    for _, name in ipairs(select(function(e) return e.module == module and e.kind ~= "module" end)) do
      out[#out + 1] = (".TP\n.B %s\n%s"):format(troff(entries[name].sig), troff(entries[name].summary))
    end
  end
end

local function man_core(out)
  local entries, class = meta.entries(), nil
  for _, name in ipairs(select(function(e) return e.file == nil and e.kind == "core" or e.params and e.module ==
    (e.name:match "^(%u%w*):") and e.kind == "method" end)) do
    local own = name:match "^(%u%w*):" or "core"
    if own ~= class then out[#out + 1] = ".SS " .. troff(own) end
    class = own
    out[#out + 1] = (".TP\n.B %s\n%s"):format(troff(entries[name].sig), troff(entries[name].summary))
  end
end

--- The manual page dynamo(1), for troff: commands, pages, modules and the core, from the same documents.
---@return string
function M.man()
  local cli = require "dynamo.cli"
  local commands, text = cli.commands()
  local out = { '.\\" Written by make doc.', (".TH DYNAMO 1 \"\" \"dynamo %s\""):format(core.version), ".SH NAME",
    "dynamo \\- transcriptomic responses to genetic perturbations nobody has measured yet", ".SH SYNOPSIS\n.nf",
    troff(text:match "\n\n(.*)$"), ".fi\n.SH COMMANDS" }
  for _, name in ipairs(commands) do
    out[#out + 1] = (".SS dynamo %s\n.nf\n%s\n.fi"):format(name, troff(cli.parser(name):get_help()))
  end
  for _, name in ipairs(label.sorted_keys(PAGES)) do
    out[#out + 1] = (".SH %s\n.nf\n%s\n.fi"):format(name:upper(), troff(PAGES[name]))
  end
  out[#out + 1] = ".SH EXIT STATUS\n" .. troff(STATUS)
  out[#out + 1] = ".SH LUA MODULES"
  man_functions(out)
  out[#out + 1] = ".SH THE CORE"
  man_core(out)
  return table.concat(out, "\n") .. "\n"
end

return setmetatable(M, { __call = function(_, what) return M.help(what) end })
