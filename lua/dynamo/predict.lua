--- `dynamo predict`: perturbations that nobody has made, for the cells of a file, with a saved model.
local core = require "dynamo.core"
local err = require "dynamo.error"
local fitted = require "dynamo.fitted"
local label = require "dynamo.label"
local options = require "dynamo.options"
local prediction = require "dynamo.prediction"
local predictions = require "dynamo.predictions"
local responses = require "dynamo.responses"
local tabular = require "dynamo.table"
local units = require "dynamo.units"

local M = { schema = {} }

M.schema.main = {
  model = { type = "string", required = true, help = "a file model.dynamo that `dynamo run` wrote" },
  genes = { type = "table", item = "string", required = true, help = "perturbations: { \"A\", \"B+C\" }" },
  controls = { type = "string", help = ".h5ad with control cells: predict for their context" },
  context = { type = "string", help = "which context of the control cells, or of the model" },
  out = { type = "string", help = "file to write (.h5ad)" },
  cells = { type = "integer", min = 1, help = "write so many predicted cells per perturbation: control cells moved by the change" },
  report = { type = "string", help = "page to write (.html): top genes, gene sets, doubles; tables go beside it" },
  sets = { type = "table", item = "string", help = "gene sets for the report (GMT)" },
  quiet = { default = false, help = "no notes" },
  silent = { default = false, help = "no table either" },
}

local function fail(file, message, hint) err.raise { code = "EVALUE", file = file, message = message, hint = hint } end

-- ---- control cells -----------------------------------------------------------------------

