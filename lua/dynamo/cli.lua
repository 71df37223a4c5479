--- The command line of the program `dynamo`. Exit status: 0 done; 1 an error of a script; 2 usage; 3 numerical failure; 65
--- malformed input, 66 missing input; 70 a bug of ours; 73 output cannot be created, 74 reading or writing failed; 78 wrong
--- configuration or a leak; 130 interrupted.
local core = require "dynamo.core"
local err = require "dynamo.error"
local label = require "dynamo.label"

local M = {}

local unpack = table.unpack or unpack

local HELP = [[
dynamo: transcriptomic responses to genetic perturbations nobody has measured yet

  dynamo                                 a prompt; help() and Tab show what there is
  dynamo demo                            simulate data, train, compare, write a report
  dynamo run EXP.lua [key=value ...]     run an experiment: train.epochs=100 seeds=1..5
  dynamo FILE.lua [arguments]            run a script; dynamo -e 'CODE'; dynamo - reads it
  dynamo inspect FILE ...                what a data or model file has, and how to read it
  dynamo doctor FILE [key=value ...]     what would fail or mislead later, in data or in an experiment
  dynamo predict MODEL --genes A,B+C -o OUT.h5ad [--controls FILE.h5ad]
  dynamo evaluate PRED.h5ad ... --truth DATA.h5ad    predictions of other programs, scored
  dynamo compare FILE.lua                which embedding helps? or DATA.h5ad --graph G --text T ...
  dynamo benchmark [P1 ...] [data=F ...] the protocols of a release: every model, baseline and peer
  dynamo fetch NAME                      download a public data set or network; dynamo fetch --list
  dynamo picture VECTORS [-o X.svg]      t-SNE of gene vectors, gene sets in colour: --set FILE.gmt:NAME
  dynamo simulate --out FOLDER           write a data set with a known operator
  dynamo help [TOPIC]                    manual pages: dynamo help embed.node2vec

options, before the command:
  -q, --quiet        no progress, no notes
  -e CODE            run this Lua code (several are allowed)      -i  prompt afterwards
  -l MODULE          load a module under its name first
  --threads N        use N threads (results do not depend on N)
  --max-memory SIZE  refuse to use more: 12G, 800M
  --version, --help  version of everything inside; this page (dynamo COMMAND --help has more)
]]

-- ---- errors and their status ----------------------------------------------

local function complain(text) io.stderr:write("dynamo: ", text, "\n") end

-- Raised by what reads command lines; M.main turns it into status 2.
local function usage(text) err.raise { code = "EUSAGE", message = text } end

local function internal(e)
  if type(e) == "table" and err.is(e) then return false end
  return type(e) ~= "string" or e:match "^dynamo/[%w_/]+%.lua:%d+: attempt to " ~= nil
end

local STATUS = { EUSAGE = 2, ENUMERIC = 3, ENOCONV = 3, EFORMAT = 65, EVALUE = 65, ELEAK = 78, EOPTION = 78,
  ECANCEL = 130 }

-- A file that is not there, one that cannot be made, or a disk that fails.
local function io_status(text)
  local missing = text:find "[Nn]o such file" or text:find "[Pp]ermission denied" or text:find "a directory"
  if text:find "cannot be written" or text:find "cannot be created" then return missing and 73 or 74 end
  return (missing or text:find "cannot open") and 66 or 74
end

--- The exit status of an error.
---@param e any
---@return integer
function M.status(e)
  if internal(e) then return 70 end
  if not err.is(e) then return 1 end
  if e.code == "EIO" then return io_status(err.line(e)) end
  return STATUS[e.code] or 1
end

local function report(e, trace)
  if internal(e) then
    complain("internal error, please report it: " .. tostring(e))
    io.stderr:write(tostring(trace), "\n")
    return M.status(e)
  end
  complain(err.line(e))
  if os.getenv "DYNAMO_TRACE" == "1" then io.stderr:write(tostring(trace), "\n") end
  return M.status(e)
end

-- Call f(...) so that errors and Ctrl-C become an exit status; f may return one.
local function guarded(f, ...)
  local function after(status, a, b)
    io.stdout:flush()
    if status == "ok" then return type(a) == "number" and a or 0 end
    if status == "interrupted" then
      complain "interrupted"
      return 130
    end
    return report(a, b)
  end
  return after(require("dynamo.app").call(f, ...))
