--- The C library, libdynamo.so, called from LuaJIT through its FFI: no C of one's own, no Lua in between.
--
--     local lib = require("dynamo.library").open()
--     local a = lib.tensor_random("normal", 1, "double", 2, { 3, 3 })
--     local w = lib.eigh(lib.matmul(a, lib.tensor_swap(a, 0, 1)))
--     local x = w:array()                        -- x[1] .. x[x.n]: compiled, checked, no copy
--
-- Functions are those of src/abi/abi.h without their prefix and without the arguments that are results: those come back,
-- `dyn_err` becomes an error, tables become C arrays. Indices and dimensions count from 0, as in C.
--
-- Lifetime: a handle frees itself when it is collected, or with :close(); a closed one, or anything that is no handle, is
-- an error. What :array() gives has a reference of its own to the numbers, so it stays good after both.
local core = require "dynamo.core"
local err = require "dynamo.error"
local F = require "dynamo.ffi"

local M = {}

local ffi = F.available() and require "ffi" or nil
local classes, opened = {}, {}

local function fail(fmt, ...) err.raise { code = "EVALUE", message = "dynamo.library: " .. fmt:format(...) } end

-- ---- what abi.h says ------------------------------------------------------------------------------

-- "const ptrdiff_t *size" as its type and name.
local function parameter(text)
  local kind, name = text:gsub("%s+", " "):match "^%s*(.-)%s*([%w_]+)%s*$"
  return { kind = kind, name = name, class = kind:match "dynamo_(%l+)",
    result = not kind:match "const" and (kind:match "^dynamo_%l+ %*%*$" or kind == "double *" or kind == "int *") and true,
    list = kind:match "%*const %*$" ~= nil, array = kind:match "^const (%l[%w_]*) %*$" }
end

