local core = require "dynamo.core"
local dynamo = require "dynamo"
local stream = require "dynamo.stream"

local CELLS, GENES, PERTURBED = 600, 80, 5

local function temporary()
  local name = os.tmpname()
  os.remove(name)
  return name .. ".h5ad"
end

-- Counts of 600 cells, every sixth a control; `change(x)` makes another matrix of them.
local function content(change)
  local labels, cells, genes = {}, {}, {}
  for i = 1, CELLS do
    labels[i] = i % (PERTURBED + 1) == 0 and "control" or "gene" .. i % (PERTURBED + 1)
    cells[i] = "cell" .. i
  end
  for j = 1, GENES do genes[j] = "gene" .. j end
  local x = (core.randn(7, CELLS, GENES) * 2):maximum(0):floor()
  return { x = change(x), obs_names = cells, var_names = genes, obs = { { name = "condition", values = labels, categorical = true } } }
end

local function with_file(change, body)
  local path = temporary()
  core.h5ad_write(path, content(change))
  local ok, e = pcall(body, path)
  os.remove(path)
  assert(ok, e)
end

local function raises(pattern, f, ...)
  local ok, e = pcall(f, ...)
  assert(not ok and tostring(e):find(pattern), ("expected '%s', got %s"):format(pattern, tostring(e)))
end

local function near(a, b, tolerance) return (a - b):abs():max():item() <= (tolerance or 1e-12) end
local function same(a, b) return (a - b):abs():max():item() == 0 end
local function dense(x) return core.is_sparse(x) and x:dense() or x end
local function identity(x) return x end
local forms = { sparse = core.sparse_from_dense, dense = identity }
local little = { memory = 65536 }

test("a stream gives every cell once, in shards that fit its memory", function()
  for _, form in pairs(forms) do
    with_file(form, function(path)
      local f = core.h5_open(path)
      local x, s = dense((f:matrix())), f:stream(nil, little)
      f:close()
      local cells, genes, shard = s:size()
      assert(cells == CELLS and genes == GENES and shard < 100, shard)
      s:start()
      local at = 1
      while true do
        local part, first, info = s:next()
        if not part then break end
        assert(first == at and info.nonfinite == 0 and info.integers)
        assert(same(dense(part), x:rows(first, first + part:size(1) - 1)))
        at = at + part:size(1)
      end
      assert(at == CELLS + 1 and s:next() == nil)
      local cost = s:cost()
      assert(cost.shards == math.ceil(CELLS / shard) and cost.waited >= 0 and cost.busy > 0)
      s:start { 3, 1 }
      local _, third = s:next()
      assert(third == 2 * shard + 1)
      raises("is not an integer in", s.start, s, { 10000 })
      assert(tostring(s):find "600 cells")
      s:close()
      raises("closed", s.next, s)
    end)
  end
end)