end

-- ---- scripts --------------------------------------------------------------

local function set_arg(name, args)
  local t = { [0] = name }
  for i, a in ipairs(args) do t[i] = a end
  rawset(_G, "arg", t)
  require("dynamo.setting").give(args)
end

local function run_script(path, args)
  set_arg(path, args)
  local chunk, message
  if path == "-" then
    chunk, message = load(io.read "*a" or "", "=stdin")
  else
    local f, why = io.open(path)
    if not f then err.raise { code = "EIO", message = (why or path):gsub("^(.-): ", "%1: cannot open: ", 1) } end
    f:close()
    local folder = path:match "^(.*)/[^/]*$"
    if folder then package.path = folder .. "/?.lua;" .. folder .. "/?/init.lua;" .. package.path end
    chunk, message = loadfile(path)
  end
  if not chunk then error(message, 0) end
  chunk(unpack(args))
end

-- ---- commands -------------------------------------------------------------

local function module_main(name, f)
  local found, m = pcall(require, name)
  if not found then
    if tostring(m):match("module '" .. name:gsub("%p", "%%%0") .. "' not found") then
      err.raise { code = "EUSAGE", message = "this build has no " .. name }
    end
    error(m, 0)
  end
  return m[f]
end

-- key=value words; anything else is a misunderstanding.
local function settings(words)
  for _, w in ipairs(words) do
    if not w:match "^[%a_][%w_.]*=" then usage(("'%s': key=value expected, as in train.epochs=100"):format(w)) end
  end
  return words
end

