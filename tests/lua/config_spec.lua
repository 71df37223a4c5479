-- The memory ceiling, and that every object closes.
local core = require "dynamo.core"
local config = require "dynamo.config"

local function limited(size, f)
  local before = config.set().max_memory
  config.set { max_memory = size }
  local ok, e = pcall(f)
  config.set { max_memory = before }
  if not ok then error(e, 0) end
end

test("what does not fit under max_memory raises, and names the limit", function()
  assert(config.set().max_memory == 0 and config.set().threads >= 1)
  limited("64M", function()
    assert(core.memory_limit() == 64 * 2 ^ 20)
    raises("no memory for 100000000 numbers (max_memory is 64", core.zeros, 1e8)
    local ok, e = pcall(core.zeros, 1e8)
    assert(not ok and e.code == "ENOMEM")
    local t = core.zeros(4e6)
    for _ = 1, 200 do t = t + 1 end -- 3.2 GB in all: garbage is collected in time
    assert(t:get(1) == 200)
  end)
  assert(core.zeros(3e7):count() == 3e7)
end)

test("sizes are read as people write them", function()
  for text, n in pairs { ["1.5G"] = 1.5 * 2 ^ 30, ["2MB"] = 2 ^ 21, ["3 KiB"] = 3072, none = 0, ["100"] = 100 } do
    limited(text, function() assert(core.memory_limit() == n) end)
  end
  raises("max_memory is 'lots'", config.set, { max_memory = "lots" })
  raises("max_memory is '-1'", config.set, { max_memory = -1 })
  raises("max_memry", config.set, { max_memry = 1 })
  raises("negative limit", core.memory_limit, -1)
end)

test("every class with memory of its own closes, early and twice", function()
  local tape = core.tape()
  local x = tape:leaf(core.zeros(2), true)
  local p = core.params { { "w", 2 } }
  local all = { core.zeros(2), core.sparse(1, 1, {}, {}), p, core.sgd(p), core.operator(core.zeros(2, 1), core.zeros(2, 1)),
    tape }
  for _, o in ipairs(all) do o:close() o:close() end
  raises("closed", x.value, x)
end)

-- n objects of f, each dropped at once; the most that was held.
local function most_of(n, f)
  local most = 0
  for i = 1, n do
    f(i)
    most = math.max(most, core.live())
  end
  return most
end

test("garbage of a hundred times the ceiling never meets it, and nobody calls the collector", function()
  local megabyte = 2 ^ 20
  collectgarbage()
  limited("8M", function()
    local before = core.live()
    local t = core.zeros(32768, "double") -- 256 KB
    local kinds = {
      function() return t + 1 end,
      function() return core.sparse(1000, 1000, { 1, 2 }, { 3, 4 }), core.full(1, 65536) end,
      function() return core.tape():leaf(t):exp():sum() end,
      function() return core.params { { "w", 32768 } } end,
    }
    for _, f in ipairs(kinds) do
      local most = most_of(3200 / #kinds, f)
      assert(most <= 8 * megabyte and most >= before, most)
    end
  end)
end)

test("without a ceiling garbage is at most what is in use, or 64 MB", function()
  collectgarbage()
  local kept, before = {}, core.live()
  for i = 1, 5 do kept[i] = core.zeros(2 ^ 20) end -- 20 MB
  local rounds = os.getenv "ASAN_OPTIONS" and 60 or 1600 -- sanitizers keep what is freed for a while
  local most = most_of(rounds, function() return core.zeros(2 ^ 20) end) -- 6.4 GB, 100 times 64 MB
  assert(most <= before + (20 + 64 + 4) * 2 ^ 20, most)
  assert(#kept == 5)
end)

test("a ceiling that is too small for what is kept is an error, and the next call works", function()
  limited("16M", function()
    local kept = {}
    local ok, e = pcall(function()
      for i = 1, 100 do kept[i] = core.full(i, 2 ^ 18) end -- 1 MB each
    end)
    assert(not ok and e.code == "ENOMEM" and tostring(e):find("max_memory is 16", 1, true), tostring(e))
    assert(#kept >= 12 and kept[12]:get(1) == 12)
    kept = nil
    pcall(core.full, 1, 2 ^ 18) -- may meet the garbage, which is collected then
    assert(core.full(1, 2 ^ 18):get(5) == 1)
  end)
end)
