--- Direct effects: what a perturbation does to its own gene and to the genes that the network says it regulates.
--
--     delta_j = (kappa c_j + alpha) [j = p]  +  rho s_pj c_j
--
-- c is the control mean of the context (log1p units), s_pj the sign of the edge p -> j. Three numbers per model, by
-- least squares on what the mean response leaves of the training singles: a knock-down has kappa near -1, an activation
-- alpha > 0, and rho says how far the network's signs hold. They are rank-one operators on single observables x_j.
local core = require "dynamo.core"
local responses = require "dynamo.responses"

local M = {}

--- Signed edges out of a set of genes onto the measured ones: Sparse (#names, G) of -1 and 1; nil without a graph.
---@param graph userdata?
---@param names string[]
---@param genes string[]
function M.regulon(graph, names, genes)
  if not graph or not graph:signed() then return nil end
  local at, row, col, val = responses.places(genes), {}, {}, {}
  for i, name in ipairs(names) do
    if graph:find(name) then
      local to, weight = graph:neighbours(name, "out")
      for k, g in ipairs(to) do
        if at[g] and g ~= name and weight[k] ~= 0 then
          row[#row + 1], col[#col + 1], val[#val + 1] = i, at[g], weight[k] > 0 and 1 or -1
        end
      end
    end
  end
  return core.sparse(#names, #genes, row, col, val)
end

-- One pattern per kind of effect for the genes `names`, each Tensor double (#names, G) or nil.
local function patterns(names, genes, control, regulon)
  local at, row, col = responses.places(genes), {}, {}
  for i, name in ipairs(names) do
    if at[name] then row[#row + 1], col[#col + 1] = i, at[name] end
  end
  local own = core.sparse(#names, #genes, row, col):dense "double"
  local out = { own * control, own }
  if regulon then out[3] = regulon:dense "double" * control end
  return out
end

--- The coefficients { kappa, alpha, rho } that fit `residual` (n, G), responses to the single genes `names`.
---@param names string[]
---@param genes string[]
---@param residual userdata
---@param control userdata  (G)
---@param regulon userdata?
---@return number[]
function M.fit(names, genes, residual, control, regulon)
  local p = patterns(names, genes, control, regulon)
  local k, A, b = #p, {}, {}
  for i = 1, k do
    A[i], b[i] = {}, { (p[i] * residual):sum():item() }
    for j = 1, k do A[i][j] = (p[i] * p[j]):sum():item() end
  end
  for i = 1, k do A[i][i] = A[i][i] * 1.0001 + 1e-9 end
  local x = core.solve(core.tensor(A, "double"), core.tensor(b, "double"))
  local out = {}
  for i = 1, k do out[i] = x:get(i, 1) end
  return out
end

--- The direct effects of the genes `names`: Tensor double (#names, G).
function M.effect(coefficients, names, genes, control, regulon)
  local p, sum = patterns(names, genes, control, regulon), nil
  for i, pattern in ipairs(p) do
    local part = pattern * (coefficients[i] or 0)
    sum = sum and sum + part or part
  end
  return sum
end

return M
