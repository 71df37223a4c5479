--- Gradients of Lua functions: `grad(f)` of a function of a table of tensors.
--
--     local grad = require "dynamo.grad"
--     local f = function(p, x) return (p.w * x):sum() end
--     local loss, g = grad.value_and_grad(f)({ w = core.tensor { 1, 2 } }, core.tensor { 3, 4 })
--     -- loss is 11, g.w is {3, 4}
local core = require "dynamo.core"
local err = require "dynamo.error"

local M = {}

--- Keys of `t` in a fixed order: numbers, then strings. `pairs` has another order in every run.
local function keys(t)
  local ks = {}
  for k in pairs(t) do ks[#ks + 1] = k end
  table.sort(ks, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return ks
end

--- The same tree with f(leaf) in the place of each leaf.
local function map(tree, f, path)
  path = path or "parameters"
  if type(tree) ~= "table" then
    if not (core.is_tensor(tree) or core.is_var(tree) or type(tree) == "number") then
      err.raise { code = "EVALUE", message = ("grad: %s is a %s, a tensor, a number or a table of them is expected")
        :format(path, type(tree)) }
    end
    return f(tree, path)
  end
  local r = {}
  for _, k in ipairs(keys(tree)) do r[k] = map(tree[k], f, path .. "." .. tostring(k)) end
  return r
end

local function check_scalar(y)
  if not core.is_var(y) then
    err.raise { code = "EVALUE", message = "grad: the function gave a " .. type(y) .. ", a variable is expected" }
  end
  return y
end

--- Turn `f(params, ...)` into a function that gives the value and the gradient.
--
-- `params` is a tensor, or a table (nested, if you like) of tensors; the gradient has the same form, with zeros where
-- nothing flowed. `f` gets variables in their place and must return a scalar variable; further arguments pass
-- unchanged. The tape is closed before the call returns. Cost: a small multiple of `f`.
-- Raises what `f` raises; "backward: ... is not a scalar" if its result is none.
---@param f fun(params: any, ...): dynamo.Var
---@return fun(params: any, ...): number, any
function M.value_and_grad(f)
  return function(params, ...)
    local tape = core.tape()
    local vars = map(params, function(x) return tape:leaf(x, true) end)
    local ok, y = pcall(function(...)
      local r = check_scalar(f(vars, ...))
      r:backward()
      return r
    end, ...)
    if not ok then
      tape:close()
      error(y, 0)
    end
    local value = y:item()
    local gradient = map(vars, function(v) return v:grad() or v:value() * 0 end)
    tape:close()
    return value, gradient
  end
end

--- Turn `f(params, ...)` into a function that gives its gradient; see `value_and_grad`.
---@param f fun(params: any, ...): dynamo.Var
---@return fun(params: any, ...): any
function M.grad(f)
  local both = M.value_and_grad(f)
  return function(...)
    local _, g = both(...)
    return g
  end
end

local function value(f, params, ...)
  local tape = core.tape()
  local ok, y = pcall(function(...)
    return check_scalar(f(map(params, function(x) return tape:leaf(x) end), ...)):item()
  end, ...)
  tape:close()
  if not ok then error(y, 0) end
  return y
end

-- Largest relative difference in one tensor.
local function worst_of(x, g, h, evaluate)
  local flat, gradient, worst = x:reshape(-1), g:reshape(-1), 0
  for i = 1, flat:count() do
    local keep = flat:get(i)
    flat:set(keep + h, i)
    local above = evaluate()
    flat:set(keep - h, i)
    local below = evaluate()
    flat:set(keep, i)
    local d = gradient:get(i)
    local e = math.abs((above - below) / (2 * h) - d) / (1 + math.abs(d))
    if not (e <= worst) then worst = e end
  end
  return worst
end

--- Compare the gradient of `f(params, ...)` with central differences, in double.
--
-- Gives the largest difference, relative above 1; below 1e-6 is good. Cost: two evaluations per number in `params`.
---@param f fun(params: any, ...): dynamo.Var
---@param params any tensor or (nested) table of tensors
---@param opts? { step?: number } step of the differences, 1e-6
---@return number worst
function M.gradcheck(f, params, opts, ...)
  local args = { n = select("#", ...), ... }
  local unpack = table.unpack or unpack
  local h = opts and opts.step or 1e-6
  local copy = map(params, function(x)
    if type(x) == "number" then return core.tensor(x, "double") end
    return x:to "double":clone()
  end)
  local gradient = M.grad(f)(copy, unpack(args, 1, args.n))
  local worst = 0
  local function walk(x, g)
    if type(x) == "table" then
      for _, k in ipairs(keys(x)) do walk(x[k], g[k]) end
      return
    end
    local e = worst_of(x, g, h, function() return value(f, copy, unpack(args, 1, args.n)) end)
    if not (e <= worst) then worst = e end
  end
  walk(copy, gradient)
  return worst
end

return M
