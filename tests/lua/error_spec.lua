local err = require "dynamo.error"
local core = require "dynamo.core"

test("error: raised tables show message, file and hint", function()
  local ok, e = pcall(err.raise, { code = "EFORMAT", file = "a.csv", message = "no header", hint = "header = false" })
  assert(not ok and e.code == "EFORMAT" and err.is(e) and err.is(e, "EFORMAT") and not err.is(e, "EIO"))
  assert(tostring(e) == "a.csv: no header (try: header = false)")
  assert(err.tostring("plain") == "plain" and err.tostring(nil) == "nil" and not err.is({ code = "EIO" }))
end)

test("error: those of the core are of the same class", function()
  core.fail_after(0)
  local ok, e = pcall(core.zeros, 100)
  core.fail_after(-1)
  assert(not ok and err.is(e, "ENOMEM") and tostring(e) == e.message)
end)
