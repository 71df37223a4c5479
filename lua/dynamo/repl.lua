--- The prompt of the program `dynamo`: entries over several lines, results shown, locals kept.
local app = require "dynamo.app"
local core = require "dynamo.core"
local err = require "dynamo.error"
local show = require "dynamo.show"

local M = {}

-- Entries live here: reading falls back to the globals, new names become globals.
local env = setmetatable({}, { __index = _G, __newindex = _G })

-- Called at the end of each entry: its top-level locals stay for the next one.
local function keep()
  local i = 1
  while true do
    local name, value = debug.getlocal(2, i)
    if not name then return end
    if name:sub(1, 1) ~= "(" then rawset(env, name, value) end
    i = i + 1
  end
end
rawset(env, "keep_", keep)

--- Compile an entry: a function, or nil and a message, or nil and true if the entry goes on.
function M.compile(text)
  local f, why = load("return " .. text, "=stdin", "t", env)
  if f then return f end
  local message
  f, message = load(text, "=stdin", "t", env)
  if not f then
    if message:match "<eof>'?$" or why:match "<eof>'?$" then return nil, true end
    return nil, message
  end
  return load(text .. "\n;keep_()", "=stdin", "t", env) or f
end

-- ---- history --------------------------------------------------------------

local function history_path()
  local path = os.getenv "DYNAMO_HISTORY"
  if path then return path ~= "" and path or nil end
  local state = os.getenv "XDG_STATE_HOME"
  if not state or state == "" then
    local home = os.getenv "HOME"
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  if not pcall(core.mkdir, state .. "/dynamo") then return nil end
  return state .. "/dynamo/history"
end

local UNESCAPE = { n = "\n", ["\\"] = "\\" }

local function load_history(path)
  local f = path and io.open(path)
  if not f then return end
  local lines = {}
  for line in f:lines() do lines[#lines + 1] = line end
  f:close()
  for i = math.max(1, #lines - 4999), #lines do app.remember((lines[i]:gsub("\\(.)", UNESCAPE))) end
  return lines[#lines]
end

-- ---- completion -----------------------------------------------------------

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function if in local nil not or repeat return then true until
  while]]):gmatch "%a+" do KEYWORDS[#KEYWORDS + 1] = word end

-- Fields along __index tables; nothing is called.
local function fields(value, into)
  for _ = 1, 5 do
    if type(value) == "table" then
      for k in next, value do if type(k) == "string" then into[k] = true end end
    end
    local meta = (type(value) == "userdata" or type(value) == "string") and debug.getmetatable(value) or
      type(value) == "table" and debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then return end
  end
end

local function lookup(path)
  local value = nil
  for name in path:gmatch "[^.:]+" do
    if value == nil then
      value = rawget(env, name)
      if value == nil then value = rawget(_G, name) end
    else
      local names = {}
      fields(value, names)
      if not names[name] then return nil end
      value = value[name]
    end
    if value == nil then return nil end
  end
  return value
end

--- What a word could become.
function M.complete(line, word)
  local names, head = {}, word:match "^(.*[.:])" or ""
  if line:match "help%s*%(?%s*[\"'][%w_.]*$" then
    for _, topic in ipairs(require("dynamo.help").topics()) do names[topic] = true end
    head = ""
  elseif head ~= "" then
    local value = lookup(head:sub(1, -2))
    fields(value, names)
    if value == rawget(_G, "dynamo") then
      for m in ("data embed evaluate experiment graph model plot report simulate"):gmatch "%a+" do names[m] = true end
    end
  else
    for _, k in ipairs(KEYWORDS) do names[k] = true end
    fields(_G, names)
    for k in next, env do names[k] = true end
  end
  local out, rest = {}, word:sub(#head + 1)
  for _, name in ipairs(show.keys(names)) do
    if name:sub(1, #rest) == rest and (rest ~= "" or name:sub(1, 1) ~= "_") and #out < 500 then
      out[#out + 1] = head .. name
    end
  end
  return out
end

-- ---- the loop -------------------------------------------------------------

local function show_results(n, ...)
  if n == 0 then return end
  local first = ...
  if first ~= nil then rawset(env, "_", first) end
  if n == 1 then
    print(show(first))
    return
  end
  local parts = {}
  for i = 1, n do parts[i] = show.line((select(i, ...))) end
  print(table.concat(parts, "   "))
end

-- Run one compiled entry; whether it went well.
local function execute(f, silent, report)
  local function after(status, ...)
    if status == "ok" then
      -- showing runs code of objects: protected as well
      if not silent then
        local shown, message = app.call(show_results, select("#", ...), ...)
        if shown == "error" then report(message, "") end
      end
      return true
    elseif status == "interrupted" then
      io.stderr:write "interrupted\n"
      return false
    end
    report(...)
    return false
  end
  return after(app.call(f))
end

local function report(e, trace)
  io.stderr:write("error: ", err.line(e), "\n")
  if os.getenv "DYNAMO_TRACE" == "1" then io.stderr:write(tostring(trace), "\n") end
end

-- "?name" is help; "=expr" is the old way to ask for a value.
local function translate(text)
  local topic = text:match "^%s*%?%s*([%w_.:]*)%s*$"
  if topic then return ("help(%q)"):format(topic) end
  return (text:gsub("^%s*=", "return "))
end

-- Read one entry, asking for more lines until it is whole: a function and its text, or nil at the end of input.
local function read_entry(prompts)
  local text
  while true do
    local line = app.readline(text and prompts[2] or prompts[1])
    if line == false then
      text = nil
    elseif line == nil then
      if not text then return nil end
      local _, message = M.compile(text)
      return false, text, message == true and "unfinished entry" or message
    else
      text = text and text .. "\n" .. line or translate(line)
      if text:match "^%s*$" then
        text = nil
      else
        local f, message = M.compile(text)
        if f or message ~= true then return f or false, text, message end
      end
    end
  end
end

local function banner()
  local n = core.threads()
  print(("dynamo %s  (%s, %s, %d thread%s)"):format(core.version, _VERSION, core.blas(), n, n == 1 and "" or "s"))
  print 'help() lists topics, help "embed.node2vec" explains one; a trailing ; silences; Ctrl-D leaves'
end

--- Read, run, show until the input ends. With a terminal, errors are shown and the prompt comes back; otherwise the
--- first error ends it. Returns the exit status.
---@param opts? table  { quiet = true: no banner }
function M.run(opts)
  local tty = core.isatty(0)
  local prompts = tty and { "> ", ">> " } or { "", "" }
  local path, last
  rawset(_G, "help", require "dynamo.help")
  if tty then
    if not (opts and opts.quiet) then banner() end
    path = history_path()
    if app.editing() then last = load_history(path) end
    app.completer(M.complete)
  end
  while true do
    local f, text, message = read_entry(prompts)
    if f == nil then break end
    if tty and text ~= "" then
      local line = text:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })
      app.remember(text)
      if path and line ~= last then app.append(path, line .. "\n") end
      last = line
    end
    local good
    if f then
      good = execute(f, text:match ";%s*$" ~= nil, report)
    else
      report(message, "")
    end
    if not good and not tty then return 1 end
  end
  if tty and not app.editing() then print() end
  return 0
end

return M
