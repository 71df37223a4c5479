--- Gene networks: read them, or make them from lists. The graph itself is written in C (dynamo.Graph).
--
--     local grn = dynamo.graph.read "collectri.csv"
--     print(grn)                        -- Graph collectri.csv: 42,716 edges, 1,186 sources, ...
--     grn:neighbours "TP53"             -- names, weights
local core = require "dynamo.core"
local err = require "dynamo.error"
local inputs = require "dynamo.inputs"
local options = require "dynamo.options"

local M = { schema = {} }

M.schema.read = {
  from = { type = "string", help = "column of the source (a name of the header, or a number)" },
  to = { type = "string", help = "column of the target" },
  weight = { type = "string", help = "column of the weight" },
  sign = { type = "string", help = "column of the sign (words or numbers)" },
  names = { type = "string", help = "a second file with the names of ids (STRING)" },
  directed = { type = "boolean", help = "default: yes, but no for protein1/protein2 columns" },
  min_score = { type = "number", help = "keep edges whose |weight| is at least this" },
  loops = { type = "boolean", default = false, help = "keep self-loops" },
}

M.schema.from_edges = {
  names = { type = "table", item = "string", help = "the nodes in their order; default: as they come" },
  directed = { type = "boolean", default = true, help = "whether an edge has a direction" },
  signed = { type = "boolean", default = false, help = "negative weights are repression" },
  loops = { type = "boolean", default = false, help = "keep self-loops" },
  source = { type = "string", default = "", help = "what the graph is called in messages" },
}

--- Read a network from a file: CollecTRI, DoRothEA, TRRUST, STRING, OmniPath, GEARS or a plain edge list, gz or not.
---
--- Repeated pairs become one edge with the largest |weight|, contradictory signs give sign 0, self-loops are
--- dropped; `g:info()` has the counts. Raises EIO, EFORMAT (file, line, what was found), EOPTION.
---@param path string
---@param opts? table  see `dynamo.graph.schema.read`
---@return userdata graph  dynamo.Graph
function M.read(path, opts)
  if type(path) ~= "string" then
    err.raise { code = "EOPTION", message = "graph.read: a file name expected (got " .. options.quote(path) .. ")" }
  end
  local g = core.read_graph(path, options.check("graph.read", opts, M.schema.read))
  inputs.note(path)
  return g
end

--- A graph from a list of edges `{ {"A", "B", 0.5}, {"A", "C"}, ... }` (the weight is 1 if it is left out).
---
--- Raises EVALUE for an edge without two names; an error for a weight that is negative in an unsigned graph.
---@param edges table
---@param opts? table  see `dynamo.graph.schema.from_edges`
---@return userdata graph  dynamo.Graph
function M.from_edges(edges, opts)
  local o = options.check("graph.from_edges", opts, M.schema.from_edges)
  local from, to, weight = {}, {}, {}
  for i, e in ipairs(edges) do
    if type(e) ~= "table" or type(e[1]) ~= "string" or type(e[2]) ~= "string" then
      err.raise { code = "EVALUE", message = ("graph.from_edges: edge %d is not { source, target[, weight] }"):format(i) }
    end
    from[i], to[i], weight[i] = e[1], e[2], e[3] or 1
  end
  return core.graph(o.names, from, to, weight,
    { directed = o.directed, signed = o.signed, loops = o.loops, source = o.source })
end

return M
