--- Long trainings in parts, with a file between them that the next run goes on from.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"

local M = {}

local round, parts = 1024, 20 -- walks that a part is a multiple of; files written in a whole training

-- What the training depends on, as strings: the options, and what tells one network from another.
local function facts(g, opts)
  local degrees, t = g:degrees(), { network = tostring(g) }
  local place = core.rand(1, g:nodes(), "double")
  t.degrees = ("%.17g"):format((degrees * place):sum():item())
  t.names = core.sha256(table.concat(g:names(), "\n"))
  for _, key in ipairs(label.sorted_keys(opts)) do
    if key ~= "progress" then t[key] = tostring(opts[key]):gsub("%.0$", "") end
  end
  return t
end

-- The state and how many walks it has seen, if the file holds those of this training.
local function resume(path, want)
  local f = io.open(path, "rb")
  if not f then return nil, 0 end
  f:close()
  local values, have = core.safetensors_read(path)
  have = have or {}
  for _, key in ipairs(label.sorted_keys(want)) do
    if have[key] ~= want[key] then
      err.raise { code = "EVALUE", file = path,
        message = ("is the checkpoint of another training: %s is %s there and %s here"):format(key,
          tostring(have[key]), want[key]), hint = "remove it, or give another name" }
    end
  end
  return values.state, tonumber(have.done)
end

local function save(path, state, done, have)
  local t = { done = ("%d"):format(done) }
  for key, v in pairs(have) do t[key] = v end
  local keys, list = label.sorted_keys(t), {}
  for i, key in ipairs(keys) do list[i] = t[key] end
  core.safetensors_write(path, { "state" }, { state }, keys, list)
end

--- core.node2vec(g, opts) that writes its state to `path` now and then and goes on from there if the file exists: the
--- same bytes as without a stop. The file is removed at the end.
---
--- Raises EIO, EVALUE (the file belongs to another network or other options) and what core.node2vec raises.
---@param g userdata  dynamo.Graph
---@param opts table  options of core.node2vec
---@param path string
---@return userdata vectors  tensor float (nodes, dim)
function M.node2vec(g, opts, path)
  local total = g:nodes() * opts.walks * opts.epochs
  local step = math.ceil(total / parts / round) * round
  local have, given = facts(g, opts), {}
  for k, v in pairs(opts) do given[k] = v end
  local state, done = resume(path, have)
  while done < total do
    given.state, given.first, given.last = state, done + 1, math.min(done + step, total)
    state, done = core.node2vec(g, given), given.last
    if done < total then save(path, state, done, have) end
  end
  os.remove(path)
  return state:narrow(1, 1, g:nodes()):clone()
end

return M
