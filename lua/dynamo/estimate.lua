--- How long an experiment will take and how much memory: short fits of its own rows on its own data, then arithmetic.
local core = require "dynamo.core"
local cost = require "dynamo.cost"
local embed = require "dynamo.embed"
local evaluate = require "dynamo.evaluate"
local recipe = require "dynamo.recipe"
local runner = require "dynamo.runner"

local M = {}

-- Vectors of the right width for all genes: what is slow to make is not made.
local function stand_in(job, dim)
  return embed.random(job.R:targets(), { dim = dim })
end

local function dim_of(e)
  if not e then return 16 end
  return e.build and e.options.dim or e.values and e:dim() or 64
end

local function clock(f, ...)
  local started = core.time()
  f(...)
  return core.time() - started
end

-- Seconds of one fit of a row with some options changed.
local function fit(job, r, changes)
  local copy = { recipe = next(changes) and recipe.with(r.recipe, changes) or r.recipe, e = stand_in(job, dim_of(r.e)),
    native = r.native }
  return clock(runner.try, job, copy, 1)
end

-- Seconds of a model by one and by three epochs of one member: what is there anyway and what each epoch adds.
local function model_seconds(job, r)
  local o, schema = r.recipe.options, recipe.schema(r.recipe)
  local few = { epochs = 1 }
  if schema.members then few.members = 1 end
  local one = fit(job, r, few)
  few.epochs = math.min(3, o.epochs)
  local more = few.epochs > 1 and fit(job, r, few) or one
  local epoch = few.epochs > 1 and math.max(0, more - one) / (few.epochs - 1) or 0
  return (o.members or 1) * (math.max(0, one - epoch) + o.epochs * epoch)
end

-- Multiplications of skip-gram: walks x positions x window x (1 + negatives) x dim, twice over for the gradients.
local function skipgram_seconds(e, nodes)
  local o = e.options
  local work = nodes * (o.walks or 10) * (o.length or 80) * (o.window or 10) * (1 + (o.negative or 5)) * (o.dim or 128) * 4
  return work / (1.5e9 * core.threads()) * (o.epochs or 1)
end

local function embedding_seconds(job, e)
  if not (e and e.build and e.name == "node2vec") then return 0 end
  local g = e.options.graph
  if type(g) == "string" then g = require("dynamo.graph").read(g) end
  return skipgram_seconds(e, g:nodes())
end

local function key(r) return tostring(r.recipe) .. dim_of(r.e) .. tostring(r.native) end

--- Seconds that a run of a plan will take: { total =, rows = { { model, seconds } }, embeddings = }.
---
--- Rows alike are measured once, a model by one and three epochs; scores by one. Takes about as long as a seed of the
--- baselines and four epochs of each model.
---@param job table runner.plan
---@return table
function M.seconds(job)
  local out, known, built = { rows = {}, total = 0, embeddings = 0 }, {}, {}
  local S = job.splits[1]
  local centroid, predicted = evaluate.centroid(job.R, S.train), core.zeros(#S.test, #job.R.genes, "double")
  local score = clock(evaluate.score, job.R, S.test, predicted, { centroid = centroid })
  for i, r in ipairs(job.rows) do
    local seconds = 0
    if not r.from then
      known[key(r)] = known[key(r)] or (recipe.module(r.recipe) == "model" and model_seconds or fit)(job, r, {})
      seconds = known[key(r)]
    end
    if r.e and r.e.build and not built[tostring(r.e)] then
      built[tostring(r.e)] = true
      out.embeddings = out.embeddings + embedding_seconds(job, r.e)
    end
    out.rows[i] = { r.model, seconds }
    out.total = out.total + (seconds + score) * #job.seeds
  end
  out.total = out.total + out.embeddings
  return out
end

--- Bytes at the peak of a run of a plan: what the process has now, predictions and changes of every row of the table, and
--- what a model keeps of a batch.
---@param job table
---@return number
function M.bytes(job)
  local R, tests = job.R, 0
  for _, S in ipairs(job.splits) do tests = math.max(tests, #S.test) end
  local profile = 8 * #R.genes
  return cost.peak() + profile * (#job.rows * tests + 4 * #R.rows) + 2 ^ 25
end

--- "12 s", "4.0 min", "2.5 h".
---@param s number seconds
---@return string
function M.words(s)
  if s < 90 then return ("%.0f s"):format(math.max(1, s)) end
  if s < 5400 then return ("%.1f min"):format(s / 60) end
  return ("%.1f h"):format(s / 3600)
end

return M
