--- Gene embeddings: node2vec, spectral, annotation, random; from files; joined.
--
-- With data a function gives the Embedding; with one table of options it gives a recipe, which is checked at once
-- and built when it is needed:
--
--     local e = dynamo.embed.node2vec(grn, { dim = 64 })
--     local r = dynamo.embed.node2vec { graph = grn, dim = 64 }
--     print(r)                          -- node2vec { dim = 64, graph = ... }
--     local same = r:build { seed = 1 }
local core = require "dynamo.core"
local embedding = require "dynamo.embedding"
local err = require "dynamo.error"
local learned = require "dynamo.learned"
local options = require "dynamo.options"

local M = { schema = require "dynamo.embed_schema" }

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

local recipe = require("dynamo.embed_recipe").new

--- Whether `v` is a recipe of an embedding.
M.is_recipe = require("dynamo.embed_recipe").is

local function without(opts, key)
  local o = {}
  for k, v in pairs(opts or {}) do o[k] = v end
  o[key] = nil
  return o
end

-- Options of a call with data at hand, which knows of no genes to complete.
local function at_hand(name, opts, key)
  local o = options.check(name, without(opts, key), M.schema[name:match "[^.]+$"])
  if o.fallback then
    err.raise { code = "EOPTION", message = name .. ": option 'fallback' is for recipes", hint = "e:complete(genes, chain)" }
  end
  return o
end

local function embedded(v, env)
  if M.is_recipe(v) then return v:build(env) end
  return v
end

-- ---- networks ---------------------------------------------------------------

local function checked_graph(name, g)
  if type(g) == "string" then return end
  if not core.is_graph(g) then
    err.raise { code = "EOPTION", message = ("%s: option 'graph' must be a Graph or a file name (got %s)"):format(name,
      options.quote(g)) }
  end
end

local function graph_of(g)
  if type(g) == "string" then return require("dynamo.graph").read(g) end
  return g
end

