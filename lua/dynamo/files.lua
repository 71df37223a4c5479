--- Arrays in files: `dynamo.read "x.npy"`, `dynamo.write("x.safetensors", { w = t })`.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"
local options = require "dynamo.options"

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

--- A tensor of numbers, or what a file holds: `dynamo.tensor "x.npy"`.
---
--- As core.tensor for a number or nested tables. Of a .npy file its array, of .npz and .safetensors files a table from
--- names to them (or one of them: `dynamo.tensor("x.npz", nil, "counts")`). Raises as read does; EVALUE: no such array,
--- text instead of numbers.
---@param x number|table|string
---@param kind? string "float" or "double"; default float for numbers, what the file has for files
---@param name? string of one array
---@return userdata|table
function M.tensor(x, kind, name)
  if type(x) ~= "string" then return core.tensor(x, kind) end
  local value = M.read(x)
  local function converted(v, what)
    if core.is_tensor(v) then return kind and v:to(kind) or v end
    err.raise { code = "EVALUE", file = x, message = what .. " holds text, numbers are expected" }
  end
  if core.is_tensor(value) or value[1] then return converted(value, "the array") end
  if name then
    if value[name] == nil then
      err.raise { code = "EVALUE", file = x,
        message = ("there is no array '%s'%s"):format(name, options.suggestion(name, label.sorted_keys(value))) }
    end
    return converted(value[name], ("array '%s'"):format(name))
  end
  for key, v in pairs(value) do
    if core.is_tensor(v) then value[key] = converted(v) end
  end
  return value
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
