--- Observables: the latent coordinates in which operators act, fixed before training.
--
-- A state is what the cell differs from the control mean of its own context, seen along orthonormal directions: the
-- leading principal directions of the training responses and, if asked for, those of the gene embedding (a direction
-- of which is a smooth pattern over the network). The constant observable 1 is the affine part of every operator.
local core = require "dynamo.core"

local M = {}

-- Sign rule: the largest |component| of each row is positive, so that equal data give equal directions.
local function fixed_signs(D)
  local at, flip = D:abs():argmax(2), {}
  for i = 1, D:size(1) do flip[i] = { D:get(i, at:get(i)) < 0 and -1 or 1 } end
  return D * core.tensor(flip, "double")
end

--- The k leading principal directions of the rows of Y (n, G), not centred: D (k, G) with orthonormal rows, and the
--- root mean square of Y along each, (k). Fewer than k if the rank is lower. O(min(n, G)^2 max(n, G)).
---@param Y userdata  Tensor double
---@param k integer
---@return userdata D, userdata rms
function M.principal(Y, k)
  local n, G = Y:size(1), Y:size(2)
  local wide = n <= G
  local w, V = core.eigh(wide and Y:matmul(Y:t()) or Y:t():matmul(Y)) -- ascending
  local m, order, top = w:size(1), {}, w:count() > 0 and w:get(w:size(1)) or 0
  for i = 1, math.min(k, m) do
    if w:get(m + 1 - i) > top * 1e-12 then order[#order + 1] = m + 1 - i end
  end
  if #order == 0 then return core.zeros(0, G, "double"), core.zeros(0, "double") end
  local s, U = w:index(1, order), V:index(2, order)
  local D = U:t()
  if wide then D = D:matmul(Y) / s:sqrt():reshape(#order, 1) end
  return fixed_signs(D:clone()), (s / n):sqrt()
end

--- The directions D (k, G) followed by the `extra` leading directions of the embedding over the measured genes that D
--- does not span. Genes without a vector count as the mean vector.
---@param D userdata
---@param genes string[]
---@param embedding table
---@param extra integer
---@return userdata
function M.with_embedding(D, genes, embedding, extra)
  local unit, found, at = embedding:normalised(), {}, {}
  for i, g in ipairs(genes) do
    if unit:has(g) then found[#found + 1], at[#at + 1] = g, i end
  end
  if #found < 2 or extra == 0 then return D end
  local F = unit:rows(found):to "double"
  F = F - F:mean(1)
  local one = {}
  for i = 1, #found do one[i] = i end
  local E = core.sparse(#genes, #found, at, one):matmul(F):t() -- (q, G)
  if D:size(1) > 0 then E = E - E:matmul(D:t()):matmul(D) end
  local more = M.principal(E:clone(), extra)
  return more:size(1) > 0 and core.cat({ D, more }, 1) or D
end

return M
