--- Node2vec's walk as its paper defines it (Grover and Leskovec 2016, section 3.2.2): slow and obvious.
local M = {}

--- Weights from a list of edges { a, b, w }: w[a][b], both ways.
function M.weights(edges)
  local w = {}
  for _, e in ipairs(edges) do
    for way = 1, 2 do
      local a, b = e[way], e[3 - way]
      w[a] = w[a] or {}
      w[a][b] = e[3] or 1
    end
  end
  return w
end

--- The probability of every x after the step t -> v (after v alone where t is nil): pi_vx = alpha_pq(t, x) w_vx, with
--- alpha 1/p for x = t, 1 for x joined to t, 1/q otherwise.
function M.transition(w, t, v, p, q)
  local share, sum = {}, 0
  for x, weight in pairs(w[v]) do
    local alpha = t == nil and 1 or x == t and 1 / p or w[t][x] and 1 or 1 / q
    share[x] = alpha * weight
    sum = sum + share[x]
  end
  for x in pairs(share) do share[x] = share[x] / sum end
  return share
end

--- Chi-square of counts n[t][v][x] against these probabilities, and its degrees of freedom. Pairs seen less than 100
--- times, and cells expected less than 5 times, do not count.
function M.chi_square(n, w, p, q)
  local chi, freedom = 0, 0
  for t, row in pairs(n) do
    for v, seen in pairs(row) do
      local total, cells = 0, 0
      for _, k in pairs(seen) do total = total + k end
      for x, share in pairs(total >= 100 and M.transition(w, t, v, p, q) or {}) do
        if share * total >= 5 then
          chi, cells = chi + ((seen[x] or 0) - share * total) ^ 2 / (share * total), cells + 1
        end
      end
      freedom = freedom + math.max(0, cells - 1)
    end
  end
  return chi, freedom
end

return M
