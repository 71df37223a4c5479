-- dump.lua OUT FILE ... -- everything our reader sees in each file, as OUT.1, OUT.2, ... in the model format
-- (which is HDF5, so that h5py can compare); a file that does not open gives { strings = { error = message } }.
local core = require "dynamo.core"

local function dense(m) return core.is_sparse(m) and m:dense() or m end

local function put_matrix(out, name, f, which)
  local m, info = f:matrix(which)
  out.tensors[name] = dense(m)
  out.strings[name .. "_is"] = core.is_sparse(m) and "sparse" or "dense"
  out.strings[name .. "_info"] = ("%d %s %s %.9g %.9g"):format(info.nonfinite, tostring(info.integers),
    tostring(info.negative), info.min, info.max)
end

local function put_axis(out, axis, f)
  out.lists[axis .. "/names"] = f:names(axis)
  for i, c in ipairs(f:columns(axis)) do
    local at = ("%s/%03d/"):format(axis, i)
    out.strings[at .. "name"], out.strings[at .. "kind"] = c.name, c.kind
    if c.kind == "text" then
      local v, text = f:column(axis, c.name), {}
      for k, code in ipairs(v.codes) do text[k] = code == 0 and "<missing>" or v.levels[code] end
      out.lists[at .. "text"], out.lists[at .. "levels"] = text, v.levels
    elseif c.kind ~= "other" then
      out.tensors[at .. "value"] = f:column(axis, c.name).values
    end
  end
end

local function dump(path)
  local out = { strings = {}, lists = {}, tensors = {} }
  local f = core.h5_open(path)
  out.strings.kind, out.strings.generation = f:kind(), f:generation()
  put_axis(out, "obs", f)
  put_axis(out, "var", f)
  local _, _, raw = f:size()
  put_matrix(out, "X", f)
  if raw then
    put_axis(out, "raw", f)
    put_matrix(out, "raw/X", f, "raw")
  end
  out.lists.layers = f:layers()
  for i, name in ipairs(f:layers()) do put_matrix(out, ("layer/%03d"):format(i), f, name) end
  out.lists.obsm = f:obsm()
  for i, name in ipairs(f:obsm()) do
    local ok = pcall(f.matrix, f, "obsm/" .. name)
    if ok then put_matrix(out, ("obsm_/%03d"):format(i), f, "obsm/" .. name) end
  end
  assert(#f:describe() > 0)
  f:close()
  return out
end

local args = arg or { ... }
for i = 2, #args do
  local ok, out = pcall(dump, args[i])
  if not ok then out = { strings = { error = tostring(out) } } end
  core.model_write(("%s.%d"):format(args[1], i - 1), out)
end
