--- What the real cells say about each row of Responses: which genes differ from control, which tell a perturbation from the
--- others. For scoring alone; it sees test cells.
--
-- Tests (metrics.md, section 12 of the definitions): Welch against the control cells of the context, BH over genes; for
-- weights, Welch with overestimated variance against the cells of all other perturbations of the context.
local core = require "dynamo.core"
local metrics = require "dynamo.metrics"
local prepare = require "dynamo.prepare"

local M = {}

local class = {}
class.__index = class

local known = setmetatable({}, { __mode = "k" })

--- The truth of Responses, or nil if they have no cells. The same object for the same Responses.
---@param R table
---@return table?
function M.of(R)
  if not R.cells then return nil end
  if not known[R] then
    known[R] = setmetatable({ cells = R.cells, rows = R.rows, contexts = R.contexts, genes = #R.genes,
      control = R.control, control_by = R.control_by, de_of = {},
      weight_of = {} }, class)
  end
  return known[R]
end

--- The same truth with weights from some of a row's cells only: those for which take(row, cell) is true.
---@param take fun(row: integer, cell: integer): boolean
---@return table
function class:restricted(take)
  local new = {}
  for k, v in pairs(self) do new[k] = v end
  new.take, new.weight_of = take, {}
  return setmetatable(new, class)
end

--- Codes of the cells for a test: 1 for those of the row (or chosen among them by `take(cell)`), 2 for what it is tested
--- against in its context, else 0. Second: how many of each.
---@param row integer
---@param against string  "control" or "others"
---@param take? fun(cell: integer): boolean
---@return integer[] codes, integer n1, integer n2
function class:codes(row, against, take)
  local c, out, count, context = self.cells, {}, { 0, 0 }, nil
  for k, name in ipairs(self.contexts) do
    if name == self.rows[row].context then context = k end
  end
  for i, r in ipairs(c.row_of) do
    local code = 0
    if r == row then
      code = (not take or take(i)) and 1 or 0
    elseif c.context_of[i] == context and (r == 0) == (against == "control") then
      code = 2
    end
    out[i] = code
    if code > 0 then count[code] = count[code] + 1 end
  end
  return out, count[1], count[2]
end

--- The cells as a Sparse (genes, cells), made once.
function class:by_gene()
  if not self.transposed then
    local x = self.cells.x
    self.transposed = (core.is_sparse(x) and x or core.sparse_from_dense(x)):t()
  end
  return self.transposed
end

--- A test of a row's cells: { score, p, q, log2fc, mean1, mean2, df } (Tensors of one number per gene), or nil with fewer than
--- two cells on a side.
---@param row integer
---@param against string  "control" or "others"
---@param test string  see prepare.rank_genes
---@param take? fun(cell: integer): boolean
---@return table?
function class:test(row, against, test, take)
  local codes, n1, n2 = self:codes(row, against, take)
  if n1 < 2 or n2 < 2 then return nil end
  local r = core.diffexpr(self:by_gene(), codes, { test = test })
  r.q, r.log2fc = core.bh(r.p), prepare.log2_fold(r.mean1, r.mean2)
  return r
end

--- How the reference of rows moves from the control mean of their context to that of their batches (reference control=batch):
--- Tensor (#rows, G), or nil where it is that already or no cell has a batch.
---@param rows integer[]
---@return userdata?
function class:batch_shift(rows)
  if self.control_by == "batch" or not self.cells.batch_of then return nil end
  if self.shift == nil then
    self.shift = require("dynamo.preparation").batch_shift(self.cells, self.rows, self.contexts, self.control) or false
  end
  return self.shift and self.shift:index(1, rows) or nil
end

--- Differential expression of a row against control (Welch); with too few cells nothing is significant.
---@param row integer
---@return table
function class:de(row)
  if not self.de_of[row] then
    self.de_of[row] = self:test(row, "control", "welch") or { score = core.zeros(self.genes, "double"),
      q = core.full(1, self.genes, "double"), log2fc = core.zeros(self.genes, "double") }
  end
  return self.de_of[row]
end

local function stack(self, rows, f)
  local blocks = {}
  for k, i in ipairs(rows) do
    local v = f(i)
    blocks[k] = v:masked_fill(v:isnan(), 0):reshape(1, self.genes)
  end
  return core.cat(blocks, 1)
end

--- Scores against control of several rows: Tensor (#rows, G).
---@param rows integer[]
---@return userdata
function class:scores(rows) return stack(self, rows, function(i) return self:de(i).score end) end

--- 1 where q < 0.05 against control: Tensor (#rows, G).
---@param rows integer[]
---@return userdata
function class:calls(rows) return stack(self, rows, function(i) return self:de(i).q:lt(0.05):to "double" end) end

--- Weights of wmse and wr2: how well each gene tells the row from the other perturbations. Tensor (#rows, G).
---@param rows integer[]
---@return userdata
function class:weights(rows)
  return stack(self, rows, function(i)
    if not self.weight_of[i] then
      local take = self.take
      local r = self:test(i, "others", "overestim", take and function(cell) return take(i, cell) end)
      self.weight_of[i] = r and metrics.weights(r.score) or core.zeros(self.genes, "double")
    end
    return self.weight_of[i]
  end)
end

--- Columns of the significant genes of a row, largest |log2 fold change| first, among the allowed ones.
---@param row integer
---@param allowed? table<integer, boolean>
---@return integer[]
function class:significant(row, allowed)
  local r, out = self:de(row), {}
  local q = r.q:totable()
  for _, j in ipairs((r.log2fc:abs() * -1):argsort()) do
    if q[j] < 0.05 and (not allowed or allowed[j]) then out[#out + 1] = j end
  end
  return out
end

return M
