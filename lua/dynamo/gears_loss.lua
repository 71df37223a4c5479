--- The loss of GEARS and which entries of a batch count in it.
local core = require "dynamo.core"

local M = {}

-- A row of 0 and 1 repeated with a weight, or all ones.
local function filled(mask, G, w) return mask and mask * w or core.full(w, G) end

--- The weight of every entry of a batch (B, G), float: the mean over cells and counted genes of each perturbation, and
--- over the distinct perturbations.
---@param names string[]  perturbation of each cell; "" for controls
---@param masks table<string, userdata>  per perturbation 1 where a gene counts (G), float; none: all count
---@param G integer
---@return userdata
function M.weights(names, masks, G)
  local count, groups = {}, 0
  for _, name in ipairs(names) do
    if not count[name] then groups = groups + 1 end
    count[name] = (count[name] or 0) + 1
  end
  local rows, known = {}, {}
  for b, name in ipairs(names) do
    if not known[name] then
      local mask = masks[name]
      local genes = mask and mask:sum():item() or G
      known[name] = filled(mask, G, genes > 0 and 1 / (count[name] * genes * groups) or 0):reshape(1, G)
    end
    rows[b] = known[name]
  end
  return core.cat(rows, 1)
end

-- The weighted mean of e, (B, G).
local function mean(e, weight) return (e * weight):sum() end

-- (step(y - c) - step(p - c))^2, of numbers or on the tape.
local function direction(change, y, control, smooth)
  if smooth then
    return (((y - control) * 10):tanh() - ((change - control) * 10):tanh()):square()
  end
  return ((y - control):sign() - (change:value() - control):sign()):square()
end

--- The loss: |error|^exponent + direction * (sign(y - c) - sign(pred - c))^2, weighted; with log variances the error counts
--- once more, times reg exp(-logvar) (there is no + logvar: that is GEARS').
---
--- With "sign" the second term has no gradient, as published; "tanh" is the smooth one, "off" leaves it out.
---@param pred dynamo.Var (B, G)
---@param y userdata target cells (B, G)
---@param weight userdata of M.weights
---@param control userdata mean control (G)
---@param o table  { exponent = 4 | 2, direction = "sign" | "tanh" | "off", lambda = 0.1, reg = 1, logvar = dynamo.Var }
---@return dynamo.Var
function M.loss(pred, y, weight, control, o)
  local e = (pred - y):square()
  if o.exponent == 4 then e = e:square() end
  if o.logvar then e = e + e * (o.logvar * -1):exp() * o.reg end
  local loss = mean(e, weight)
  if o.direction == "off" then return loss end
  local d = direction(pred, y, control, o.direction == "tanh")
  return loss + mean(d, weight) * o.lambda
end

return M
