local catalogue = require "dynamo.catalogue"
local core = require "dynamo.core"
local dynamo = require "dynamo"
local fetch = require "dynamo.fetch"
local json = require "dynamo.json"
local label = require "dynamo.label"

test("every entry of the catalogue says what it is, where it is from and how it is read", function()
  local path = os.tmpname()
  core.write_file(path, json.encode(catalogue))
  local all = fetch.entries(path) -- checked like one from outside
  os.remove(path)
  for _, name in ipairs(label.sorted_keys(catalogue)) do
    local e = all[name]
    for _, key in ipairs { "what", "source", "licence", "cite", "reader" } do
      assert(type(e[key]) == "string" and e[key] ~= "", name .. ": " .. key)
    end
    assert(e.source:match "^https://" and e.files[1].url:match "^https://", name)
    local module, f = e.reader:match "^(%w+)%.(%w+)$"
    local schema = dynamo[module].schema and dynamo[module].schema[f] or {}
    assert(type(dynamo[module][f]) == "function", name)
    for key in pairs(e.options) do assert(schema[key], name .. ": " .. key) end
  end
  for _, name in ipairs { "norman2019", "replogle2022_k562", "replogle2022_rpe1", "adamson2016", "dixit2016", "nadig2025_hepg2",
    "nadig2025_jurkat", "mcfaline2024", "collectri", "dorothea", "trrust", "string", "go" } do
    assert(catalogue[name], name)
  end
end)

test("the line that reads an entry", function()
  local e = catalogue.string
  assert(fetch.line(e, { "a.gz", "b.gz" }) == 'dynamo.graph.read("a.gz", { min_score = 700, names = "b.gz" })')
  assert(fetch.line(catalogue.collectri, { "c.csv" }) == 'dynamo.graph.read("c.csv")')
  assert(fetch.line(catalogue.adamson2016, { "a.h5ad" }) == 'dynamo.data.read("a.h5ad", { combine = false, control = '
    .. '{ "62(mod)_pBA581", "63(mod)_pBA580", "Gal4-4(mod)_pBA582" }, perturbation = "perturbation" })',
    fetch.line(catalogue.adamson2016, { "a.h5ad" }))
end)

test("the list and unknown names", function()
  assert(fetch.list():find("norman2019 +698.7 MB"))
  assert(fetch.list({ "collectri" }):find("SHA%-256 4473c918"))
  raises("fetch: nothing is called 'collectr'; did you mean 'collectri'?", fetch.fetch, "collectr")
  raises("option 'timeout' must be", fetch.fetch, "collectri", { timeout = 0 })
  assert(fetch.cache():match "/dynamo$")
end)

test("the options for Adamson 2016 read its names of plasmids as genes and controls", function()
  local path = os.tmpname() .. ".h5ad"
  local obs, labels = {}, { "63(mod)_pBA580", "SPI1_pDS255", "Gal4-4(mod)_pBA582", "IER3IP1_pDS003", "SPI1_pDS255" }
  for i = 1, 5 do obs[i] = "c" .. i end
  core.h5ad_write(path, { x = core.sparse_from_dense(core.full(3, 5, 2)), obs_names = obs, var_names = { "SPI1", "IER3IP1" },
    obs = { { name = "perturbation", values = labels } } })
  local R = require("dynamo.data").read(path, catalogue.adamson2016.options):responses()
  os.remove(path)
  assert(#R.rows == 2 and R.rows[1].perturbation == "IER3IP1" and R.rows[2].perturbation == "SPI1" and R.rows[2].n_cells == 2)
end)