local function list(text, what)
  local out = {}
  for part in text:gmatch "[^,]+" do
    part = part:match "^%s*(.-)%s*$"
    if part ~= "" then out[#out + 1] = part end
  end
  if #out == 0 then usage(what .. " needs at least one name") end
  return out
end

local function integer(text)
  local n = tonumber(text)
  if n and n == math.floor(n) then return n end
  return nil, ("'%s': integer expected"):format(text)
end

-- Options that came from the command line are a matter of usage.
local function as_usage(f, ...)
  local ok, e = pcall(f, ...)
  if ok then return e end
  if err.is(e, "EOPTION") then e = err.new { code = "EUSAGE", message = e.message, hint = e.hint } end
  error(e, 0)
end

-- Each: summary, declare(parser), run(options given, flags of the program).
local commands = {}

commands.run = {
  "Run an experiment: train, evaluate, write tables, predictions, model and report.",
  function(p)
    p:argument("script", "a Lua file that returns dynamo.experiment { ... }")
    p:argument("settings", "key=value: train.epochs=100 seeds=1..5 model.latent=32"):args "*"
    p:option("-o --out", "folder of the results (default: runs/NAME)")
    p:flag("-n --no-write", "print the table only")
  end,
  function(o, global)
    set_arg(o.script, o.settings)
    local words = settings(o.settings)
    if o.out then words[#words + 1] = "out=" .. o.out end
    module_main("dynamo.experiment", "run_file")(o.script, words, { quiet = global.quiet, write = not o.no_write })
  end,
}

commands.demo = {
  "Simulate data with a planted operator, train, compare with baselines, write a report.",
  function(p)
    p:option("--seed", "seed of data and training", nil, integer)
    p:option("-o --out", "folder of the results (default: runs/demo)")
    p:flag("--quick", "a smaller data set, for a first look")
    p:argument("settings", "key=value, as for run"):args "*"
  end,
  function(o, global)
    -- a claim that does not hold is printed, it is no error: examples/01_demo.lua asserts them
    as_usage(module_main("dynamo.demo", "main"), { seed = o.seed, out = o.out, quick = o.quick or false,
      settings = settings(o.settings), quiet = global.quiet })
  end,
}

commands.inspect = {
  "Say what a data or model file has: shape, columns, likely roles, a line that reads it.",
  function(p)
    p:argument("files", "h5ad, edge list, GMT, response table or model"):args "+"
    p:option("-g --graph", "a network: how many genes and perturbed genes are in it"):count "*"
  end,
  function(o) return module_main("dynamo.inspect", "main")(o.files, o.graph) end,
}

commands.doctor = {
  "Check data or an experiment before hours are spent: what would fail or mislead, with a line that helps.",
  function(p)
    p:argument("file", "data, or a Lua file that returns dynamo.experiment { ... }")
    p:argument("settings", "key=value, as for run"):args "*"
  end,
  function(o) return module_main("dynamo.doctor", "main")(o.file, settings(o.settings)) end,
}

commands.predict = {
  "Predict the response to perturbations with a saved model.",
  function(p)
    p:argument("model", "a file model.dynamo that `dynamo run` wrote")
    p:option("-g --genes", "perturbations: A,B+C is one single and one double"):count(1)
    p:option("-c --controls", "h5ad with control cells: predict for their context")
    p:option("--context", "which context of the control cells")
    p:option("--cells", "write so many cells per perturbation, control cells moved by the change", nil, integer)
    p:option("-o --out", "file to write (.h5ad)"):count(1)
    p:option("--report", "page to write (.html): top genes, gene sets, types of doubles; tables go beside it")
    p:option("--sets", "gene sets for the report (GMT)"):count "*"
  end,
  function(o, global)
    module_main("dynamo.predict", "main") { model = o.model, genes = list(o.genes, "--genes"), controls = o.controls,
      out = o.out, context = o.context, cells = o.cells, report = o.report, sets = o.report and #o.sets > 0 and o.sets or nil,
      quiet = global.quiet }
  end,
}

commands.evaluate = {
  "Score predictions of other programs against measured data, on the same genes, rows and references.",
  function(p)
    p:argument("predictions", "h5ad with a row per perturbation (or predicted cells), or tables"):args "+"
    p:option("-t --truth", "measured data"):count(1)
    p:option("-m --metrics", "columns: pearson@centroid/all-target,pds_l2")
    p:option("--values", "what the numbers are: change or profile"):choices { "change", "profile" }
    p:option("--missing", "perturbations that a file lacks: error, or mean (filled and flagged)"):choices { "error", "mean" }
    p:option("--nonfinite", "numbers that are not finite: error, or mask (for all)"):choices { "error", "mask" }
    p:flag("--strict", "a gene that a file lacks is an error")
    p:option("-o --out", "file for the scores of each perturbation (.csv)")
  end,
  function(o)
    as_usage(module_main("dynamo.external", "main"), { predictions = o.predictions, truth = o.truth,
      metrics = o.metrics and list(o.metrics, "--metrics"), values = o.values, missing = o.missing, nonfinite = o.nonfinite,
      strict = o.strict or false, out = o.out })
  end,
}

commands.compare = {
  "Compare embeddings of genes and their controls: the same model and splits on each.",
  function(p)
    p:argument("what", "a Lua file that returns dynamo.compare { ... }, or a data file")
    p:option("--graph", "a network: node2vec, spectral and netmf"):count "*"
    p:option("--sets", "gene sets (GMT): annotation"):count "*"
    p:option("--text", "a table of names and descriptions"):count "*"
    p:option("--vectors", "a file of vectors"):count "*"
    p:flag("--coexpression", "components of the control cells")
    p:option("-o --out", "folder of the results (default: runs/compare)")
    p:argument("settings", "key=value: train.epochs=100 seeds=1..5 model.latent=32"):args "*"
  end,
  function(o, global)
    module_main("dynamo.compare", "main") { what = o.what, graphs = o.graph, sets = o.sets, texts = o.text,
      vectors = o.vectors, coexpression = o.coexpression, settings = settings(o.settings), out = o.out,
      quiet = global.quiet }
  end,
}

commands.benchmark = {
  "Run the protocols P1 to P5 on data sets with every baseline and peer; resumable; writes the tables of a release.",
  function(p)
    p:argument("words", "P1 .. P5 (default: all) and key=value: data=F1,F2 graph=G sets=GMT text=T vectors=V seeds=1..3"):args "*"
    p:option("-o --out", "folder of the results (default: runs/benchmark)")
    p:flag("--quick", "one seed, few epochs: to see that all runs")
    p:flag("--fresh", "run again what an earlier run has finished")
  end,
  function(o, global)
    local opts = require("dynamo.benchmark").parse(o.words)
    opts.out, opts.quick, opts.fresh, opts.quiet = o.out, o.quick or false, o.fresh or false, global.quiet
    module_main("dynamo.benchmark", "main")(opts)
  end,
}

commands.fetch = {
  "Download public data sets and networks, checked and kept: the paths, and the line that reads them.",
  function(p)
    p:argument("names", "what to download; none: the list"):args "*"
    p:flag("-l --list", "say what there is, or all about NAMES")
    p:option("-o --out", "folder (default: ~/.cache/dynamo)")
    p:option("--catalogue", "a JSON file with more entries")
    p:flag("--refresh", "download again")
    p:flag("--check", "compare what is there with its digest")
    p:option("--timeout", "seconds without an answer (default: 30)", nil, integer)
  end,
  function(o, global)
    as_usage(module_main("dynamo.fetch", "main"), { names = o.names, list = o.list, folder = o.out,
      catalogue = o.catalogue, refresh = o.refresh, check = o.check, timeout = o.timeout, quiet = global.quiet })
  end,
}

commands.picture = {
  "Draw gene vectors in the plane (t-SNE), gene sets in colour: to the terminal, SVG or PNG.",
  function(p)
    p:argument("vectors", "a file of vectors")
    p:option("--set", "FILE.gmt:NAME, a gene set to colour"):count "*"
    p:option("--genes", "genes to write the names of: A,B")
    p:option("--perplexity", "neighbours that count (default: 30)", nil, integer)
    p:option("--seed", "of the genes that trustworthiness asks", nil, integer)
    p:option("-o --out", "file to write: .svg, .png, .tsv"):count "*"
  end,
  function(o, global)
    as_usage(module_main("dynamo.picture", "main"), { embedding = o.vectors, sets = o.set, out = o.out, seed = o.seed,
      genes = o.genes and list(o.genes, "--genes"), perplexity = o.perplexity, quiet = global.quiet })
  end,
}

commands.simulate = {
  "Write a data set with a known operator, to try the program on.",
  function(p)
    p:option("-o --out", "folder to write"):count(1)
    p:option("--seed", "seed", nil, integer)
    p:argument("settings", "key=value: genes=500 perturbed=100 cells=5000"):args "*"
  end,
  function(o, global)
    local values = {}
    for _, v in ipairs(require("dynamo.override").parse(settings(o.settings))) do values[v.key] = v.value end
    values.out, values.seed, values.quiet = o.out, o.seed or values.seed, global.quiet
    as_usage(module_main("dynamo.simulate", "main"), values)
  end,
}

commands.help = {
  "Explain a function or module; without a name, list the topics.",
  function(p) p:argument("topic", "such as embed.node2vec"):args "?" end,
  function(o)
    if not o.topic then
      io.write(HELP, "\n")
      require("dynamo.help").help()
    elseif commands[o.topic] and o.topic ~= "help" then
      io.write(M.parser(o.topic):get_help(), "\n")
    else
      require("dynamo.help").help(o.topic)
    end
  end,
}

--- The parser of one command (lua-argparse); errors are raised, not printed.
function M.parser(name)
  local p = require "argparse"("dynamo " .. name, commands[name][1]):add_help(false):help_max_width(80)
  p:flag("-h --help", "this page")
  commands[name][2](p)
  p.error = function(_, message) usage(("%s: %s (try: dynamo %s --help)"):format(name, message, name)) end
  return p
end

--- The names of the commands, sorted, and the page of `dynamo --help`.
function M.commands() return label.sorted_keys(commands), HELP end

local function run_command(name, args, global)
  local p = M.parser(name)
  for _, a in ipairs(args) do
    if a == "--" then break end
    if a == "-h" or a == "--help" then
      io.write(p:get_help(), "\n")
      return 0
    end
  end
  return commands[name][3](p:parse(args), global)
end

-- ---- the program's own options --------------------------------------------

local SIZES = { k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30, t = 2 ^ 40 }

-- What the libraries reserve when they are loaded (buffers of OpenBLAS, stacks of threads) counts against the limit.
local function reserved()
  local f = io.open "/proc/self/status"
  local kib = f and tonumber(f:read("*a"):match "VmData:%s*(%d+) kB") or 0
  if f then f:close() end
  return kib * 1024
end

local function size(text)
  local n, unit = text:lower():match "^([%d.]+)([kmgt]?)i?b?$"
  n = tonumber(n)
  if not n or n <= 0 then usage(("--max-memory %s: a size such as 12G expected"):format(text)) end
  n = n * (SIZES[unit] or 1)
  local least = reserved() + 2 ^ 25
  if n < least then
    usage(("--max-memory %s: the program itself takes %.0fM before it reads anything"):format(text, least / 2 ^ 20))
  end
  return n
end

local function threads(text)
  local n = integer(text)
  if not n or n < 1 or n > 4096 then usage(("--threads %s: an integer 1..4096 expected"):format(text)) end
  return n
end

local function version()
  print(("dynamo %s (%s, %s, %d threads)"):format(core.version, _VERSION, core.blas(), core.threads()))
end

local takes_value = { ["-e"] = true, ["-l"] = true, ["--threads"] = true, ["--max-memory"] = true }
local short = { q = "quiet", i = "interactive", h = "help", v = "version" }
local long = { quiet = "quiet", help = "help", version = "version" }

-- Options up to the first word: { quiet =, code = {...}, ... } and the place of that word.
local function globals(argv)
  local g, i = { code = {} }, 1
  while argv[i] and argv[i]:match "^%-." do
    local a, value = argv[i], nil
    if a == "--" then
      i = i + 1
      break
    end
    local name, given = a:match "^(%-%-[%w-]+)=(.*)$"
    if name then a, value = name, given end
    if takes_value[a] then
      if not value then
        i = i + 1
        value = argv[i]
      end
      if not value then usage(a .. " needs a value") end
      if a == "-e" then g.code[#g.code + 1] = value
      elseif a == "-l" then g.code[#g.code + 1] = ("%s = require %q"):format(value:gsub("%.", "_"), value)
      elseif a == "--threads" then g.threads = threads(value)
      else g.max_memory = size(value) end
    else
      local key = short[a:match "^%-(%a)$" or ""] or long[a:match "^%-%-([%a-]+)$" or ""]
      if not key then
        local known = { "--quiet", "--help", "--version", "--threads", "--max-memory" }
        usage(("unknown option '%s'%s (try: dynamo --help)"):format(label.safe(a), label.suggest(a, known)))
      end
      g[key] = true
    end
    i = i + 1
  end
  return g, i
end

local function start(g)
  if g.threads then core.threads(g.threads) end
  if g.max_memory then core.max_memory(g.max_memory) end
  rawset(_G, "dynamo", require "dynamo")
  require("dynamo.progress").quiet = g.quiet or false
end

local function dispatch(argv)
  local g, i = globals(argv)
  if g.help then return io.write(HELP) and 0 end
  start(g)
  if g.version then return version() end
  local word, rest = argv[i], {}
  for k = i + 1, #argv do rest[#rest + 1] = argv[k] end
  for _, code in ipairs(g.code) do
    local chunk, message = load(code, "=(command line)")
    if not chunk then error(message, 0) end
    set_arg("dynamo", word and { word, unpack(rest) } or {})
    chunk()
  end
  if word and #g.code == 0 then
    if commands[word] then return run_command(word, rest, g) end
    if not (word == "-" or word:find("/", 1, true) or word:match "%.lua$" or core.stat(word)) then
      usage(("unknown command '%s'%s (try: dynamo --help)"):format(label.safe(word),
        label.suggest(word, label.sorted_keys(commands))))
    end
    run_script(word, rest)
  end
  if g.interactive or not word and #g.code == 0 then return "prompt", g end
  return 0
end

--- Run a command line (argv[0] is the program) and return the exit status.
function M.main(argv)
  local prompt, g
  local status = guarded(function()
    local result, flags = dispatch(argv)
    if result == "prompt" then prompt, g = true, flags end
    return result
  end)
  -- the prompt protects each entry by itself
  if prompt then return require("dynamo.repl").run(g) end
  return status
end

return M
