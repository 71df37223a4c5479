-- What dynamo doctor finds.
local core = require "dynamo.core"
local doctor = require "dynamo.doctor"
local experiment = require "dynamo.experiment"

local function with(content, f)
  local base = os.tmpname()
  local path = base .. ".h5ad"
  core.h5ad_write(path, content)
  local ok, e = pcall(f, path)
  os.remove(path)
  os.remove(base)
  if not ok then error(e, 0) end
end

local function cells(labels, scale)
  local x, names = {}, {}
  for i in ipairs(labels) do x[i], names[i] = { i % 3 * (scale or 1), 1, 2 }, "c" .. i end
  return { x = core.tensor(x), obs_names = names, var_names = { "A", "B", "C" },
    obs = { { name = "perturbation", values = labels, categorical = true } } }
end

local function found(r, level, text)
  for _, f in ipairs(r.findings) do
    if f.level == level and f.message:find(text, 1, true) then return f end
  end
  local all = {}
  for i, f in ipairs(r.findings) do all[i] = f.level .. ": " .. f.message end
  error("not found: " .. text .. " in\n" .. table.concat(all, "\n"), 2)
end

test("cells: few controls, one cell per perturbation, counts, genes that are not measured", function()
  with(cells { "control", "control", "A", "B", "B", "Z" }, function(path)
    local r = doctor.examine(path)
    assert(found(r, "warning", "2 of 3 perturbations have one cell: A, Z").hint == "min_cells = 10")
    found(r, "warning", "has 2 control cells")
    found(r, "note", "raw counts")
    found(r, "note", "1 perturbed genes are not measured: Z")
    found(r, "note", "memory: ")
    assert(r.findings[1].level == "warning" and doctor.main(path) == 0)
  end)
  with(cells({ "control", "control", "A" }, -1), function(path)
    found(doctor.examine(path), "warning", "scaled expression")
  end)
end)

test("what cannot be read is an error with its hint", function()
  with(cells { "x", "y", "z" }, function(path)
    local f = found(doctor.examine(path), "error", "no control label")
    assert(f.hint:find('control="', 1, true) and doctor.main(path) == 65)
  end)
  raises("no such file", doctor.examine, "/nowhere.h5ad")
end)

test("experiments: genes without a vector, splits that leave nothing", function()
  local labels = { "control", "control" }
  for i = 1, 6 do labels[#labels + 1] = "A" labels[#labels + 1] = "B" labels[#labels + 1] = i % 2 == 0 and "C" or "Z" end
  with(cells(labels), function(path)
    local e = require("dynamo.embedding").new { genes = { "A", "B", "C" }, values = core.tensor { { 1 }, { 2 }, { 3 } } }
    local r = doctor.examine(experiment { data = path, embedding = e })
    found(r, "warning", "1 of 4 perturbed genes have no vector: Z")
    found(r, "warning", "4 perturbations: too few")
  end)
end)
