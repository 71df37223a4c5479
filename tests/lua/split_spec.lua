local core = require "dynamo.core"
local responses = require "dynamo.responses"
local split = require "dynamo.split"

-- n singles and some doubles in two contexts
local function data(n, doubles, contexts)
  local rows = {}
  for _, c in ipairs(contexts or { "K", "R" }) do
    for i = 1, n do rows[#rows + 1] = { perturbation = ("G%02d"):format(i), context = c } end
    for _, d in ipairs(doubles or {}) do rows[#rows + 1] = { perturbation = d, context = c } end
  end
  return responses.new { genes = { "X" }, contexts = contexts or { "K", "R" }, rows = rows, delta = core.zeros(#rows,
    1, "double") }
end

local function doubles(n)
  local out = {}
  for i = 1, n do
    for j = i + 1, n do
      if (i + j) % 3 == 0 then out[#out + 1] = ("G%02d+G%02d"):format(i, j) end
    end
  end
  return out
end

local function names(R, list)
  local out = {}
  for i, k in ipairs(list) do out[i] = R.rows[k].context .. ":" .. R.rows[k].perturbation end
  return table.concat(out, " ")
end

test("split.unseen_genes: no test gene in training, also inside combinations, the same genes in every context",
  function()
  local R = data(40, doubles(20))
  local S = split.unseen_genes { test = .25, validate = .1, seed = 3 }:make(R)
  local part = {}
  for _, p in ipairs { "train", "validate", "test" } do
    for _, i in ipairs(S[p]) do
      for _, g in ipairs(R.rows[i].targets) do
        assert(part[g] == nil or part[g] == p, g)
        part[g] = p
      end
    end
  end
  local n = { train = 0, validate = 0, test = 0 }
  for _, p in pairs(part) do n[p] = n[p] + 1 end
  assert(n.test == 10 and n.validate == 3 and n.train == 27)
  local singles = 0
  for _, i in ipairs(S.test) do
    singles = singles + (#R.rows[i].targets == 1 and 1 or 0)
    assert(S.group[i] == (#R.rows[i].targets == 1 and "unseen" or "0/2 seen"))
  end
  assert(singles == 20 and S.notes[1]:find "combinations of genes from different parts")
  assert(names(R, S.test) == names(R, split.unseen_genes { seed = 3 }:make(R).test))
  assert(names(R, S.test) ~= names(R, split.unseen_genes { seed = 4 }:make(R).test))
  assert(names(R, split.unseen_genes {}:make(R, 4).test) == names(R, split.unseen_genes { seed = 4 }:make(R).test))
  local mixed = split.unseen_genes { seed = 3, mixed = "test" }:make(R)
  assert(#mixed.test > #S.test and #mixed.train == #S.train)
end)

test("split: the permutation is the same on every interpreter", function()
  local R = data(12, nil, { "K" })
  local S = split.unseen_genes { test = .25, validate = .2, seed = 1 }:make(R)
  local p = core.permutation(12, 1, "split")
  local want = {}
  for k = 1, 3 do want[k] = ("K:G%02d"):format(p[k]) end
  table.sort(want)
  assert(names(R, S.test) == table.concat(want, " "), names(R, S.test))
end)

test("split.column: the file's parts, validation genes from train", function()
  local R = data(20, nil, { "K" })
  for i, r in ipairs(R.rows) do r.part = i <= 15 and "train" or "test" end
  local S = split.column { validate = .2 }:make(R)
  assert(#S.test == 5 and #S.validate == 3 and #S.train == 12)
  R.rows[20].part, R.rows[1].part = nil, "validate"
  S = split.column {}:make(R)
  assert(#S.validate == 1 and #S.test == 4 and S.notes[1] == "1 rows without a part are left out")
  R = data(20)
  for _, r in ipairs(R.rows) do
    r.part = (r.context == "K" and r.perturbation < "G16" or r.perturbation > "G05" and r.context == "R") and "train"
      or "test"
  end
  raises("G01 is in both train (G01) and test (G01)", function() return split.column {}:make(R) end)
  S = split.column { conflict = "drop" }:make(R)
  assert(#S.train + #S.validate == 20 and #S.test == 10)
  S = split.contexts { test = "R", parts = "column", validate = .1 }:make(R)
  assert(#S.test == 5 and #S.train + #S.validate == 10 and #S.native.train + #S.native.validate == 15)
  raises("no row has a part", function() return split.column {}:make(data(5)) end)
end)

test("split.combinations: 0, 1 and 2 genes seen as GEARS has it", function()
  local R = data(20, doubles(20))
  local S = split.combinations { test = .25, validate = .1, seed = 2 }:make(R)
  local trained = {}
  for _, i in ipairs(S.train) do
    for _, g in ipairs(R.rows[i].targets) do trained[g] = true end
  end
  local count = {}
  for _, i in ipairs(S.test) do
    local k = 0
    for _, g in ipairs(R.rows[i].targets) do k = k + (trained[g] and 1 or 0) end
    if #R.rows[i].targets == 2 then assert(S.group[i] == k .. "/2 seen") else assert(S.group[i] == "unseen"
      and k == 0) end
    count[S.group[i]] = (count[S.group[i]] or 0) + 1
  end
  assert(count.unseen == 10 and count["0/2 seen"] > 0 and count["1/2 seen"] > 0 and count["2/2 seen"] > 0)
  assert(#S.validate > 0)
end)

test("split.combinations with every single in training: folds cover each double once", function()
  local R, seen = data(20, doubles(12), { "K" }), {}
  local recipe = split.combinations { singles = "all", folds = 4 }
  for seed = 1, 4 do
    local S = recipe:make(R, seed)
    for _, i in ipairs(S.test) do
      assert(#R.rows[i].targets == 2 and S.group[i] == "2/2 seen" and not seen[i])
      seen[i] = true
    end
    for _, i in ipairs(S.validate) do assert(#R.rows[i].targets == 2) end
  end
  assert(#R:where(function(r, i) return #r.targets == 2 and not seen[i] end) == 0)
  raises("fold 9 of 4", function() return split.combinations { singles = "all", folds = 4, fold = 9 }:make(R) end)
end)

test("split.contexts: another line and the same unseen genes", function()
  local R = data(40)
  local S = split.contexts { test = { "R" }, seed = 3 }:make(R)
  local U = split.unseen_genes { seed = 3 }:make(R)
  for _, i in ipairs(S.test) do assert(R.rows[i].context == "R") end
  for _, i in ipairs(S.train) do assert(R.rows[i].context == "K") end
  assert(#S.test == 10 and #S.train == 27 and #S.native.train == 27 and #S.native.validate == 3)
  local in_r = {}
  for _, i in ipairs(U.test) do
    if R.rows[i].context == "R" then in_r[#in_r + 1] = i end
  end
  assert(names(R, in_r) == names(R, S.test))
  local all = split.contexts { test = "R", unseen = 0, validate = 0 }:make(R)
  assert(#all.test == 40 and #all.train == 40 and all.group[all.test[1]] == "seen")
  raises("no context 'RPE1'", function() return split.contexts { test = "RPE1" }:make(R) end)
end)

test("split.given and split.file: names or rows, and what is wrong with them", function()
  local R = data(6, { "G01+G02" }, { "K" })
  local S = split.given { train = { "G01", "G03" }, test = { "G02+G01", 7 } }:make(R)
  assert(names(R, S.test) == "K:G01+G02 K:G06" and S.group[S.test[1]] == "1/2 seen" and #S.notes == 1)
  raises("'G99' is not among the perturbations", function() return split.given { train = { "G99" },
    test = { 1 } }:make(R) end)
  raises("no row 90", function() return split.given { train = { 90 }, test = { 1 } }:make(R) end)
  local path = os.tmpname()
  local function file(text)
    local f = io.open(path, "wb")
    f:write(text)
    f:close()
    return split.file(path):make(R)
  end
  S = file "name\tpart\nG01\ttrain\nG02\ttest\nG03\tval\n"
  assert(#S.train == 1 and #S.validate == 1 and names(R, S.test) == "K:G02")
  S = file '{"train": ["G01"], "test": ["G04"]}'
  assert(names(R, S.test) == "K:G04")
  raises("line 2: NAME<TAB>train, validate or test expected", file, "G01\ttrain\nG02 test\n")
  raises("not JSON", file, "{ oops")
  raises("G02 is in both train (G02) and test (G02)", file, "G02\ttrain\nG02\ttest\n")
  os.remove(path)
  raises("No such file", function() return split.file(path):make(R) end)
end)

test("split.check: what is in both parts stops with its name", function()
  local R = data(4, { "G01+G02" }, { "K" })
  local ok, e = pcall(split.check, R, { name = "x", unit = "gene", train = { R:find("K", "G01+G02") }, validate = {},
    test = { R:find("K", "G02") } })
  assert(not ok and e.code == "ELEAK" and tostring(e):find("G02 is in both train (G01+G02) and test (G02)", 1, true))
  ok, e = pcall(split.check, R, { name = "x", unit = "row", train = { 1 }, validate = {}, test = { 1 } })
  assert(not ok and e.code == "ELEAK" and tostring(e):find("G01 in K is in both train and test", 1, true))
end)

test("split: recipes print themselves and check their options", function()
  assert(tostring(split.unseen_genes { seed = 7 }) == 'split.unseen_genes { mixed = "drop", seed = 7, test = 0.25, validate = 0.1 }',
    tostring(split.unseen_genes { seed = 7 }))
  raises("unknown option 'tset'; did you mean 'test'?", split.unseen_genes, { tset = 1 })
  raises("'test' must be a number 0..0.99", split.unseen_genes, { test = 2 })
  assert(tostring(split.unseen_genes { seed = 1 }:make(data(8, nil,
    { "K" }))) == "Split unseen_genes, seed 1: 5 train, 1 validate, 2 test (2 unseen)")
  raises("no row to test on", function() return split.unseen_genes { test = .01 }:make(data(4)) end)
end)
