-- What is no object of the class, or is closed, is an error with a clear text and never a crash: every method of every
-- class, and every function of the core, with everything that does not belong there.
local core = require "dynamo.core"

-- class -> a new object of it
local make = {
  Tensor = function() return core.tensor({ { 1, 2 }, { 3, 4 } }, "double") end,
  Sparse = function() return core.sparse(2, 2, { 1 }, { 2 }) end,
  Tape = function() return core.tape() end,
  Var = function() return core.tape():leaf(core.tensor({ { 1, 2 }, { 3, 4 } }, "double"), true) end,
  Params = function() return core.params { { "w", 2 } } end,
  Optimizer = function() return core.sgd(core.params { { "w", 2 } }) end,
  Operator = function() return core.operator(core.zeros(2, 1), core.zeros(2, 1)) end,
  Graph = function() return core.graph({ "a", "b" }, { "a" }, { "b" }) end,
}

local function classes()
  local out = {}
  for name, class in pairs(debug.getregistry()) do
    local short = type(name) == "string" and name:match "^dynamo%.(%u%w+)$"
    if short and type(class) == "table" and type(rawget(class, "__index")) == "table" and next(class.__index) then
      out[short] = class
    end
  end
  return out
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Things that are no object of 'class'.
local function strangers(class)
  local list = { 0 / 0, "text", {}, io.stdout, print, true, coroutine.create(print) }
  for _, name in ipairs(sorted(make)) do
    if name ~= class then list[#list + 1] = make[name]() end
  end
  return list
end

test("every method refuses what is not an object of its class", function()
  for name, class in pairs(classes()) do
    local others = strangers(name)
    for method, f in pairs(class.__index) do
      assert(not pcall(f), name .. ":" .. method .. " of nothing")
      for _, x in ipairs(others) do
        local ok, e = pcall(f, x, 1, 1)
        assert(not ok, ("%s:%s takes a %s"):format(name, method, tostring(x)))
        e = tostring(e)
        assert(#e > 10 and not e:find "attempt to", ("%s:%s: %s"):format(name, method, e))
      end
    end
  end
end)

test("every method refuses a closed object, by its name, but for close", function()
  for name, new in pairs(make) do
    local class, o = debug.getregistry()["dynamo." .. name], new()
    assert(tostring(o):find(name))
    o:close()
    o:close()
    assert(tostring(o):find "closed", tostring(o))
    for method, f in pairs(class.__index) do
      if method ~= "close" then
        local ok, e = pcall(f, o, 1, 1)
        e = tostring(e)
        assert(not ok and (e:find "closed" or e:find "bad argument #2" or e:find "bad argument #3"), ("%s:%s: %s"):format(name, method, e))
      end
    end
  end
end)

test("metatables cannot be reached, nor finalisers", function()
  for name, new in pairs(make) do
    local o = new()
    assert(getmetatable(o) == "dynamo." .. name)
    assert(not pcall(setmetatable, o, {}))
    assert(not pcall(function() return o.__gc end) or o.__gc == nil)
  end
end)

-- what changes files or the process, or waits
local skip = { fail_after = true, memory_limit = true, max_memory = true, threads = true, remove = true, rename = true,
  mkdir = true, mkdtemp = true, write_file = true, live = true, max_rss = true, time = true, terminate = true, exit = true,
  h5_probe = true, simulate_screen = true }

-- Numbers are small: what allocates by a number that is right may do so.
local function values()
  local closed = core.zeros(2)
  closed:close()
  return { 0 / 0, -1, 1.5, 2 ^ 53, "text", {}, { 1, "x" }, { {} }, { { 1 }, { 2, 3 } }, io.stdout, print, false, closed,
    core.zeros(0), core.tensor(1), core.zeros(2, 3), core.tensor({ 1 / 0, 0 / 0 }, "double"), core.sparse(2, 2, { 1 }, { 2 }),
    core.tape() }
end

test("no function of the core crashes on arguments that do not belong there", function()
  local refused, list = 0, values()
  local before = table.concat(core.listdir ".", "\n")
  local unpack = table.unpack or unpack
  for _, name in ipairs(sorted(core)) do
    local f = core[name]
    if type(f) == "function" and not skip[name] and not name:match "_write$" then
      for i = 1, #list do
        for j = 0, #list do
          local args = { list[i], j > 0 and list[j] or nil, list[(i * 7 + j) % #list + 1] }
          if not pcall(f, unpack(args, 1, j == 0 and 1 or 3)) then refused = refused + 1 end
        end
      end
    end
  end
  assert(refused > 5000)
  assert(table.concat(core.listdir ".", "\n") == before, "files or folders are left in the working folder")
end)

test("nor does a method", function()
  local list = values()
  for name, new in pairs(make) do
    for method, f in pairs(debug.getregistry()["dynamo." .. name].__index) do
      if method ~= "close" and method ~= "save" then
        for i = 1, #list do pcall(f, new(), list[i], list[(i * 5) % #list + 1], list[(i * 11) % #list + 1]) end
      end
    end
  end
end)

test("tensors changed in place after they were recorded are refused, whatever changed them", function()
  local d = "double"
  local changes = {
    set = function(t) t:set(5, 1, 1) end, fill_ = function(t) t:fill_(1) end, add_ = function(t) t:add_(1) end,
    exp_ = function(t) t:exp_() end, copy_ = function(t) t:copy_(core.zeros(2, 2, d)) end,
    clamp_ = function(t) t:clamp_(0, 1) end, masked_fill_ = function(t) t:masked_fill_(t:gt(1), 0) end,
    index_add_ = function(t) t:index_add_({ 1 }, core.zeros(1, 2, d)) end,
    scatter_add_ = function(t) t:scatter_add_(1, core.full(1, 2, 2, d), t:clone()) end,
    ["a view"] = function(t) t:rows(1, 1):t():mul_(2) end,
  }
  for name, change in pairs(changes) do
    local tape, x = core.tape(), core.tensor({ { 1, 2 }, { 3, 4 } }, d)
    local y = (tape:leaf(x, true) * 2):sum()
    change(x)
    raises("leaf (entry 1, 2x2) was changed in place after it was put on the tape", y.backward, y)
    tape:close()
  end
end)

test("variables of two tapes, and of a closed one, are refused", function()
  local a, b = core.tape(), core.tape()
  local x, y = a:leaf(core.zeros(2, 2), true), b:leaf(core.zeros(2, 2), true)
  for _, name in ipairs { "add", "mul", "matmul", "maximum", "pow", "solve", "mse" } do
    raises("variable of another tape", x[name], x, y)
  end
  raises("variable of another tape", x.cat, x, { y })
  raises("variable of another tape", core.where, core.zeros(2, 2), x, y)
  b:close()
  raises("the tape was closed", x.add, x, y)
  raises("the tape was closed", y.sum, y)
end)
