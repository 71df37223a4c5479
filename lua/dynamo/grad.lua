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

-- Rules of custom operations of the passes that are running, innermost last.
local running = {}

-- f(...) with rules for what `op` and `checkpoint` put on the tape; the tape is closed if it raises.
local function record(tape, f, ...)
  local rules = {}
  running[#running + 1] = rules
  local ok, y = pcall(f, ...)
  running[#running] = nil
  if ok then return y, rules end
  tape:close()
  error(y, 0)
end

local function finish(tape, y, ...)
  local ok, message = pcall(y.backward, y, ...)
  if ok then return end
  tape:close()
  error(message, 0)
end

local function gradients(vars)
  return map(vars, function(v) return v:grad() or v:value() * 0 end)
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
    local y, rules = record(tape, function(...) return check_scalar(f(vars, ...)) end, ...)
    finish(tape, y, rules)
    local value, gradient = y:item(), gradients(vars)
    tape:close()
    return value, gradient
  end
end

--- The product of a vector with the Jacobian: value of `f(params, ...)`, of any shape, and the gradient of the sum of its
-- elements times those of `seed`. One backward pass.
---@param f fun(params: any, ...): dynamo.Var
---@param params any tensor or table of tensors
---@param seed userdata tensor of the shape of the value
---@return userdata value
---@return any product of the form of `params`
function M.vjp(f, params, seed, ...)
  local tape = core.tape()
  local vars = map(params, function(x) return tape:leaf(x, true) end)
  local y, rules = record(tape, function(...) return check_scalar(f(vars, ...)) end, ...)
  finish(tape, y, rules, seed)
  local value, product = y:value():clone(), gradients(vars)
  tape:close()
  return value, product
end

local function dot(a, b)
  if type(a) ~= "table" then return (a * b):sum():item() end
  local sum = 0
  for _, k in ipairs(keys(a)) do sum = sum + dot(a[k], b[k]) end
  return sum
end

--- The product of the Jacobian with a vector: value of `f(params, ...)`, and how fast each of its elements changes where
-- `params` moves along `direction`.
--
-- One forward pass, and one backward pass per element of the value: for functions with few results.
---@param f fun(params: any, ...): dynamo.Var
---@param params any tensor or table of tensors
---@param direction any tensors of the form of `params`
---@return userdata value
---@return userdata product of the shape of the value
function M.jvp(f, params, direction, ...)
  local tape = core.tape()
  local vars = map(params, function(x) return tape:leaf(x, true) end)
  local y, rules = record(tape, function(...) return check_scalar(f(vars, ...)) end, ...)
  local value = y:value():clone()
  local out, seed = value * 0, value * 0
  local flat, unit = out:reshape(-1), seed:reshape(-1)
  for i = 1, flat:count() do
    unit:fill_(0)
    unit:set(1, i)
    finish(tape, y, rules, seed)
    flat:set(dot(gradients(vars), direction), i)
  end
  tape:close()
  return value, out
end

-- Inputs of a custom operation as tensors.
local function plain(list)
  local out = { n = list.n }
  for i = 1, list.n do out[i] = core.is_var(list[i]) and list[i]:value() or list[i] end
  return out
end

local function put(name, value, inputs, rule)
  local rules = running[#running]
  if not rules then
    err.raise { code = "EVALUE", message = name .. ": works in a function given to grad, value_and_grad, vjp or jvp" }
  end
  local v, operands = nil, {}
  for i = 1, inputs.n do
    v = v or core.is_var(inputs[i]) and inputs[i] or nil
    operands[i] = inputs[i]
  end
  local result, entry = v:custom(value, operands)
  rules[entry] = rule
  return result
end

local function any_variable(inputs)
  for i = 1, inputs.n do
    if core.is_var(inputs[i]) then return true end
  end
  return false
end

--- An operation of your own, with its derivative.
--
--     local cube = grad.op { name = "cube",
--       forward = function(x) return x * x * x end,
--       backward = function(g, y, x) return g * x * x * 3 end }
--     grad.grad(function(p) return cube(p):sum() end)(x)
--
-- `forward` gets tensors and gives one; `backward` gets the gradient of the result, the result, and the operands, all
-- tensors, and gives one gradient per operand, of its shape (nil: none). Called with tensors alone it is `forward`.
-- Try it with gradcheck. Raises: the gradient does not fit its operand.
---@param rule table name, forward, backward
---@return fun(...): any
function M.op(rule)
  local unpack = table.unpack or unpack
  if type(rule) ~= "table" or type(rule.forward) ~= "function" or type(rule.backward) ~= "function" then
    err.raise { code = "EVALUE", message = "grad.op: a table with functions 'forward' and 'backward' is expected" }
  end
  return function(...)
    local inputs = { n = select("#", ...), ... }
    local x = plain(inputs)
    local y = rule.forward(unpack(x, 1, x.n))
    if not core.is_tensor(y) then
      err.raise { code = "EVALUE", message = ("%s: forward gave a %s, a tensor is expected")
        :format(rule.name or "grad.op", type(y)) }
    end
    if not any_variable(inputs) then return y end
    return put(rule.name or "grad.op", y, inputs, function(g) return rule.backward(g, y, unpack(x, 1, x.n)) end)
  end
end

--- f(...) without keeping what it computes on the way: it is computed again in the backward pass. Memory of the segment
-- is that of its operands and result; time is one more forward pass (Chen et al., arXiv 1604.06174).
--
-- f gets variables and gives one, and uses no variable but its arguments. It must do the same both times: dropout with
-- the same seed.
---@param f fun(...): dynamo.Var
---@param ... any variables, tensors and numbers
---@return dynamo.Var
function M.checkpoint(f, ...)
  local unpack = table.unpack or unpack
  local inputs = { n = select("#", ...), ... }
  local x = plain(inputs)
  local function again(need)
    local tape, leaves = core.tape(), { n = x.n }
    for i = 1, x.n do leaves[i] = core.is_tensor(x[i]) and tape:leaf(x[i], need and core.is_var(inputs[i])) or x[i] end
    local y, rules = record(tape, function() return check_scalar(f(unpack(leaves, 1, x.n))) end)
    return tape, leaves, y, rules
  end
  local tape, _, y = again(false)
  local value = y:value()
  tape:close()
  return put("checkpoint", value, inputs, function(g)
    local inner, leaves, result, rules = again(true)
    finish(inner, result, rules, g)
    local out = {}
    for i = 1, x.n do out[i] = core.is_var(leaves[i]) and leaves[i]:grad() or nil end
    inner:close()
    return unpack(out, 1, x.n)
  end)
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
  local y = record(tape, function(...)
    return check_scalar(f(map(params, function(x) return tape:leaf(x) end), ...)):item()
  end, ...)
  tape:close()
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
