local options = require "dynamo.options"

local schema = {
  latent = { default = 64, type = "integer", min = 1, max = 512 },
  rate = { default = 1e-3, type = "number", min = 0 },
  kind = { default = "linear", type = "string", values = { "linear", "deep" } },
  seeds = { default = { 1, 2 }, type = "table", item = "integer", min = 0 },
  graph = { type = "userdata|string" },
}
local function check(opts) return options.check("model.koopman", opts, schema) end

test("options: defaults are filled in, lists are copied", function()
  local o = check()
  assert(o.latent == 64 and o.rate == 1e-3 and o.kind == "linear" and o.graph == nil)
  o.seeds[1] = 99
  assert(check().seeds[1] == 1)
  assert(check({ latent = 3 }).latent == 3)
end)

test("options: unknown names get a suggestion", function()
  raises("model.koopman: unknown option 'latant'; did you mean 'latent'?", check, { latant = 3 })
  raises("did you mean 'latent'?", check, { lat = 3 })
  raises("(there are: graph kind latent rate seeds)", check, { zzzzzz = 3 })
  raises("options have names (got 'x' without one)", check, { "x" })
  raises("a table of options expected (got 3)", check, 3)
end)

test("options: values out of range name option, value and what is allowed", function()
  raises("option 'latent' must be an integer 1..512 (got 0)", check, { latent = 0 })
  raises("must be an integer 1..512 (got 2.5)", check, { latent = 2.5 })
  raises("must be an integer 1..512 (got '8')", check, { latent = "8" })
  raises("must be a number of at least 0 (got ", check, { rate = 0 / 0 })
  raises("option 'kind' must be one of linear deep (got 'cubic')", check, { kind = "cubic" })
  raises("option 'seeds' must be a list of integers of at least 0 (got -1)", check, { seeds = { 1, -1 } })
  raises("option 'graph' must be an userdata or string (got a table)", check, { graph = {} })
end)

test("options: required ones", function()
  raises("f: option 'x' is required: a number", options.check, "f", {}, { x = { required = true, type = "number" } })
  assert(options.describe(schema):find("latent +an integer 1..512, default 64"))
end)

test("options: nearest names", function()
  assert(options.nearest("epoch", { "epochs", "edges" }) == "epochs")
  assert(options.nearest("spectarl", { "node2vec", "spectral" }) == "spectral")
  assert(options.nearest("q", { "walks", "length" }) == nil)
end)
