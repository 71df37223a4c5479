--- Embeddings: genes and one vector each.
--
--     e.genes            list of names
--     e.values           tensor float (genes, dimensions)
--     e.source           "node2vec collectri.csv dim=128"
--     e.left_out         genes that have no vector although they were asked for, or nil
--     e.learned        what it learned from which rows of perturbation data, or nil (see dynamo.learned)
--     e.origin           of genes that got theirs from others (see complete): "neighbours" or "mean"
--     e.membership       annotation only: sparse (genes, sets), TF-IDF, rows of length 1; e.idf, e.sets go with it
local core = require "dynamo.core"
local err = require "dynamo.error"
local options = require "dynamo.options"

local M = {}

---@class Embedding
---@field genes table
---@field values userdata
---@field source string
local Embedding = {}
Embedding.__index = Embedding

local function raise(message, hint) err.raise { code = "EVALUE", message = message, hint = hint } end

local function commas(n)
  local text, k = ("%d"):format(n), nil
  repeat text, k = text:gsub("^(%d+)(%d%d%d)", "%1,%2") until k == 0
  return text
end

--- An embedding from names and values (n, d); further fields (source, left_out, membership, idf, sets) are kept.
---
--- Raises EVALUE if the counts differ, a name occurs twice, or a value is not finite.
---@param fields table  { genes =, values =, source = }
---@return Embedding
function M.new(fields)
  local e = {}
  for k, v in pairs(fields) do e[k] = v end
  local n, d = e.values:size()
  if #e.genes ~= n or not d then
    raise(("embedding: %d genes and values with %s rows"):format(#e.genes, tostring(n)))
  end
  local bad = e.values:nonfinite()
  if bad and bad ~= 0 then raise(("embedding %s: %s values are not finite"):format(e.source or "", tostring(bad))) end
  local position = {}
  for i, name in ipairs(e.genes) do
    if position[name] then raise(("embedding: gene '%s' occurs twice"):format(name)) end
    position[name] = i
  end
  e.position = position
  e.values = e.values:to "float"
  e.source = e.source or "values"
  return setmetatable(e, Embedding)
end

--- Whether `v` is an embedding.
function M.is(v) return type(v) == "table" and getmetatable(v) == Embedding end

function Embedding:__tostring()
  local text = ("Embedding %s: %s genes x %d"):format(self.source, commas(#self.genes), self:dim())
  if self.left_out and #self.left_out > 0 then
    text = text .. (", %s without a vector"):format(commas(#self.left_out))
  end
  local got = 0
  for _ in pairs(self.origin or {}) do got = got + 1 end
  if got > 0 then text = text .. (", %s of them from others"):format(commas(got)) end
  return text
end

--- How many dimensions the vectors have.
---@return integer
function Embedding:dim()
  local _, d = self.values:size()
  return d
end

--- How gene `name` got its vector, in the words of the flags of predictions: "embedding" (its own), "neighbours" or "mean"
--- (see complete); nil if it has none.
---@return string?
function Embedding:flag(name)
  if not self.position[name] then return nil end
  return self.origin and self.origin[name] or "embedding"
end

--- Whether gene `name` has a vector.
---@return boolean
function Embedding:has(name) return self.position[name] ~= nil end

--- The row of gene `name`, or nil.
---@return integer?
function Embedding:index(name) return self.position[name] end

-- Rows of the names; 0 for a missing one, or one that has but the mean, if that is allowed.
local function indices(self, names, allow)
  local idx = {}
  for i, name in ipairs(names) do
    local at = self.position[name]
    if allow and at and self:flag(name) == "mean" then at = nil end
    if not at and not allow then
      raise(("gene '%s' has no vector in %s%s"):format(tostring(name), self.source,
        options.suggestion(name, self.genes)))
    end
    idx[i] = at or 0
  end
  return idx
end

--- The vectors of the genes `names`, tensor float (#names, dim). Raises EVALUE naming the first one missing.
---@param names table
---@return userdata
function Embedding:rows(names)
  local idx = indices(self, names)
  if #idx == 0 then return core.zeros(0, self:dim()) end
  return self.values:index(1, idx)
end

--- Which of `names` have a vector of their own (covered), one from others (neighbours, mean; see complete), or none
--- (missing): { covered = {...}, neighbours = {...}, mean = {...}, missing = {...}, share = covered of all, 0..1 } (share of
--- nothing is 0).
---@param names table
---@return table
function Embedding:coverage(names)
  local r = { covered = {}, neighbours = {}, mean = {}, missing = {}, share = 0 }
  for _, name in ipairs(names) do
    local flag = self:flag(name)
    local list = flag == "embedding" and r.covered or r[flag or "missing"]
    list[#list + 1] = name
  end
  if #names > 0 then r.share = #r.covered / #names end
  return r
end

--- The k genes with the largest cosine to gene `name`: list of { name, similarity }, best first.
---@param name string
---@param k? integer  default 10
---@return table
function Embedding:nearest(name, k)
  local at = indices(self, { name })
  k = math.min(k or 10, math.max(1, #self.genes - 1))
  local id, sim = core.neighbours(self.values, at, k)
  local out = {}
  for j = 1, k do
    local i = id:get(1, j)
    if i == 0 then break end
    out[j] = { self.genes[i], sim:get(1, j) }
  end
  return out
end

--- Cosines between two lists of genes, tensor double (#a, #b): of set membership if the embedding was made from
--- annotation (all sets, not only the leading dimensions), else of the vectors. A gene without a vector, or with the mean
--- of all, has cosine 0 with everything.
---@param names_a table
---@param names_b table
---@return userdata
function Embedding:similarity(names_a, names_b)
  local a, b = indices(self, names_a, true), indices(self, names_b, true)
  if self.membership then return core.sparse_cosine(self.membership, a, b, self.idf) end
  return core.cosine(self.values, a, b)
end

--- The same vectors with the names of the genes permuted: the control that keeps the spectrum.
---@param seed? integer  default 1
---@return Embedding
function Embedding:permuted(seed)
  local order = core.permutation(#self.genes, seed or 1, "embedding.permuted")
  local genes = {}
  for i, j in ipairs(order) do genes[i] = self.genes[j] end
  return M.new { learned = self.learned, genes = genes, values = self.values, source = "permuted " .. self.source,
    membership = self.membership, idf = self.idf, sets = self.sets, origin = self.origin }
end

--- The embedding of exactly those of `names` that have a vector, in their order; `left_out` lists the others.
--- Raises EVALUE if none has.
---@param names table
---@return Embedding
function Embedding:align(names)
  local genes, idx, missing, seen = {}, {}, {}, {}
  for _, name in ipairs(names) do
    local at = self.position[name]
    if not at then
      missing[#missing + 1] = name
    elseif not seen[name] then
      genes[#genes + 1], idx[#idx + 1] = name, at
    end
    seen[name] = true
  end
  if #genes == 0 then raise(("none of the %d genes has a vector in %s"):format(#names, self.source)) end
  return M.new { learned = self.learned, genes = genes, values = self.values:index(1, idx), source = self.source,
    left_out = missing,
    origin = self.origin,
    membership = self.membership and self.membership:rows(idx), idf = self.idf, sets = self.sets }
end

--- Vectors for genes that have none, from a declared chain of graphs, other embeddings and "mean"; see dynamo.complete.
---@param genes string[]
---@param chain table  { graph, embedding, "mean" }
---@param opts? table  see `dynamo.complete.schema.complete`
---@return Embedding
function Embedding:complete(genes, chain, opts) return require("dynamo.complete").complete(self, genes, chain, opts) end

-- Rows divided by their lengths; a row of zeros stays.
local function unit_rows(x)
  local n = x:size()
  local length = x:square():sum(2):sqrt()
  return x / length:maximum(1e-30):reshape(n, 1)
end

--- Vectors of length 1.
---@return Embedding
function Embedding:normalised()
  local x = unit_rows(self.values:to "double")
  return M.new { learned = self.learned, genes = self.genes, values = x:to "float", source = self.source .. " normalised",
    left_out = self.left_out, membership = self.membership, idf = self.idf, sets = self.sets, origin = self.origin }
end

-- Centred values, and eigenvalues and vectors of their covariance, largest first.
local function principal(self)
  local x = self.values:to "double"
  local n, d = x:size()
  if n < 2 then raise "pca: at least two genes are needed" end
  local centred = x - x:mean(1):reshape(1, d)
  local w, v = core.eigh(centred:t():matmul(centred) * (1 / (n - 1)))
  local order = {}
  for j = 1, d do order[j] = d + 1 - j end
  return centred, w:index(1, order), v:index(2, order)
end

--- The k leading principal components of the vectors (centred), k at most `e:dim()`.
---@param k integer
---@return Embedding
function Embedding:pca(k)
  if type(k) ~= "number" or k ~= math.floor(k) or k < 1 or k > self:dim() then
    raise(("pca: k must be an integer 1..%d (got %s)"):format(self:dim(), options.quote(k)))
  end
  local x, _, v = principal(self)
  return M.new { learned = self.learned, genes = self.genes, values = x:matmul(v:narrow(2, 1, k)):to "float",
    source = ("%s pca=%d"):format(self.source, k), left_out = self.left_out, origin = self.origin }
end

--- Principal components scaled to variance 1; those with less than 1e-6 of the largest variance are dropped.
---@return Embedding
function Embedding:whiten()
  local x, w, v = principal(self)
  local k, d = 0, self:dim()
  while k < d and w:get(k + 1) > 1e-6 * w:get(1) and w:get(1) > 0 do k = k + 1 end
  if k == 0 then raise "whiten: the vectors are all the same" end
  local scale = w:narrow(1, 1, k):sqrt():reciprocal():reshape(1, k)
  return M.new { learned = self.learned, genes = self.genes, values = (x:matmul(v:narrow(2, 1, k)) * scale):to "float",
    source = self.source .. " whitened", left_out = self.left_out, origin = self.origin }
end

--- A picture of the vectors: t-SNE, gene sets in colour; see dynamo.picture.of.
---@param opts? table  see `dynamo.picture.schema.picture`
---@return table picture
function Embedding:picture(opts) return require("dynamo.picture").of(self, opts) end

-- One line per gene; nine digits bring a float back exactly.
local function write_lines(self, out, sep, prefix)
  if prefix then out:write(prefix, "\n") end
  for i, name in ipairs(self.genes) do
    local row = self.values:select(1, i):totable()
    for j, v in ipairs(row) do row[j] = ("%.9g"):format(v):gsub(",", ".") end
    out:write(name, sep, table.concat(row, sep), "\n")
  end
end

-- Binary formats: one matrix and the names.
local function write_binary(self, path, ext)
  if ext == "npz" then return core.npz_write(path, { "IDs", "data" }, { self.genes, self.values }) end
  core.safetensors_write(path, { "embedding" }, { self.values }, { "genes", "source" },
    { table.concat(self.genes, "\n"), self.source })
end

-- word2vec's binary: the sizes in text; then a name, a blank, the floats (little-endian) and a line feed for each gene. The
-- bytes of the floats are those of an .npy file, behind its header.
local function write_word2vec(self, out, path)
  local raw = path .. ".npy.part"
  core.npy_write(raw, self.values)
  local f = assert(io.open(raw, "rb"))
  local all, row = f:read "*a", 4 * self:dim()
  f:close()
  os.remove(raw)
  local at = #all - #self.genes * row
  out:write(("%d %d\n"):format(#self.genes, self:dim()))
  for i, name in ipairs(self.genes) do out:write(name, " ", all:sub(at + (i - 1) * row + 1, at + i * row), "\n") end
end

--- Write to a file: a table with a header (.tsv), word2vec text (.emb, .txt, .w2v) or binary (.bin), .npz (IDs, data) or
--- .safetensors (embedding, with the genes as metadata). Raises EIO, EOPTION for another extension; EVALUE if a name cannot stand in
--- the format.
---@param path string
function Embedding:write(path)
  local ext = path:match "%.(%w+)$"
  if ext == "npz" or ext == "safetensors" then return write_binary(self, path, ext) end
  local table_ = ext == "tsv"
  if not table_ and ext ~= "emb" and ext ~= "txt" and ext ~= "w2v" and ext ~= "bin" then
    err.raise { code = "EOPTION",
      message = ("%s: the name must end in .tsv, .emb, .txt, .w2v, .bin, .npz or .safetensors"):format(path) }
  end
  for _, name in ipairs(self.genes) do
    if name:find(table_ and "[\t\r\n]" or "%s") or name == "" then
      raise(("%s: gene name '%s' cannot be written in this format"):format(path, name:gsub("%c", "?")))
    end
  end
  local temporary = path .. ".part"
  local out, why = io.open(temporary, ext == "bin" and "wb" or "w")
  if not out then err.raise { code = "EIO", file = path, message = "cannot be written: " .. tostring(why) } end
  local head = ("%d %d"):format(#self.genes, self:dim())
  if table_ then
    local cols = { "gene" }
    for j = 1, self:dim() do cols[j + 1] = "d" .. j end
    head = table.concat(cols, "\t")
  end
  local good, e
  if ext == "bin" then good, e = pcall(write_word2vec, self, out, path)
  else good, e = pcall(write_lines, self, out, table_ and "\t" or " ", head) end
  local closed, why2 = out:close()
  if good and closed then closed, why2 = os.rename(temporary, path) end
  if not (good and closed) then
    os.remove(temporary)
    err.raise { code = "EIO", file = path, message = "cannot be written: " .. tostring(why2 or e) }
  end
end

return M
