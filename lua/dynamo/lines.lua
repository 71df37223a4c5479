--- Baselines over several cell lines: what the other lines' responses to the same perturbation are worth.
--
-- A line is a context. All of them use the training rows alone (unlike `baseline.copy`).
local core = require "dynamo.core"
local predictor = require "dynamo.predictor"
local responses = require "dynamo.responses"

local M = { schema = {} }

-- Training rows by perturbation: rows["A"] = { 3, 17 }.
local function by_perturbation(env)
  local rows = {}
  for _, i in ipairs(env.train) do
    local p = env.responses.rows[i].perturbation
    rows[p] = rows[p] or {}
    table.insert(rows[p], i)
  end
  return rows
end

-- Mean of the rows of a list over observed entries, weighted by cells if wanted.
local function mean_of(R, list, by_cells)
  local weight
  if by_cells then
    local n = {}
    for k, i in ipairs(list) do n[k] = R.rows[i].n_cells or 1 end
    weight = core.tensor(n, "double")
  end
  return predictor.base_of(R, responses.pick(R.delta, list), R.mask and responses.pick(R.mask, list), weight)
end

-- Mean over the lines of their training means: each line counts once.
local function mean_of_lines(env)
  local R, lists, sum, n = env.responses, {}, nil, 0
  for _, i in ipairs(env.train) do
    local c = R.rows[i].context
    lists[c] = lists[c] or {}
    table.insert(lists[c], i)
  end
  for _, c in ipairs(R.contexts) do
    if lists[c] then
      local m = mean_of(R, lists[c])
      sum, n = sum and sum + m or m, n + 1
    end
  end
  return n > 0 and sum / n or predictor.base_of(R, responses.pick(R.delta, {}))
end

-- Whether a perturbation was seen, by the rows of its name in any order of genes.
local function seen(rows, r)
  if rows[r.perturbation] then return rows[r.perturbation] end
  local parts = {}
  for k, g in ipairs(r.targets) do parts[k] = g end
  table.sort(parts)
  return rows[table.concat(parts, "+")]
end

M.schema.general = {}

--- TxPert's general baseline: the perturbation's own response averaged over the training lines, weighted by cells, if
--- any line has it; else the mean over lines of their mean responses. A combination that was not seen is the sum over
--- its genes.
---@return table recipe
function M.general(opts)
  return predictor.new("baseline", "general", opts, M.schema.general, function(_, env)
    local R, rows = env.responses, by_perturbation(env)
    local base = mean_of_lines(env)
    local function single(genes)
      local blocks, flags = {}, {}
      for k, g in ipairs(genes) do
        blocks[k] = (rows[g] and mean_of(R, rows[g], true) or base):reshape(1, #R.genes)
        flags[k] = rows[g] and "seen" or "mean"
      end
      return core.cat(blocks, 1), flags
    end
    return function(_, list)
      local d, flags = predictor.from_genes(list, single)
      for i, r in ipairs(list) do
        local own = seen(rows, r)
        if own and #r.targets > 1 then
          d:select(1, i):copy_(mean_of(R, own, true))
          flags[i] = "seen"
        end
      end
      return d, flags
    end
  end)
end

M.schema.perturb_mean = {}

--- State's perturbation mean: the perturbation's response averaged over cell lines, each line counting once; 0 (flag
--- "mean") if no line has it.
---@return table recipe
function M.perturb_mean(opts)
  return predictor.new("baseline", "perturb_mean", opts, M.schema.perturb_mean, function(_, env)
    local R, rows = env.responses, by_perturbation(env)
    return function(_, list)
      local d, flags = core.zeros(#list, #R.genes, "double"), {}
      for i, r in ipairs(list) do
        local own = seen(rows, r)
        flags[i] = own and "seen" or "mean"
        if own then d:select(1, i):copy_(mean_of(R, own)) end
      end
      return d, flags
    end
  end)
end

return M