-- The graph without nodes that have no edge, and their names.
local function connected(g)
  local names, degree = g:names(), g:degrees():totable()
  local keep, alone = {}, {}
  for i, d in ipairs(degree) do
    local list = d > 0 and keep or alone
    list[#list + 1] = names[i]
  end
  if #alone == 0 then return g, alone end
  return g:subgraph(keep), alone
end

local function title(name, g, dim)
  local source = g:info().source
  return ("%s %sdim=%d"):format(name, source ~= "" and source .. " " or "", dim)
end

local function pass(o, keys)
  local t = { seed = o.seed or 1, progress = o.progress }
  for key in keys:gmatch "%S+" do t[key] = o[key] end
  return t
end

-- The options of a method: deepwalk is p = q = 1, second-order LINE has the edges themselves as pairs.
local function with_method(o)
  if o.method == "node2vec" then return o end
  if o.p ~= 1 or o.q ~= 1 then
    err.raise { code = "EOPTION", message = ("embed.node2vec: method '%s' has p = q = 1"):format(o.method) }
  end
  local r = without(o, "window")
  r.window = o.method == "line" and 1 or o.window
  return r
end

local function make_node2vec(g, o)
  o = with_method(o)
  local use, alone = connected(graph_of(g))
  if use:edges() == 0 then raise "node2vec: the graph has no edges" end
  local given = pass(o, "dim walks length window p q negatives epochs lr direction weighted repel race")
  local x = o.checkpoint and require("dynamo.checkpoint").node2vec(use, given, o.checkpoint) or core.node2vec(use, given)
  return embedding.new { genes = use:names(), values = x, source = title(o.method, use, o.dim), left_out = alone }
end

-- f(graph, opts) gives the embedding, f { graph =, ... } the recipe.
local function from_graph(name, make)
  return function(a, b)
    local full = "embed." .. name
    if type(a) == "table" and b == nil then
      local o = options.check(full, a, M.schema[name])
      checked_graph(full, o.graph)
      return recipe(name, o, function(opts) return learned.pass(opts.graph, make(opts.graph, opts)) end)
    end
    checked_graph(full, a)
    return learned.pass(a, make(a, at_hand(full, b, "graph")))
  end
end

--- Node2vec (Grover and Leskovec, KDD 2016): biased random walks, then skip-gram with negative sampling.
---
--- Also DeepWalk (Perozzi, Al-Rfou and Skiena 2014: p = q = 1) and second-order LINE (Tang et al. 2015: pairs are edges, in
--- proportion to their weight). Walks follow edges in both directions by default. The embedding holds every node that
--- has an edge; nodes
--- without one are in `left_out`. The same seed gives the same bytes for any number of threads. Raises EOPTION, EVALUE
--- (no edges), ECANCEL.
---
---     local e = dynamo.embed.node2vec(grn, { dim = 64, p = 0.5, q = 2 })
---@param graph userdata|table  a Graph; or the options, with `graph`, for a recipe
---@param opts? table  see `dynamo.embed.schema.node2vec`
---@return Embedding|table
M.node2vec = from_graph("node2vec", make_node2vec)

-- Rows that an eigenvector reaches, and the names of the others.
local function reached(names, x)
  local size = x:abs():max(2):totable()
  local keep, genes, none = {}, {}, {}
  for i, v in ipairs(size) do
    if v > 1e-9 then
      keep[#keep + 1], genes[#genes + 1] = i, names[i]
    else
      none[#none + 1] = names[i]
    end
  end
  return keep, genes, none
end

local function make_netmf(g, o)
  local use, alone = connected(graph_of(g))
  if use:edges() == 0 then raise "netmf: the graph has no edges" end
  local t = without(o, "graph")
  t.seed = t.seed or 1
  local x = require("dynamo.factorise").vectors(use, t)
  return embedding.new { genes = use:names(), values = x:to "float", left_out = alone,
    source = title(o.method, use, select(2, x:size())) }
end

--- Nodes by a factorisation of what walks would see: ProNE (Zhang et al. 2019), sparse and fast, or NetMF (Qiu et al.
--- 2018), the matrix that skip-gram factorises in the limit, dense for graphs of up to 6,000 nodes, beyond from the pairs
--- that walks see (NetSMF: Qiu et al. 2019).
---
--- Nodes without an edge are in `left_out`. Raises EOPTION, EVALUE (no edges).
---@param graph userdata|table  a Graph; or the options, with `graph`, for a recipe
---@param opts? table  see `dynamo.embed.schema.netmf`
---@return Embedding|table
M.netmf = from_graph("netmf", make_netmf)

local function make_spectral(g, o)
  g = graph_of(g)
  local use = connected(g)
  if use:edges() == 0 then raise "spectral: the graph has no edges" end
  if o.components == "largest" then use = use:component() end
  if use:nodes() <= o.dim then
    raise(("spectral: dim = %d, but the %s has %d nodes"):format(o.dim,
      o.components == "largest" and "largest component" or "graph", use:nodes()),
      ("dim = %d or less"):format(math.max(1, use:nodes() - 1)))
  end
  local given = pass(o, "dim laplacian weighted signed tol")
  if o.diffusion then given.laplacian = "random_walk" end
  local x, lambda, residual = core.spectral(use, given)
  if o.diffusion then x = x * ((lambda * -1) + 1):abs():pow(o.diffusion):reshape(1, o.dim) end
  local keep, genes, left = reached(use:names(), x)
  local inside = {}
  for _, name in ipairs(use:names()) do inside[name] = true end
  for _, name in ipairs(g:names()) do if not inside[name] then left[#left + 1] = name end end
  local values = (x:index(1, keep) * math.sqrt(use:nodes())):to "float"
  return embedding.new { genes = genes, values = values, source = title("spectral", use, o.dim), left_out = left,
    eigenvalues = lambda, residual = residual }
end

--- Eigenvectors of the graph Laplacian with the smallest eigenvalues (Belkin and Niyogi 2003; signed: Kunegis 2010).
---
--- Edges count in both directions. The constant vector of a component is left out. Values are scaled to a mean
--- square of 1 per dimension. `e.eigenvalues` (dim), `e.residual` (the largest norm of S u - (1 - lambda) u).
--- With `diffusion` = t they are the diffusion map after t steps (Coifman and Lafon 2006). Nodes outside the largest
--- component are in `left_out` (components = "all": those that no vector reaches).
--- Raises EOPTION, EVALUE (dim too large, no edges), ENOCONV, ECANCEL.
---@param graph userdata|table  a Graph; or the options, with `graph`, for a recipe
---@param opts? table  see `dynamo.embed.schema.spectral`
---@return Embedding|table
M.spectral = from_graph("spectral", make_spectral)

-- ---- annotation -------------------------------------------------------------

-- The list of sets in whatever was given: { sets = {...} }, a list of sets, a file or a list of files.
local function sets_of(v)
  if type(v) == "string" or type(v) == "table" and type(v[1]) == "string" then
    v = require("dynamo.annotation").read(v)
  end
  local list = v.sets or v
  for i, s in ipairs(list) do
    if type(s) ~= "table" or type(s.genes) ~= "table" then
      err.raise { code = "EOPTION", message = ("embed.annotation: set %d is not { name =, genes = {...} }"):format(i) }
    end
  end
  return list
end

local function all_genes(sets)
  local seen, list = {}, {}
  for _, s in ipairs(sets) do
    for _, g in ipairs(s.genes) do
      if not seen[g] then
        seen[g] = true
        list[#list + 1] = g
      end
    end
  end
  table.sort(list)
  return list
end

local function unique(list)
  local seen, out = {}, {}
  for _, g in ipairs(list) do
    if not seen[g] then out[#out + 1] = g end
    seen[g] = true
  end
  return out
end

-- Rows with a set, and the genes that have none.
local function annotated(genes, m)
  local keep, have, none = {}, {}, {}
  local sums = m:row_sums():totable()
  for i, v in ipairs(sums) do
    if v > 0 then
      keep[#keep + 1], have[#have + 1] = i, genes[i]
    else
      none[#none + 1] = genes[i]
    end
  end
  return keep, have, none
end

local function joined(a, b)
  local out = {}
  for _, list in ipairs { a, b } do
    for _, v in ipairs(list) do out[#out + 1] = v end
  end
  return out
end

local function first(n)
  local out = {}
  for i = 1, n do out[i] = i end
  return out
end

local function make_annotation(given, o)
  local sets = sets_of(given)
  local genes = o.genes and unique(o.genes) or all_genes(sets)
  local wide = o.genes and o.universe == "annotation" and not o.counted
  local universe = wide and unique(joined(genes, all_genes(sets))) or genes
  local m, idf, kept = core.membership(universe, sets,
    { least = o.min_size, most = o.max_size, counted = o.counted })
  if wide then m = m:rows(first(#genes)) end
  local keep, have, none = annotated(genes, m)
  if #have == 0 then
    raise(("annotation: none of the %d genes is in a set of %d..%d members (%d sets given)"):format(#genes, o.min_size,
      o.max_size, #sets))
  end
  m = m:rows(keep)
  local dim = math.min(o.dim, #have, #kept)
  local u = core.sparse_svd(m, dim, pass(o, "power"))
  local names = {}
  for i, s in ipairs(kept) do names[i] = sets[s].name or tostring(s) end
  return embedding.new { genes = have, values = u:to "float", left_out = none, membership = m, idf = idf, sets = names,
    source = ("annotation %d sets dim=%d"):format(#kept, dim) }
end

--- Genes by the sets they are in: TF-IDF (idf = ln(1 + N/(1 + df)), sets of 3..1000 of the genes, rows of length 1),
--- then the leading singular vectors, U S, not centred (randomised block Krylov SVD: Musco and Musco 2015).
---
--- `e.membership` is the full matrix, and `e:similarity(a, b)` its cosine. Genes without a set are in `left_out`.
--- There are fewer than `dim` dimensions if there are fewer genes or sets. Raises EOPTION, EVALUE, ECANCEL.
---@param sets table  { sets = { { name =, genes = {...} }, ... } }, or such a list, or GMT files; or the options,
---  with `sets`, for a recipe (its rows are `genes`, or the genes of the data when it is built)
---@param opts? table  see `dynamo.embed.schema.annotation`
---@return Embedding|table
function M.annotation(sets, opts)
  if opts == nil and type(sets) == "table" and sets[1] == nil and (type(sets.sets) ~= "table" or not sets.files) then
    local o = options.check("embed.annotation", sets, M.schema.annotation)
    if o.sets == nil then
      err.raise { code = "EOPTION", message = "embed.annotation: option 'sets' is required: sets or GMT files" }
    end
    return recipe("annotation", o, function(built, env)
      if built.genes == nil then built.genes = env.genes end
      return make_annotation(built.sets, built)
    end)
  end
  return make_annotation(sets, at_hand("embed.annotation", opts, "sets"))
end

-- ---- texts ------------------------------------------------------------------

-- Places of those of `genes` that are among the names.
local function places(names, genes)
  if not genes then return first(#names) end
  local at, out = {}, {}
  for i, name in ipairs(names) do at[name] = i end
  for _, g in ipairs(unique(genes)) do out[#out + 1] = at[g] end
  return out
end

-- The embedding of texts by word vectors; sub (genes, terms) has the weights of the words.
local function from_words(texts, terms, sub, o, fields)
  if o.ngrams > 1 then
    err.raise { code = "EOPTION", message = ("embed.text: method 'skipgram' has single words (got ngrams = %d)"):format(
      o.ngrams) }
  end
  local values, words = require("dynamo.text").vectors(texts, terms, sub, pass(o, "dim window negatives epochs lr"))
  fields.values = values:to "float"
  fields.source = fields.source .. ("words dim=%d"):format(o.dim)
  fields.words = embedding.new { genes = terms, values = words, source = "words of " .. fields.source }
  return embedding.new(fields)
end

local function make_text(given, o)
  local t = require("dynamo.text").of(given)
  local stop = o.stop == true and require("dynamo.stopwords").english() or o.stop or nil
  local m, idf, terms = core.terms(t.texts, { ngrams = o.ngrams, min_df = o.min_df, max_share = o.max_share, stop = stop,
    bm25 = o.weight == "bm25", k1 = o.k1, b = o.b })
  local at, rows = places(t.names, o.genes), {}
  for i, k in ipairs(at) do rows[i] = t.names[k] end
  local sub = m:rows(at)
  local keep, have = annotated(rows, sub)
  if #have == 0 then
    raise(("text: none of %d texts has a term that is in at least %d texts and at most %g of them"):format(#rows,
      o.min_df, o.max_share))
  end
  local known, left = {}, {}
  for _, name in ipairs(have) do known[name] = true end
  for _, name in ipairs(o.genes and unique(o.genes) or t.names) do
    if not known[name] then left[#left + 1] = name end
  end
  sub = sub:rows(keep)
  local file = t.file and t.file:match "[^/]*$" .. " " or ""
  if o.method == "skipgram" then
    return from_words(t.texts, terms, sub, o, { genes = have, left_out = left, source = "text " .. file })
  end
  local dim = math.min(o.dim, #have, #terms)
  local u = core.sparse_svd(sub, dim, pass(o, "power"))
  return embedding.new { genes = have, values = u:to "float", left_out = left, membership = sub, term_idf = idf,
    terms = terms, source = ("text %s%d terms dim=%d"):format(file, #terms, dim) }
end

--- Genes by the words of their descriptions: TF-IDF (1 + ln tf)(ln((1 + N)/(1 + df)) + 1) or BM25 over lower-case words
--- of at least two characters, rows of length 1, then the leading singular vectors, U S, not centred (Deerwester et al.
--- 1990; randomised block Krylov SVD: Musco and Musco 2015).
---
--- `e.membership` is the full matrix of terms (`e.terms`), and `e:similarity(a, b)` its cosine. With method = "skipgram" a
--- gene is the mean of its words' vectors (`e.words`, an Embedding), weighted as above, less the mean of all genes (words:
--- Mikolov et al. 2013; weighted means: Arora, Liang and Ma 2017). Genes without a text or
--- without a known word are in `left_out`. Raises EIO, EFORMAT, EOPTION, EVALUE (no term is left), ECANCEL.
---
---     local e = dynamo.embed.text("gene_summaries.tsv.gz", { dim = 256 })
---@param texts string|table  a file, { names =, texts = }, a map from name to text; or the options, with `texts`, for a
---  recipe (its rows are `genes`, or the genes of the data when it is built)
---@param opts? table  see `dynamo.embed.schema.text`
---@return Embedding|table
function M.text(texts, opts)
  local shaped = type(texts) == "table" and (type(texts.texts) == "string" or type(texts.texts) == "table"
    and not texts.names)
  if opts == nil and shaped then
    local o = options.check("embed.text", texts, M.schema.text)
    return recipe("text", o, function(built, env)
      if built.genes == nil then built.genes = env.genes end
      return make_text(built.texts, built)
    end)
  end
  if type(texts) ~= "string" and type(texts) ~= "table" then
    err.raise { code = "EOPTION", message = "embed.text: a file or a table of texts expected (got "
      .. options.quote(texts) .. ")" }
  end
  return make_text(texts, at_hand("embed.text", opts, "texts"))
end

-- ---- co-expression ------------------------------------------------------------

local function make_coexpression(data, o)
  local coexpression = require "dynamo.coexpression"
  if o.method == "pca" then
    local r = coexpression.pca(data, { dim = o.dim, scale = o.scale, power = o.power, rows = o.rows, seed = o.seed or 1 })
    return embedding.new { genes = r.genes, values = r.values:to "float", left_out = r.left_out, source = r.source,
      singular = r.singular, learned = r.learned }
  end
  local g = coexpression.graph(data, { top = o.top, threshold = o.threshold, absolute = o.absolute, rows = o.rows })
  local walk = without(o.walk, "graph")
  walk.dim, walk.seed, walk.progress = walk.dim or o.dim, walk.seed or o.seed, walk.progress or o.progress
  return M.node2vec(g, walk)
end

--- Genes by how they vary over control cells: principal components (of the correlations, or with scale = false the
--- covariances), or node2vec on the network of correlations (the rule of GEARS: the 20 largest |Pearson| above 0.4).
---
--- Cells are centred on their own context; perturbed cells count only if their rows are named, which must be training
--- rows. Sparse matrices stay sparse. Genes that do not vary (pca) or have no edge (node2vec) are in `left_out`. Raises
--- EOPTION,
--- EVALUE (fewer than 3 control cells), ECANCEL.
---@param data table|string  Responses, { genes =, values = }, a file; or the options for a recipe (its data are `data`, or
---  the responses of the experiment)
---@param opts? table  see `dynamo.embed.schema.coexpression`
---@return Embedding|table
function M.coexpression(data, opts)
  local given = type(data) == "string" or type(data) == "table" and (data.values or data.rows and data.delta)
  if opts == nil and type(data) == "table" and not given then
    local o = options.check("embed.coexpression", data, M.schema.coexpression)
    return recipe("coexpression", o, function(built, env)
      local from = built.data or env.responses
      if not from then raise "embed.coexpression: the data are not known (give data = ...)" end
      return make_coexpression(from, built)
    end)
  end
  return make_coexpression(data, at_hand("embed.coexpression", opts, "data"))
end

-- ---- controls, files, combinations --------------------------------------------

local function make_random(genes, o)
  genes = unique(genes)
  return embedding.new { genes = genes, values = core.random_vectors(genes, o.dim, o.seed or 1),
    source = ("random dim=%d"):format(o.dim) }
end

--- Vectors of N(0, 1/dim) numbers that depend on the gene's name and the seed alone: the control.
---@param genes table  names; or the options for a recipe, which takes the genes of the data
---@param opts? table  see `dynamo.embed.schema.random`
---@return Embedding|table
function M.random(genes, opts)
  if opts == nil and (type(genes) ~= "table" or genes[1] == nil) then
    local o = options.check("embed.random", genes, M.schema.random)
    return recipe("random", o, function(built, env)
      local list = built.genes or env.genes
      if not list then raise "embed.random: the genes are not known (give genes = {...})" end
      return make_random(list, built)
    end)
  end
  return make_random(genes, options.check("embed.random", opts, M.schema.random))
end

--- A recipe for an embedding with its gene names permuted: the control that keeps the spectrum.
---@param opts table  see `dynamo.embed.schema.permuted`
---@return table
function M.permuted(opts)
  local o = options.check("embed.permuted", opts, M.schema.permuted)
  if not (M.is_recipe(o.of) or embedding.is(o.of)) then
    err.raise { code = "EOPTION", message = "embed.permuted: option 'of' must be an embedding or a recipe" }
  end
  return recipe("permuted", o, function(built, env) return embedded(built.of, env):permuted(built.seed or 1) end)
end

--- Read vectors from a file: a table (gene per row, or per column), word2vec text or binary, GloVe; gz or not; npy and
--- npz; safetensors (our own, scGPT's, Geneformer's); varm of an .h5ad file, or X where obs are the genes.
---
--- With `symbols` names become symbols and `e.mapping` is the report: how many by which rule, unmatched, ambiguous and
--- merged ones (unmatched names stay as they are). With `genes` those rows alone are kept, `left_out` has the genes that
--- the file lacks; with `dim` their leading principal components. Raises EIO, EFORMAT (file, line or member, what was
--- found), EVALUE (none of the genes).
---
---     local e = dynamo.embed.read("geneformer.safetensors", { names = "tokens.tsv", symbols = "gene_ids.tsv.gz", dim = 128 })
---     print(e.mapping)
---@param path string
---@param opts? table  see `dynamo.embed.schema.read`
---@return Embedding
function M.read(path, opts)
  return require("dynamo.vectors").read(path, options.check("embed.read", opts, M.schema.read))
end

-- Genes of the first that all the others have too.
local function common(list)
  local genes = {}
  for _, name in ipairs(list[1].genes) do
    local everywhere = true
    for i = 2, #list do everywhere = everywhere and list[i]:has(name) end
    if everywhere then genes[#genes + 1] = name end
  end
  if #genes == 0 then raise "embed.concat: no gene has a vector in every part" end
  return genes
end

local function make_concat(list, o)
  local genes, blocks, names = common(list), {}, {}
  for i, e in ipairs(list) do
    local w = o.weights and o.weights[i] or 1
    local part = o.normalise and e:normalised() or e
    blocks[i] = part:rows(genes) * w
    names[i] = (w ~= 1 and ("%.4g x "):format(w) or "") .. e.source
  end
  local e = embedding.new { genes = genes, values = core.cat(blocks, 2), source = table.concat(names, " + ") }
  for _, part in ipairs(list) do learned.pass(part, e) end
  return e
end

--- Embeddings side by side, on the genes that all of them have: `embed.concat { a, b, weights = { 1, 0.5 } }`.
---
--- Every part is scaled to vectors of length 1 (unless normalise = false), then by its weight. Recipes among the
--- parts make a recipe. Raises EOPTION, EVALUE (no gene in common).
---@param parts table  embeddings or recipes, and the options of `dynamo.embed.schema.concat`
---@return Embedding|table
function M.concat(parts)
  local list, opts, lazy = {}, {}, false
  for k, v in pairs(parts) do
    if type(k) == "number" then list[k] = v else opts[k] = v end
  end
  local o = options.check("embed.concat", opts, M.schema.concat)
  for i, v in ipairs(list) do
    if not (embedding.is(v) or M.is_recipe(v)) then
      err.raise { code = "EOPTION", message = ("embed.concat: part %d is neither an embedding nor a recipe"):format(i) }
    end
    lazy = lazy or M.is_recipe(v)
  end
  if #list == 0 then err.raise { code = "EOPTION", message = "embed.concat: nothing to join" } end
  if o.weights and #o.weights ~= #list then
    err.raise { code = "EOPTION", message = ("embed.concat: %d weights for %d parts"):format(#o.weights, #list) }
  end
  if not lazy then return make_concat(list, o) end
  return recipe("concat", o, function(built, env, members)
    local made, inner = {}, { genes = env.genes, responses = env.responses, seed = built.seed, progress = built.progress }
    for i, v in ipairs(members) do made[i] = embedded(v, inner) end
    return make_concat(made, built)
  end, list)
end

return M
