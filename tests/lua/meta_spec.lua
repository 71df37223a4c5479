-- Everything is documented, nothing else is, and everything that is documented is tested.
local core = require "dynamo.core"
local meta = require "dynamo.meta"

-- Names of everything that C registers: functions, and methods as "Class:method".
local function registered()
  local out = {}
  for name in pairs(core) do out[name] = true end
  for key, class in pairs(debug.getregistry()) do
    local name = type(key) == "string" and type(class) == "table" and key:match "^dynamo%.(%w+)$"
    local methods = name and rawget(class, "__index")
    if type(methods) == "table" then
      for method in pairs(methods) do out[name .. ":" .. method] = true end
    end
  end
  return out
end

local function missing(of, from)
  local out = {}
  for name in pairs(of) do
    if not from[name] then out[#out + 1] = name end
  end
  table.sort(out)
  return table.concat(out, " ")
end

test("every function and method of the core is declared, and nothing else", function()
  local have, declared = registered(), meta.declared()
  assert(missing(have, declared) == "", "not documented: " .. missing(have, declared))
  assert(missing(declared, have) == "", "documented, but not there: " .. missing(declared, have))
end)

test("every declaration has a signature that names it and a sentence", function()
  for name, d in pairs(meta.declared()) do
    local short = name:match "[%w_]+$"
    assert(d.sig:find(short, 1, true), name .. ": the signature is of something else")
    assert(#meta.summary(d.doc) > 3 and d.doc:match "[%.%]?]%s*$", name .. ": no sentence")
    for key in pairs(d) do assert(key == "sig" or key == "doc" or key == "nan", name .. ": unknown field " .. key) end
  end
end)

test("every name of the core occurs in a spec", function()
  local here, text = arg[0]:match "^(.*)/" or ".", {}
  for _, name in ipairs(core.listdir(here)) do
    if name:match "_spec%.lua$" and name ~= "meta_spec.lua" then
      local f = assert(io.open(here .. "/" .. name))
      text[#text + 1] = f:read "*a"
      f:close()
    end
  end
  local all, untested = table.concat(text, "\n"), {}
  for name in pairs(meta.declared()) do
    if not all:find("%f[%w_]" .. name:match "[%w_]+$" .. "%f[^%w_]") then untested[#untested + 1] = name end
  end
  table.sort(untested)
  assert(#untested == 0, "in no spec: " .. table.concat(untested, " "))
end)

test("every public function and every file written in Lua is documented", function()
  local without, count = {}, 0
  for name, e in pairs(meta.entries()) do
    count = count + 1
    if e.kind == "module" and e.doc == "" or e.kind ~= "module" and not e.documented then
      without[#without + 1] = name
    end
  end
  table.sort(without)
  assert(count > 300 and #without == 0, "no document: " .. table.concat(without, " "))
end)

test("documented parameters are those of the function", function()
  for name, e in pairs(meta.entries()) do
    if e.kind == "function" or e.kind == "method" then
      local args = {}
      for a in (e.sig:match "%((.*)%)" or ""):gmatch "[%w_]+" do args[a] = true end
      for _, p in ipairs(e.params) do
        assert(args[(p[1]:gsub("%?$", ""))] or p[1]:match "^%.%.%.", ("%s has no parameter '%s'"):format(name, p[1]))
      end
    end
  end
end)

test("every option has a help text and a default that is allowed", function()
  local options = require "dynamo.options"
  local count = 0
  for name, e in pairs(meta.entries()) do
    local schema = e.kind == "function" and meta.schema(name)
    for key, rule in pairs(schema or {}) do
      count = count + 1
      assert(type(rule.help) == "string" and #rule.help > 2, ("%s: option %s has no help"):format(name, key))
      if rule.default ~= nil then options.check_value(name, key, rule.default, rule) end
    end
  end
  assert(count > 50)
end)

test("a schema belongs to a function, or is named after what takes it", function()
  for name, e in pairs(meta.entries()) do
    local ok, m = pcall(require, "dynamo." .. name)
    if e.kind == "module" and ok and type(m) == "table" and type(rawget(m, "schema")) == "table" then
      for f in pairs(m.schema) do assert(type(f) == "string") end
    end
  end
end)

test("annotations are read as they are written", function()
  local e = meta.entries()["embed.node2vec"]
  assert(e.kind == "function" and e.module == "embed" and e.sig:match "^embed%.node2vec%(")
  assert(#e.params >= 2 and e.params[2][1] == "opts?" and e.params[2][2] == "table" and e.returns[1][1]:match "Embedding")
  assert(meta.schema "embed.node2vec".dim.default == 128 and meta.schema "embed.nothing" == nil)
  assert(meta.schema "Tensor:add" == nil and meta.summary "One. Two." == "One.")
  assert(meta.entries()["Embedding:dim"].kind == "method")
end)