-- Mean of the control cells per context: { [context] = { mean = Tensor (G), n = cells } }.
local function control_means(D, path)
  if not D.x then fail(path, "holds no cells", "an .h5ad with control cells") end
  local contexts, place, of, count = {}, {}, {}, {}
  for i = 1, D.n do
    local c = D:perturbation_of(i) == "control" and D:context_of(i)
    of[i] = 0
    if c then
      if not place[c] then
        contexts[#contexts + 1] = c
        place[c], count[c] = #contexts, 0
      end
      of[i], count[c] = place[c], count[c] + 1
    end
  end
  if #contexts == 0 then fail(path, "holds no control cells") end
  local x = core.is_sparse(D.x) and D.x or core.sparse_from_dense(D.x)
  local means, out = x:group_means(of, #contexts), {}
  for c, k in pairs(place) do out[c] = { mean = means:select(1, k), n = count[c] } end
  return out
end

local function choose(found, context, path)
  local names = label.sorted_keys(found)
  if context then
    if #names == 1 and names[1] == "all" then return names[1] end
    if not found[context] then
      fail(path, ("no control cells of context '%s'%s"):format(label.safe(context), options.suggestion(context, names)))
    end
    return context
  end
  if #names > 1 then
    fail(path, ("control cells of %d contexts (%s)"):format(#names, label.safe(table.concat(names, ", "))),
      "--context " .. label.safe(names[1]))
  end
  return names[1]
end

-- A profile over the genes of the file as one over the genes of the model; what the file lacks is as in training.
local function aligned(model, D, mean, path)
  local at, values, missing = responses.places(D.genes), model.control:select(1, 1):totable(), 0
  local given = mean:totable()
  for i, g in ipairs(model.genes) do
    if at[g] then values[i] = given[at[g]] else missing = missing + 1 end
  end
  if missing == #model.genes then
    fail(path, ("no gene in common with the model (the file has %s, the model %s)"):format(label.safe(D.genes[1]),
      label.safe(model.genes[1])), "gene symbols in var")
  end
  return core.tensor(values, "double"), missing
end

local function stem(path) return (path:match "[^/]*$":gsub("%.h5ad$", "")) end

-- The control cells of a context over the genes of the model, as predictions.save_cells takes them.
local function cells_of(model, D, chosen, context, path)
  local at, columns, list = responses.places(D.genes), {}, {}
  for j, g in ipairs(model.genes) do
    if not at[g] then
      fail(path, ("--cells: gene '%s' of the model is not in the file: its cells cannot be predicted"):format(label.safe(g)))
    end
    columns[j] = at[g]
  end
  for i = 1, D.n do
    if D:perturbation_of(i) == "control" and D:context_of(i) == chosen then list[#list + 1] = i end
  end
  local x = core.is_sparse(D.x) and D.x or core.sparse_from_dense(D.x)
  local row_of, context_of_ = {}, {}
  for k = 1, #list do row_of[k], context_of_[k] = 0, 1 end
  return { contexts = { context }, genes = model.genes, cells = { x = x:rows(list):cols(columns), row_of = row_of,
    context_of = context_of_ } }
end

-- The context to predict for and its control profile: from the file, else from training; the control cells if asked for.
local function context_of(model, o, note)
  if not o.controls then
    if o.cells then err.raise { code = "EUSAGE", message = "--cells needs --controls: the cells that are moved" } end
    local context = o.context or model.contexts[1]
    for i, c in ipairs(model.control_contexts) do
      if c == context then return context, model.control:select(1, i) end
    end
    fail(o.model, ("the model has no context '%s'%s"):format(label.safe(context), options.suggestion(context,
      model.control_contexts)), "--controls FILE.h5ad with its control cells")
  end
  local D = units.read(o.controls, model.units, note)
  local found = control_means(D, o.controls)
  local chosen = choose(found, o.context, o.controls)
  local control, missing = aligned(model, D, found[chosen].mean, o.controls)
  local context = chosen == "all" and (o.context or stem(o.controls)) or chosen
  note(("%s: mean of %s control cells of %s"):format(o.controls, responses.commas(found[chosen].n), label.safe(context)))
  if missing > 0 then
    note(("%s: %s of the model's %s genes are not in the file; their controls are those of training"):format(o.controls,
      responses.commas(missing), responses.commas(#model.genes)))
  end
  return context, control, o.cells and cells_of(model, D, chosen, context, o.controls)
end

-- ---- perturbations ----------------------------------------------------------------------

local function rows_of(names, context)
  local out, seen = {}, {}
  for _, name in ipairs(names) do
    local targets = label.targets(name)
    table.sort(targets)
    for i, g in ipairs(targets) do
      if g == "" or g == targets[i - 1] then
        err.raise { code = "EUSAGE", message = ("'%s': genes joined by +, each once"):format(label.safe(name)) }
      end
    end
    local p = table.concat(targets, "+")
    if not seen[p] then out[#out + 1] = { perturbation = p, targets = targets, context = context } end
    seen[p] = true
  end
  return out
end

local WHAT = { neighbours = "its neighbours in the network speak for it", mean = "nothing is known: the mean response" }

-- Genes without a vector, each with what was done and the nearest name that has one.
local function report_missing(model, rows, note)
  local seen = {}
  for _, r in ipairs(rows) do
    for _, g in ipairs(r.targets) do
      if not seen[g] and not model.embedding:has(g) then
        local near = options.nearest(g, model.embedding.genes)
        local _, flags = model:predict { { perturbation = g, targets = { g }, context = model.contexts[1] } }
        note(("%s: no vector in %s%s; %s"):format(label.safe(g), model.embedding.source, near
          and (" (did you mean '%s'?)"):format(label.safe(near)) or "", WHAT[flags[1]] or "seen in training"))
      end
      seen[g] = true
    end
  end
end

-- Names of the five largest and five smallest changes.
local function extremes(genes, delta)
  local order, up, down = delta:argsort(true), {}, {}
  for k = 1, math.min(5, #order) do
    local a, b = order[k], order[#order + 1 - k]
    if delta:get(a) > 0 then up[#up + 1] = label.safe(genes[a]) end
    if delta:get(b) < 0 then down[#down + 1] = label.safe(genes[b]) end
  end
  return table.concat(up, " "), table.concat(down, " ")
end

local function cut(s, n) return #s <= n and s or s:sub(1, n - 1) .. "~" end

local function print_table(model, rows, delta)
  local lines = {}
  for i, r in ipairs(rows) do
    local up, down = extremes(model.genes, delta:select(1, i))
    lines[i] = { cut(r.perturbation, 20), r.coverage, cut(up, 32), cut(down, 32) }
  end
  io.write(tabular.format({ "perturbation", "coverage", "up", "down" }, lines), "\n")
end

--- Predict perturbations with a saved model for the control cells of a file (or a context of training), write them as
--- .h5ad and print coverage and the genes that change most.
---
--- Genes without a vector are named on standard error with what was done about them. Raises EIO, EFORMAT (model, controls),
--- EVALUE: an unknown context, no common genes, a gene without a vector where the model's fallback is "error".
---@param opts table  see dynamo.predict.schema.main
---@return table { rows, delta = Tensor (n, G), control = Tensor (G), genes }, with report(opts), see dynamo.prediction
function M.main(opts)
  local o = options.check("predict", opts, M.schema.main)
  if o.out and not o.out:match "%.h5ad$" then
    err.raise { code = "EUSAGE", message = ("--out %s: a name ending in .h5ad expected"):format(label.safe(o.out)) }
  end
  local function note(text)
    if not o.quiet then io.stderr:write("dynamo: note: ", text, "\n") end
  end
  local model = fitted.load(o.model)
  local context, control, cells = context_of(model, o, note)
  local rows = rows_of(o.genes, context)
  local delta, flags = model:predict(rows, { control = { [context] = control } })
  for i, r in ipairs(rows) do r.coverage = flags[i] end
  report_missing(model, rows, note)
  local about = { version = core.version, model = model.name, context = context,
    controls = o.controls and o.controls:match "[^/]*$" or "training", sha256 = core.sha256_file(o.model) }
  if o.out and cells then
    predictions.save_cells(o.out, cells, { rows = rows, delta = delta, about = about }, { cells = o.cells })
  elseif o.out then
    local train = model.models[model.contexts[1]].genes
    predictions.save(o.out, { rows = rows, genes = model.genes, delta = delta,
      control = core.zeros(#rows, #model.genes, "double") + control,
      distance = predictions.distances(model.graph, train, rows),
      about = about })
  end
  local p = prediction.new { rows = rows, delta = delta, control = control, genes = model.genes, model = model }
  local files = { o.out }
  if o.report then
    for _, f in ipairs(select(2, p:report { path = o.report, sets = o.sets })) do files[#files + 1] = f end
  end
  if not o.silent then
    print_table(model, rows, delta)
    for _, f in ipairs(files) do io.write("wrote ", f, "\n") end
  end
  return p
end

return M
