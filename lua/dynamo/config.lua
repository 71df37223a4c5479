--- Settings of the process: `dynamo.config { max_memory = "8G", threads = 2 }`.
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = {}

M.schema = {
  set = {
    max_memory = { type = "number|string", help = "most that tensors, graphs and tapes may hold together: bytes, \"512M\", "
      .. "\"8G\"; 0 or \"none\": no limit" },
    threads = { type = "integer", min = 1, max = 4096, help = "of the library's loops; results do not depend on it" },
  },
}

local units = { [""] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30, T = 2 ^ 40 }

local function bytes(value)
  if value == "none" then return 0 end
  local number, unit = tostring(value):upper():match "^%s*([%d%.]+)%s*([KMGT]?)I?B?%s*$"
  local n = tonumber(number) and tonumber(number) * (units[unit] or 0)
  if type(value) == "number" then n = value end
  if not n or n < 0 or n > 2 ^ 53 then
    err.raise { code = "EOPTION", message = ("config: max_memory is '%s', a size like \"8G\" or \"512M\" is expected")
      :format(tostring(value)) }
  end
  return math.floor(n)
end

--- Change settings, and get all of them.
--
-- With `max_memory` an operation that would exceed it raises ENOMEM ("... (max_memory is 8192 MB, ...)") before the machine
-- swaps. Garbage gets half of what the kept objects leave; after the error it is collected once more, so that what was
-- dropped just before is there for the next call. It counts what the library allocates, not what Lua tables, BLAS or HDF5
-- take: for a ceiling of the whole process see core.max_memory.
---@param opts? table max_memory, threads
---@return table settings max_memory in bytes (0: no limit), threads
function M.set(opts)
  opts = options.check("config", opts or {}, M.schema.set)
  if opts.max_memory ~= nil then core.memory_limit(bytes(opts.max_memory)) end
  if opts.threads then core.threads(opts.threads) end
  return { max_memory = core.memory_limit(), threads = core.threads() }
end

return M
