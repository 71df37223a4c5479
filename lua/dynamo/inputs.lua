--- Which files were read: networks, gene sets and vectors, noted by their readers for the manifests of runs.
local M = { seen = {}, list = {} }

--- Note that `path` was read.
function M.note(path)
  if type(path) == "string" and not M.seen[path] then
    M.seen[path] = true
    M.list[#M.list + 1] = path
  end
end

--- The paths so far, in the order they were first read.
---@return string[]
function M.files()
  local out = {}
  for i, path in ipairs(M.list) do out[i] = path end
  return out
end

return M
