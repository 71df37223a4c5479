--- Recipes of embeddings: values that say what to make, and are built later; what dynamo.embed.NAME { ... } gives.
local label = require "dynamo.label"
local schema = require "dynamo.embed_schema"

local M = {}

local Recipe = {}
Recipe.__index = Recipe

local function text_of(v)
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "table" and getmetatable(v) == nil then
    return #v > 0 and ("{ %d items }"):format(#v) or "{ ... }"
  end
  return tostring(v)
end

-- The steps of a fallback in their own words: two recipes that differ in them are two.
local function chain_text(chain)
  local parts = {}
  for i, step in ipairs(chain) do parts[i] = type(step) == "string" and ("%q"):format(step) or tostring(step) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function Recipe:__tostring()
  local parts = {}
  for i, part in ipairs(self.parts or {}) do parts[i] = tostring(part) end
  local rules = schema[self.name] or {}
  for _, key in ipairs(label.sorted_keys(self.options)) do
    local v, rule = self.options[key], rules[key]
    if not (rule and rule.default == v) then
      parts[#parts + 1] = key .. " = " .. (key == "fallback" and chain_text(v) or text_of(v))
    end
  end
  return self.name .. (#parts > 0 and " { " .. table.concat(parts, ", ") .. " }" or " {}")
end

-- With vectors for those of the genes asked for that have none, by the chain of the option 'fallback'.
local function completed(e, chain, env)
  if not (chain and env.genes) then return e end
  local steps, inner, genes = {}, {}, {}
  for k, v in pairs(env) do inner[k] = v end
  for _, list in ipairs { e.genes, env.genes } do -- the neighbours are genes of e
    for _, g in ipairs(list) do genes[#genes + 1] = g end
  end
  inner.genes = genes
  for i, step in ipairs(chain) do steps[i] = M.is(step) and step:build(inner) or step end
  return e:complete(env.genes, steps)
end

--- The Embedding of a recipe.
---@param env? table  { genes = names that will be asked for, responses = data whose control cells may be used, seed =
---  integer, progress = function(done, total) }
---@return Embedding
function Recipe:build(env)
  env = env or {}
  local o = {}
  for k, v in pairs(self.options) do o[k] = v end
  if o.seed == nil then o.seed = env.seed end
  if o.progress == nil then o.progress = env.progress end
  return completed(self.make(o, env, self.parts), o.fallback, env)
end

--- Whether `v` is a recipe of an embedding.
function M.is(v) return type(v) == "table" and getmetatable(v) == Recipe end

--- A recipe: make(options, env, parts) gives the Embedding; `parts` are embeddings and recipes that it is made of. Raises
--- EOPTION for a wrong chain of fallbacks.
---@param name string  of the function of dynamo.embed
---@param opts table  checked options
---@param make function
---@param parts? table[]
---@return table
function M.new(name, opts, make, parts)
  if opts.fallback then require("dynamo.complete").check(opts.fallback, M.is) end
  return setmetatable({ kind = "embedding", name = name, options = opts, make = make, parts = parts }, Recipe)
end

return M
