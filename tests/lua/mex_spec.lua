-- 10x folders and MatrixMarket files.
local core = require "dynamo.core"
local data = require "dynamo.data"
local inspect = require "dynamo.inspect"
local mex = require "dynamo.mex"

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

-- A folder with these files; removed afterwards, whatever happens.
local function folder(files, f)
  local dir = os.tmpname()
  os.remove(dir)
  os.execute("mkdir " .. dir)
  for name, text in pairs(files) do write(dir .. "/" .. name, text) end
  local ok, e = pcall(f, dir)
  os.execute("rm -r " .. dir)
  if not ok then error(e, 0) end
end

local matrix = "%%MatrixMarket matrix coordinate integer general\n3 4 5\n1 1 5\n2 1 5\n2 2 3\n1 3 1\n3 4 9\n"
local function files(more)
  local t = { ["matrix.mtx"] = matrix,
    ["features.tsv"] = "ENSG00000105610\tKLF1\tGene Expression\nENSG00000130656\tHBZ\tGene Expression\nCD3\tCD3\tAntibody Capture\n",
    ["barcodes.tsv"] = "AA-1\nAC-1\nAG-1\nAT-1\n",
    ["cells.csv"] = "cell_barcode,perturbation,n\nAG-1,KLF1,3\nAA-1,control,1\nAC-1,control,2\n" }
  for k, v in pairs(more or {}) do t[k] = v or nil end
  return t
end

test("a 10x folder: cells, symbols, one feature type, columns from a table", function()
  folder(files(), function(dir)
    local D = data.read(dir, { cells = dir .. "/cells.csv" })
    assert(D.n == 4 and table.concat(D.genes, " ") == "KLF1 HBZ" and D.values == "log1p of counts")
    local R = D:responses()
    assert(#R.rows == 1 and R.rows[1].perturbation == "KLF1")
    near(R.control:get(1, 1), math.log(5001) / 2, 1e-6)
    near(R.delta:get(1, 1), math.log(10001) - math.log(5001) / 2, 1e-6)
    local all = data.read(dir, { perturbation = false, features = false })
    assert(#all.genes == 3)
    local f = mex.open(dir, { cells = dir .. "/cells.csv" })
    assert(f:kind() == "10x" and f:column("obs", "n").values:get(3) == 3 and f:names "obs"[4] == "AT-1")
    raises("did you mean 'perturbation'", f.column, f, "obs", "perturbatin")
    assert(table.concat(inspect.describe(dir), "\n"):find("10x matrix, 4 cells x 3 genes", 1, true))
    raises("no feature of type 'Guide'", data.read, dir, { perturbation = false, features = "Guide" })
  end)
end)

test("10x files with a prefix, of Cell Ranger 2, with a header", function()
  folder({ ["GSM1_matrix.mtx"] = matrix, ["GSM1_genes.tsv"] = "E1\tA\nE2\tB\nE3\tC\n",
    ["GSM1_barcodes.tsv"] = "barcode\tperturbation\na\tcontrol\nb\tcontrol\nc\tA\nd\tB\n" }, function(dir)
    local D = data.read(dir .. "/GSM1_matrix.mtx")
    assert(#D.genes == 3 and #D:responses().rows == 2)
  end)
end)

test("a table of cells with text alone has a header, too", function()
  folder(files { ["cells.csv"] = "cell,perturbation\nAG-1,KLF1\nAA-1,control\nAC-1,control\n" }, function(dir)
    assert(#data.read(dir, { cells = dir .. "/cells.csv" }):responses().rows == 1)
  end)
end)

test("10x folders that do not fit together", function()
  folder(files { ["barcodes.tsv"] = "AA-1\nAC-1\n" }, function(dir)
    raises("2 lines for 4 columns of the matrix", mex.open, dir)
  end)
  folder(files { ["cells.csv"] = "cell_barcode,x\nzz,1\n" }, function(dir)
    raises("is a barcode", mex.open, dir, { cells = dir .. "/cells.csv" })
  end)
  folder({ ["matrix.mtx"] = matrix }, function(dir)
    raises("no features.tsv or genes.tsv", mex.open, dir)
  end)
end)

test("mtx_read: as it is, and transposed", function()
  folder(files(), function(dir)
    local x, info = core.mtx_read(dir .. "/matrix.mtx")
    assert(x:get(3, 4) == 9 and info.integers and info.max == 9)
    assert(core.mtx_read(dir .. "/matrix.mtx", { transpose = true }):get(4, 3) == 9)
    raises("not a MatrixMarket file", core.mtx_read, dir .. "/cells.csv")
  end)
end)
