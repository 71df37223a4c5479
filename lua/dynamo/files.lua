--- Arrays in files: `dynamo.read "x.npy"`, `dynamo.write("x.safetensors", { w = t })`.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"

local M = {}

--- The arrays of a .npy, .npz or safetensors file, by its content: a tensor (npy; a list of strings if it holds text),
--- or a table from names to them; for safetensors also the metadata.
---
--- Raises EIO, EFORMAT (damaged, too large, pickled objects, other formats with what reads them).
---@param path string
---@return userdata|table
---@return table? metadata
function M.read(path)
  local kind = tostring((core.sniff(path))):gsub("^%w+:", "")
  if kind == "npy" then return core.npy_read(path) end
  if kind == "npz" then return (core.npz_read(path)) end
  if kind == "safetensors" then return core.safetensors_read(path) end
  err.raise { code = "EFORMAT", file = path, message = ("holds no arrays (%s)"):format(kind),
    hint = "data: dynamo.data.read; vectors: dynamo.embed.read; networks: dynamo.graph.read" }
end

local function sorted(values)
  local names, list = label.sorted_keys(values), {}
  for i, name in ipairs(names) do list[i] = values[name] end
  return names, list
end

local function tensors(path, values)
  if type(values) ~= "table" then
    err.raise { code = "EOPTION", message = path .. ": a table from names to tensors expected" }
  end
  for name in pairs(values) do
    if type(name) ~= "string" then
      err.raise { code = "EOPTION", message = path .. ": a table from names to tensors expected" }
    end
  end
  return sorted(values)
end

--- Write arrays: .npy takes a tensor or a list of strings, .npz a table from names to those, .safetensors a table from
--- names to tensors (and metadata: a table of strings). Names are sorted: same content, same bytes; the file is complete
--- or as it was. Raises EIO, EVALUE, EOPTION.
---@param path string
---@param value userdata|table
---@param metadata? table<string, string>  safetensors only
function M.write(path, value, metadata)
  local ext = path:match "%.(%w+)$"
  if ext == "npy" then return core.npy_write(path, value) end
  if ext == "npz" then return core.npz_write(path, tensors(path, value)) end
  if ext ~= "safetensors" then
    err.raise { code = "EOPTION", message = ("%s: the name must end in .npy, .npz or .safetensors"):format(path) }
  end
  local names, list = tensors(path, value)
  core.safetensors_write(path, names, list, sorted(metadata or {}))
end

return M
