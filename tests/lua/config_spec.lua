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
