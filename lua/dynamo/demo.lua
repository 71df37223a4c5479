--- `dynamo demo`: a simulated screen through the same readers as real data, three questions, three answers.
--
--     dynamo demo                     -- runs/demo: data, three experiments, about a minute
--     dynamo demo --quick             -- a small screen, one seed
local core = require "dynamo.core"
local data = require "dynamo.data"
local embed = require "dynamo.embed"
local err = require "dynamo.error"
local experiment = require "dynamo.experiment"
local graph = require "dynamo.graph"
local label = require "dynamo.label"
local model = require "dynamo.model"
local options = require "dynamo.options"
local override = require "dynamo.override"
local progress = require "dynamo.progress"
local results = require "dynamo.results"
local simulate = require "dynamo.simulate"
local split = require "dynamo.split"
local tabular = require "dynamo.table"

local M = { schema = {} }

M.schema.main = {
  seed = { type = "integer", min = 0, help = "of the simulated data" },
  out = { default = "runs/demo", type = "string", help = "folder of everything that is written" },
  quick = { default = false, help = "300 genes, few cells, one seed" },
  settings = { default = {}, type = "table",
    help = "key=value: options of the simulation (cells=10000) or of the experiments (train.epochs=30)" },
  quiet = { default = false, help = "no progress" },
  silent = { default = false, help = "print nothing at all" },
}

local QUICK = { genes = 300, perturbed = 80, doubles = 24, cells = 6000 }

-- ---- data -------------------------------------------------------------------------------

local EXPERIMENT = { "draws", "embedding", "min_cells", "model", "report", "seeds", "split", "train" }

