--- The numbers of a tensor as LuaJIT's FFI sees them, without a copy: for element loops of one's own.
--
--     local a = dynamo.ffi.array(t)              -- LuaJIT only
--     for i = 1, a.n do a[i] = a[i] * 2 end      -- compiled; an index outside 1 .. a.n is an error
--
-- Lifetime: an array (and a pointer) holds a reference to the numbers, not to the tensor. As long as it can be reached
-- they stay, even after t:close(). A pointer made from a pointer (p + 1, ffi.cast) holds nothing: keep the first one.
-- Who writes to a tensor that is on a tape calls `touch`, so that backward refuses it.
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}

local ffi = type(jit) == "table" and require "ffi" or nil -- plain Lua 5.4 has none
local types = {}

if ffi then
  -- the beginning of dyn_tensor (src/core/tensor.h)
  ffi.cdef [[
    typedef struct dynamo_ffi_tensor { void *st; void *data; int type; int ndim; ptrdiff_t size[6]; } dynamo_ffi_tensor;
    typedef struct dynamo_ffi_float { float *const p; const ptrdiff_t n; } dynamo_ffi_float;
    typedef struct dynamo_ffi_double { double *const p; const ptrdiff_t n; } dynamo_ffi_double;
  ]]
  for _, kind in ipairs { "float", "double" } do
    local function outside(a, i) return error(("index %s outside 1..%d"):format(tostring(i), tonumber(a.n)), 3) end
    types[kind] = ffi.metatype("dynamo_ffi_" .. kind, {
      __index = function(a, i)
        if type(i) ~= "number" or not (i >= 1 and i <= a.n) then return outside(a, i) end
        return a.p[i - 1]
      end,
      __newindex = function(a, i, v)
        if type(i) ~= "number" or not (i >= 1 and i <= a.n) then return outside(a, i) end
        a.p[i - 1] = v
      end,
      __len = function(a) return tonumber(a.n) end,
    })
  end
end

--- Whether this interpreter has the FFI.
---@return boolean
function M.available() return ffi ~= nil end

-- The address of the first element, of a tensor that is open and dense; and a tensor of its own with the same numbers.
local function open(t)
  if not ffi then err.raise { code = "EVALUE", message = "dynamo.ffi: needs LuaJIT, this is " .. _VERSION } end
  if not core.is_tensor(t) then
    err.raise { code = "EVALUE", message = "dynamo.ffi: a tensor is expected, got " .. type(t) }
  end
  local n = t:count() -- raises if it was closed
  local dense, at = true, 1
  local view = ffi.cast("dynamo_ffi_tensor *", t)
  local stride = ffi.cast("ptrdiff_t *", view.size) + 6
  for d = view.ndim - 1, 0, -1 do
    dense = dense and (view.size[d] <= 1 or stride[d] == at)
    at = at * tonumber(view.size[d])
  end
  if not dense then
    err.raise { code = "EVALUE", message = "dynamo.ffi: the tensor is a strided view; clone it first" }
  end
  local keep = t:reshape(n) -- shares the numbers
  return view.data, keep, n
end

-- cdata that keeps 'keep' reachable as long as it is reachable itself
local function anchored(cdata, keep)
  return ffi.gc(cdata, function() keep = nil end)
end

--- n numbers at `data`, of "float" or "double", as array gives them; `keep` stays reachable as long as they are.
---@param kind string
---@param data any pointer
---@param n integer
---@param keep any
---@return any array
function M.checked(kind, data, n, keep) return anchored(types[kind](data, n), keep) end

--- The elements of a dense tensor in row-major order, from 1, checked: a[i] reads, a[i] = v writes, a.n is their number.
--
-- Raises: not LuaJIT, a closed tensor, a strided view.
---@param t userdata tensor
---@return any array
function M.array(t)
  local data, keep, n = open(t)
  return anchored(types[t:type()](ffi.cast(t:type() .. " *", data), n), keep)
end

--- The same as a plain `float *` or `double *`, from 0, without a check: for other C libraries.
---@param t userdata tensor
---@return any pointer
---@return integer n
function M.pointer(t)
  local data, keep, n = open(t)
  return anchored(ffi.cast(t:type() .. " *", data), keep), n
end

--- Say that the numbers of t were changed through an array or pointer: a tape that has t refuses to go on.
---@param t userdata tensor
---@return userdata t
function M.touch(t)
  if t:count() == 0 then return t end
  local first = {}
  for d = 1, select("#", t:size()) do first[d] = 1 end
  local unpack = table.unpack or unpack
  return t:set(t:get(unpack(first)), unpack(first))
end

return M
