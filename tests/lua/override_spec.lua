local override = require "dynamo.override"
local show = require "dynamo.show"

local function value(text, want) assert(show.line(override.value(text)) == want, text) end

test("override: values", function()
  value("3", "3")
  value("1e-3", "0.001")
  value("true", "true")
  value("K562", '"K562"')
  value('"7"', '"7"')
  value("1,2,3", "{ 1, 2, 3 }")
  value("1..4", "{ 1, 2, 3, 4 }")
  value("1..3,7", "{ 1, 2, 3, 7 }")
  value("a,b", '{ "a", "b" }')
  value("../data", '"../data"')
  value("", '""')
  raises("a range goes up", override.value, "5..1")
end)

local function experiment()
  return { name = "x", seeds = { 1, 2 }, train = { epochs = 10, rate = 0.1, verbose = false, optimizer = "adam" } }
end
local function apply(text, allowed) return override.apply(experiment(), override.parse { text }, allowed) end

test("override: dotted paths keep the type of what is there", function()
  assert(apply("train.epochs=100").train.epochs == 100)
  assert(apply("train.verbose=true").train.verbose == true)
  assert(apply("seeds=7").seeds[1] == 7 and #apply("seeds=1..5").seeds == 5)
  assert(apply("name=12").name == "12")
  raises("train.epochs=many: number expected", apply, "train.epochs=many")
  raises("train.epochs=1,2: number expected", apply, "train.epochs=1,2")
end)

test("override: unknown paths get a suggestion", function()
  raises("train.epoch: there is no 'epoch' in train; did you mean 'epochs'?", apply, "train.epoch=3")
  raises("there is no 'zzz' (there are: name seeds train)", apply, "zzz=3")
  raises("'epochs': key=value expected", apply, "epochs")
  raises("a name is missing", apply, "train..epochs=3")
  raises("there is no 'x' in train.epochs", apply, "train.epochs.x=3")
end)

test("override: what else is allowed, with rules", function()
  local allowed = { out = true, model = { rank = { type = "integer", min = 1 }, on = { type = "table" } } }
  assert(apply("out=runs/a", allowed).out == "runs/a")
  assert(apply("model.rank=4", allowed).model.rank == 4)
  assert(apply("model.on=a", allowed).model.on[1] == "a")
  raises("option 'rank' must be an integer of at least 1 (got 0)", apply, "model.rank=0", allowed)
  raises("did you mean 'rank'?", function() apply("model.rnk=0", allowed) end)
end)