test("a shuffled pass depends on the seed alone", function()
  with_file(forms.sparse, function(path)
    local f = core.h5_open(path)
    local B = stream.open(f, nil, little)
    local x = dense((f:matrix()))
    f:close()
    local function order(seed, threads)
      local all = {}
      B:each(function(part, places)
        assert(same(dense(part), x:index(1, places)))
        for _, p in ipairs(places) do all[#all + 1] = p end
      end, { shuffle = seed, threads = threads })
      return all
    end
    local one = order(1, 1)
    assert(#one == CELLS and table.concat(one, " ") == table.concat(order(1, 3), " "))
    assert(table.concat(one, " ") ~= table.concat(order(2), " "))
    table.sort(one)
    for i, p in ipairs(one) do assert(i == p) end
  end)
end)

test("rows, columns, products and means are those of the matrix in memory", function()
  for _, form in pairs(forms) do
    with_file(form, function(path)
      local f = core.h5_open(path)
      local B, x = stream.open(f, nil, little), dense((f:matrix()))
      f:close()
      assert(stream.is(B) and not stream.is(x) and B:size(1) == CELLS and B:size(2) == GENES)
      local rows, of = { 599, 3, 3, 1, 250, 251 }, {}
      for i = 1, CELLS do of[i] = i % 4 end
      local t = core.randn(3, GENES, 5)
      assert(near(B:matmul(t), x:matmul(t), 1e-4))
      assert(near(B:index(1, rows):index(1, { 6, 1, 1 }):matmul(t), x:index(1, { 251, 599, 599 }):matmul(t), 1e-4))
      assert(near(B:index(2, { 7, 2 }):matmul(t:rows(1, 2)), x:index(2, { 7, 2 }):matmul(t:rows(1, 2)), 1e-4))
      local whole = core.sparse_from_dense(x)
      assert(near(B:group_means(of, 3), whole:group_means(of, 3)))
      local map = {}
      for j = 1, GENES do map[j] = (j - 1) % 10 + 1 end
      assert(near(B:merge_cols(map, 10):group_means(of, 3), whole:merge_cols(map, 10):group_means(of, 3)))
      assert(B:index(1, {}):matmul(t):size(1) == 0)
      raises("has no 'topk'", function() return B:topk(3) end)
      assert(tostring(B):find "^Streamed%(600x80")
      assert(B:cost().shards > 0)
    end)
  end
end)

test("responses of streamed data are those of data in memory, and a model learns from their cells", function()
  for name, form in pairs(forms) do
    with_file(form, function(path)
      local D, E = dynamo.data.read(path, { stream = little }), dynamo.data.read(path)
      assert(D.format == "streamed" and D.values == E.values and D.n == E.n)
      local R, S = D:responses(), E:responses()
      assert(R.cells and #R.rows == #S.rows and near(R.delta, S.delta, 1e-7) and near(R.control, S.control, 1e-7), name)
      assert(R:select({ 1, 2 }).cells.x:size(1) == S:select({ 1, 2 }).cells.x:size(1))
      local embedding = dynamo.embed.random { dim = 8 }:build { genes = R.genes, seed = 1 }
      local function fit(r)
        local env = { responses = r, train = { 1, 2, 3, 4 }, validate = {}, embedding = embedding, seed = 1 }
        local recipe = dynamo.model.koopman { latent = 4, rank = 2, epochs = 8 }
        return recipe:fit(env):predict({ r.rows[5] })
      end
      assert(near(fit(R), fit(S), 1e-3), name)
    end)
  end
end)

test("what cannot be streamed is said in a sentence", function()
  with_file(function(x) return core.sparse_from_dense(x) end, function(path)
    raises("one cell needs more", function()
      local f = core.h5_open(path)
      f:stream(nil, { memory = 16 })
    end)
    raises("no matrix 'nothing'", function() dynamo.data.read(path, { stream = true, layer = "nothing" }) end)
    raises("memory", function() dynamo.data.read(path, { stream = { memory = 5 } }) end)
  end)
  with_file(function(x)
    x = x + 0
    x:rows(500, 500):fill_(0.5)
    return core.sparse_from_dense(x)
  end, function(path)
    raises("the first cells are counts, those from %d+ on are not", function()
      dynamo.data.read(path, { stream = little }):responses()
    end)
  end)
  with_file(function(x)
    x = x + 0
    x:rows(450, 450):fill_(0 / 0)
    return core.sparse_from_dense(x)
  end, function(path)
    raises("NaN or infinite at cell 450", function() dynamo.data.read(path, { stream = little }):responses() end)
  end)
end)

test("cells that were kept while the responses were computed are not read again", function()
  with_file(forms.sparse, function(path)
    local D = dynamo.data.read(path, { stream = true })
    local R, S = D:responses(), dynamo.data.read(path):responses()
    local before, list = D.x:cost().shards, {}
    for i, row in ipairs(R.cells.row_of) do if row < 3 then list[#list + 1] = i end end
    local t = core.randn(3, GENES, 5)
    assert(near(R.cells.x:index(1, list):matmul(t), S.cells.x:index(1, list):matmul(t), 1e-5))
    local seen = {}
    R.cells.x:index(1, list):index(2, { 4, 2 }):each(function(part, places)
      for i, p in ipairs(places) do seen[p] = part:index(1, { i }) end
    end, { shuffle = 5 })
    local expected = dense(S.cells.x:index(1, list):index(2, { 4, 2 }))
    for p = 1, #list do assert(near(dense(seen[p]), expected:rows(p, p), 1e-6), p) end
    assert(D.x:cost().shards == before and #R.cells.x:known(list) == #list)
    local embedding = dynamo.embed.random { dim = 8 }:build { genes = R.genes, seed = 1 }
    dynamo.model.koopman { latent = 4, rank = 2, epochs = 2 }:fit { responses = R, train = { 1, 2, 3, 4 }, validate = {},
      embedding = embedding, seed = 1 }
    assert(D.x:cost().shards == before)
  end)
end)

test("no more cells are kept than the memory of the stream holds", function()
  with_file(forms.sparse, function(path)
    local D = dynamo.data.read(path, { stream = little }) -- 64 KiB: 252 cells of 260 bytes
    local R = D:responses()
    local all, before = {}, D.x:cost().shards
    for i = 1, #R.cells.row_of do all[i] = i end
    local known = R.cells.x:known(all)
    assert(#known > 200 and #known <= 252, #known)
    R.cells.x:index(1, known):matmul(core.randn(3, GENES, 2))
    assert(D.x:cost().shards == before)
    R.cells.x:matmul(core.randn(3, GENES, 2))
    assert(D.x:cost().shards > before)
  end)
end)

test("values that are not finite are masked in streamed data as in memory", function()
  with_file(function(x)
    x = x + 0
    x:rows(450, 450):narrow(2, 7, 7):fill_(0 / 0)
    return core.sparse_from_dense(x * 0.5)
  end, function(path)
    local function read(how) return dynamo.data.read(path, { stream = how, nonfinite = "mask" }):responses() end
    local R, S = read(little), read(nil)
    assert(R.mask and S.mask and same(R.mask, S.mask) and near(R.delta, S.delta, 1e-7) and not R.cells)
  end)
end)

test("several streamed files are one, as in memory", function()
  with_file(forms.sparse, function(one)
    with_file(function(x) return core.sparse_from_dense((x * 2):index(2, (function()
      local back = {}
      for j = 1, GENES do back[j] = GENES + 1 - j end
      return back
    end)())) end, function(two)
      local function read(how) return dynamo.data.read({ one, two }, { stream = how }):responses() end
      local R, S, t = read(little), read(nil), core.randn(3, GENES, 5)
      assert(stream.is(R.cells.x) and #R.rows == #S.rows and near(R.delta, S.delta, 1e-7))
      assert(near(R.cells.x:matmul(t), S.cells.x:matmul(t), 1e-4) and R.cells.x:size(1) == 2 * CELLS)
      local list = { 1200, 3, 3, 700, 601, 600 }
      local part, in_memory = R.cells.x:index(1, list), S.cells.x:index(1, list)
      assert(near(part:matmul(t), in_memory:matmul(t), 1e-4) and part:size(1) == 6 and tostring(part):find "2 files")
      assert(near(part:index(2, { 5, 1 }):matmul(t:rows(1, 2)), in_memory:index(2, { 5, 1 }):matmul(t:rows(1, 2)), 1e-4))
      assert(near(part:group_means({ 1, 2, 2, 1, 0, 1 }, 2), in_memory:group_means({ 1, 2, 2, 1, 0, 1 }, 2), 1e-6))
      local map = {}
      for j = 1, GENES do map[j] = (j - 1) % 10 + 1 end
      assert(near(part:merge_cols(map, 10):matmul(t:rows(1, 10)), in_memory:merge_cols(map, 10):matmul(t:rows(1, 10)), 1e-4))
      assert(#R.cells.x:known(list) > 0 and R.cells.x:cost().shards > 0)
      raises("has no 'topk'", function() return part:topk(3) end)
    end)
  end)
end)
