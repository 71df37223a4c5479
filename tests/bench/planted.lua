-- Networks with known answers for the measurements of embeddings: degree-corrected blocks (Karrer and Newman 2011).
local core = require "dynamo.core"

local M = {}

--- The ends of m edges of n nodes in 50 blocks (node v in block v % 50, from 0), 70% of them inside a block, degrees by a
--- power law of exponent 2.5: two tensors of numbers from 1.
function M.edges(n, m, seed)
  return core.random_edges(n, m, { blocks = 50, within = 0.7, exponent = 2.5, seed = seed })
end

--- Writes edges lo .. hi as lines "source<TAB>target" with numbers for names; gives `path`.
function M.write(path, from, to, lo, hi)
  local f = assert(io.open(path, "w"))
  for at = lo or 1, hi or from:size(), 100000 do
    local count = math.min(100000, (hi or from:size()) - at + 1)
    local a, b = from:narrow(1, at, at + count - 1):totable(), to:narrow(1, at, at + count - 1):totable()
    for i = 1, count do a[i] = ("%d\t%d"):format(a[i], b[i]) end
    f:write(table.concat(a, "\n"), "\n")
  end
  f:close()
  return path
end

return M