-- Words for the simulation, and those for the experiments; others are refused before anything is made.
local function sort_words(words)
  local sim, rest, known = {}, {}, label.sorted_keys(simulate.schema.run)
  for _, key in ipairs(EXPERIMENT) do known[#known + 1], known[key] = key, true end
  for _, w in ipairs(override.parse(words)) do
    if simulate.schema.run[w.key] then
      sim[w.key] = w.value
    elseif known[w.path[1]] then
      rest[#rest + 1] = w
    else
      err.raise { code = "EUSAGE", message = ("%s: there is no '%s'%s"):format(w.key, w.path[1],
        options.suggestion(w.path[1], known)) }
    end
  end
  return sim, rest
end

-- Simulate, write, forget; what is read back is all that the experiments see.
local function make_data(o, given)
  local folder = o.out .. "/data"
  local opts = o.quick and QUICK or {}
  local all = { seed = o.seed or given.seed }
  for k, v in pairs(opts) do all[k] = v end
  for k, v in pairs(given) do all[k] = v end
  local bar = progress.new { label = "simulate", quiet = o.quiet }
  all.progress = bar:callback()
  local ok, sim = pcall(simulate.run, all)
  bar:finish()
  if not ok then error(sim, 0) end
  simulate.write(sim, folder)
  return folder, tostring(sim)
end

local function read(folder, lines)
  local paths = {}
  for i, name in ipairs(lines) do paths[i] = ("%s/%s.h5ad"):format(folder, name) end
  return data.read(paths):responses()
end

-- ---- the three experiments ---------------------------------------------------------------

local function experiments(o, folder)
  local grn = graph.read(folder .. "/network.tsv")
  local a, both = read(folder, { "line_a" }), read(folder, { "line_a", "line_b" })
  local common = { embedding = embed.node2vec { graph = grn, dim = o.quick and 64 or 128 }, graph = grn,
    model = model.koopman { members = o.quick and 2 or 3 }, draws = 4000, seeds = o.quick and { 1 } or { 1, 2, 3 } }
  local function make(t)
    for k, v in pairs(common) do t[k] = v end
    return experiment.experiment(t)
  end
  return {
    make { name = "unseen_genes", data = a:select(a:singles()), split = split.unseen_genes { validate = 0 },
      question = "What happens when a gene is knocked down that was never perturbed?", out = o.out .. "/unseen_genes" },
    make { name = "doubles", data = a, split = split.combinations { singles = "all", validate = 0 },
      question = "What happens when two genes are knocked down together, each seen alone?", out = o.out .. "/doubles" },
    make { name = "second_line", data = both:select(both:singles()),
      split = split.contexts { test = "line_b", validate = 0 },
      question = "And in a cell line of which only unperturbed cells were seen?", out = o.out .. "/second_line" },
  }
end

-- ---- what they show -------------------------------------------------------------------------

-- The smallest advantage over some rows at one reference: difference, row.
local function smallest(R, head, rows)
  local worst, at
  for _, r in ipairs(rows) do
    local d = R:compare(R:main(), r, head[1], R.contexts[1])
    if d.n > 0 and (not worst or d.mean < worst.mean) then worst, at = d, r end
  end
  return worst, at
end

local function rows_of(R, kinds)
  local out = {}
  for _, r in ipairs(R.rows) do
    if kinds[r.kind] then out[#out + 1] = r end
  end
  return out
end

-- A claim over both references: holds(difference) must be true for each.
local function claim(R, text, rows, holds)
  local c = { text = text, holds = true, lines = {} }
  for _, h in ipairs(R.head) do
    local d, r = smallest(R, h, rows)
    if not d or not holds(d) then c.holds = false end
    c.lines[#c.lines + 1] = ("%s: koopman %.3f, %s %.3f, difference %s"):format(h[2], R:summary(R:main(), h[1]).mean,
      r and r.model .. (r.embedding == "random" and " (random)" or "") or "none", r and R:summary(r, h[1]).mean or 0 / 0,
      results.difference_text(d))
  end
  return c
end

local function above(d) return d.lo ~= nil and d.lo > 0 end
local function not_below(d) return d.mean >= 0 end

--- The three claims of the demo from its three Results: { text, holds, lines } each.
---@param list table[]
---@return table[]
function M.claims(list)
  local unseen, doubles, second = list[1], list[2], list[3]
  return {
    claim(unseen, "unseen genes: the model beats every baseline at both references",
      rows_of(unseen, { baseline = true, control = true }), above),
    claim(doubles, "doubles: the model is at least as good as adding up the singles", { doubles:row "additive" },
      not_below),
    claim(second, "second cell line: the model beats what is known there without perturbing anything",
      rows_of(second, { baseline = true, control = true }), above),
  }
end

local function text_of(claims)
  local out = {}
  for i, c in ipairs(claims) do
    out[#out + 1] = ("%d. %s: %s"):format(i, c.text, c.holds and "yes" or "NO")
    for _, line in ipairs(c.lines) do out[#out + 1] = "   " .. line end
  end
  return table.concat(out, "\n")
end

--- Simulate, train, compare, write; prints tables and three claims with intervals.
---@param opts? table  see dynamo.demo.schema.main
---@return table[] claims, table[] results
function M.main(opts)
  local o = options.check("demo", opts, M.schema.main)
  local given, words = sort_words(o.settings)
  local say = o.silent and function() end or function(...)
    io.write(table.concat({ ... }, ""), "\n")
    io.stdout:flush()
  end
  local started = core.time()
  local folder, about = make_data(o, given)
  say(about, "\nwrote ", folder, "\n")
  local list, lines = {}, {}
  for i, exp in ipairs(experiments(o, folder)) do
    if #words > 0 then exp = experiment.with(exp, words) end
    say(exp.options.question)
    list[i] = experiment.run(exp, { quiet = o.quiet, silent = o.silent })
    say ""
    for _, l in ipairs(list[i]:lines()) do lines[#lines + 1] = l end
  end
  core.write_file(o.out .. "/results.csv", tabular.csv(results.columns, lines))
  local claims = M.claims(list)
  say(text_of(claims))
  say(("%.0f s, reports: %s/*/report.html"):format(core.time() - started, o.out))
  return claims, list
end

return M