-- name -> { result type, parameters } of every function.
local function declarations(text)
  local out = {}
  for kind, name, args in text:gmatch "([%w_ ]+[ %*]+)dynamo_([%w_]+)(%b());" do
    local params = {}
    for p in args:sub(2, -2):gmatch "[^,]+" do params[#params + 1] = parameter(p) end
    out[name] = { kind = kind:gsub("%s+$", ""), params = params }
  end
  return out
end

local function status_names(text)
  local out = {}
  for name, value in text:gmatch "DYN_(E%u+) = (%-%d+)" do out[tonumber(value)] = name end
  return out
end

-- ---- handles --------------------------------------------------------------------------------------

local methods = {}

--- Free what the handle holds, now; using it afterwards is an error. Twice is fine.
function methods.close(h)
  if h.p ~= nil then
    classes[h.lib][h.class].free(h.p)
    h.p = nil
  end
end

-- The pointer in a handle of that class, checked.
local function pointer(name, arg, class)
  local ok = type(arg) == "table" and getmetatable(arg) == M.handle
  if not ok or arg.class ~= class then
    fail("%s: a %s is expected, got %s", name, class, ok and "a " .. arg.class or type(arg))
  end
  if arg.p == nil then fail("%s: the %s was closed", name, class) end
  return arg.p
end

M.handle = { __index = methods }
function M.handle.__tostring(h)
  return ("%s handle%s"):format(h.class, h.p == nil and " (closed)" or "")
end

--- The numbers of a tensor, from 1, checked, without a copy: a[i] reads, a[i] = v writes, a.n is their count.
---@return any array
function methods.array(h)
  local p = pointer("array", h, "tensor")
  local lib = opened[h.lib]
  local kind = ffi.string(lib.C.dynamo_tensor_type(p))
  local own = lib.tensor_share(h) -- a reference of the array's own
  local data = kind == "float" and lib.C.dynamo_tensor_floats(own.p) or lib.C.dynamo_tensor_doubles(own.p)
  return F.checked(kind, data, lib.C.dynamo_tensor_count(own.p), own)
end

--- A tensor of this interpreter with the same numbers, copied.
---@return userdata tensor
function methods.tensor(h)
  local lib, size = opened[h.lib], {}
  local p = pointer("tensor", h, "tensor")
  local kind = ffi.string(lib.C.dynamo_tensor_type(p))
  for d = 1, lib.C.dynamo_tensor_ndim(p) do size[d] = tonumber(lib.C.dynamo_tensor_size(p, d - 1)) end
  size[#size + 1] = kind
  local t = core.zeros(unpack(size))
  if t:count() > 0 then
    local data = kind == "float" and lib.C.dynamo_tensor_floats(p) or lib.C.dynamo_tensor_doubles(p)
    ffi.copy((F.pointer(t)), data, t:count() * (kind == "float" and 4 or 8))
  end
  return t
end

local function wrapped(path, class, p)
  local h = setmetatable({ lib = path, class = class, p = p }, M.handle)
  ffi.gc(p, classes[path][class].finalize)
  return h
end

-- ---- calls ----------------------------------------------------------------------------------------

local function c_array(kind, list, convert)
  local a, keep = ffi.new(kind .. "[?]", math.max(#list, 1)), {}
  for i, v in ipairs(list) do
    keep[i] = convert and convert(v) or v
    a[i - 1] = keep[i]
  end
  return a, keep
end

-- A Lua value as the C argument p; what must stay alive is put in 'keep'.
local function argument(name, p, v, keep)
  if p.class and p.list then
    if type(v) ~= "table" then fail("%s: a list of %ss is expected, got %s", name, p.class, type(v)) end
    keep[#keep + 1] = v
    return (c_array("const dynamo_" .. p.class .. " *", v, function(h) return pointer(name, h, p.class) end))
  elseif p.class then
    if v == nil and p.name == "b" then return nil end -- the one that may be absent
    return pointer(name, v, p.class)
  elseif type(v) == "table" and (p.list or p.array) then
    keep[#keep + 1] = v
    return (c_array(p.list and "const char *" or p.array, v))
  end
  return v
end

local function raise(lib, status, e)
  err.raise { code = lib.status[status] or "EVALUE", message = ffi.string(e.msg) }
end

-- The results of a call: handles for new objects, numbers for the rest.
local function results(path, out)
  local list = {}
  for i, o in ipairs(out) do
    if o.class then list[i] = wrapped(path, o.class, o.cell[0]) else list[i] = tonumber(o.cell[0]) end
  end
  return unpack(list, 1, #out)
end

local function checked_call(lib, path, name, d)
  local f = lib.C["dynamo_" .. name]
  return function(...)
    local given, at, args, out, keep = { ... }, 0, {}, {}, {}
    local e = ffi.new "dyn_err"
    for i, p in ipairs(d.params) do
      if p.kind == "dyn_err *" then
        args[i] = e
      elseif p.result then
        local cell = ffi.new(p.kind:gsub("%*$", "") .. "[1]")
        out[#out + 1] = { class = p.class, cell = cell }
        args[i] = cell
      else
        at = at + 1
        args[i] = argument(name, p, given[at], keep)
      end
    end
    local value = f(unpack(args, 1, #d.params))
    if d.kind ~= "dyn_status" then return value end
    if tonumber(value) ~= 0 then raise(lib, tonumber(value), e) end
    return results(path, out)
  end
end

-- ---- opening --------------------------------------------------------------------------------------

local declared

-- Where the library may be: beside the module that is loaded, built or installed; then where the system looks.
local function candidates(path)
  if path then return { path } end
  local list = { os.getenv "DYNAMO_LIBRARY" }
  local module = package.searchpath and package.searchpath("dynamo.core", package.cpath)
  local folder = module and (module:match "^(.*)/[^/]*/[^/]*/[^/]*$" or ".")
  if folder then
    list[#list + 1] = folder .. "/libdynamo.so"
    list[#list + 1] = folder .. "/../libdynamo.so.0"
    list[#list + 1] = folder .. "/../../libdynamo.so.0"
  end
  list[#list + 1] = "libdynamo.so.0"
  return list
end

local function load(path)
  local first
  for _, p in ipairs(candidates(path)) do
    local ok, lib = pcall(ffi.load, p)
    if ok then return lib, p end
    first = first or lib
  end
  err.raise { code = "EIO", message = "dynamo.library: libdynamo.so is not found: " .. tostring(first),
    hint = "give its path, or set DYNAMO_LIBRARY" }
end

local function check_version(C, path)
  local version = ffi.string(C.dyn_version())
  if version ~= core.version then
    err.raise { code = "EVALUE", file = path, message = ("is version %s, the modules are %s"):format(version, core.version) }
  end
end

--- The library: a table of its functions. Opened once per path.
--
-- Raises: not LuaJIT; EIO, there is no library; EVALUE, it has another version than the modules.
---@param path? string default: beside the module, built or installed, DYNAMO_LIBRARY, then where the system looks
---@return table lib
function M.open(path)
  if not ffi then fail("needs LuaJIT, this is %s", _VERSION) end
  local text = require "dynamo.ffi_cdef"
  if not declared then
    ffi.cdef(text)
    declared = declarations(text)
  end
  local C, where = load(path)
  if opened[where] then return opened[where] end
  check_version(C, where)
  local lib = { C = C, path = where, status = status_names(text) }
  opened[where], classes[where] = lib, {}
  for _, class in ipairs { "tensor", "tape", "graph", "operator" } do
    local finalize = C["dynamo_" .. class .. "_free"]
    classes[where][class] = { finalize = finalize, free = function(p)
      ffi.gc(p, nil)
      finalize(p)
    end }
  end
  for name, d in pairs(declared) do
    if not name:match "_free$" then lib[name] = checked_call(lib, where, name, d) end
  end
  return lib
end

--- A handle with the numbers of a tensor of this interpreter, copied.
---@param lib table what open gives
---@param t userdata tensor, dense
---@return any handle
function M.from(lib, t)
  local data = F.pointer(t)
  local size = { t:size() }
  return lib.tensor_new(t:type(), #size, size, data)
end

return M
