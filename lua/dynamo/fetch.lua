--- `dynamo fetch NAME`: public data sets and networks, downloaded by the program curl, checked and kept.
--
--     local path = dynamo.fetch "collectri"      -- the file, from the cache if it is there
--     local grn  = dynamo.graph.read(path)
--
-- A download goes on where it stopped, is compared with the size and digest that its archive publishes, and has its name
-- only when it is complete. Nothing else in dynamo uses the network.
local catalogue = require "dynamo.catalogue"
local core = require "dynamo.core"
local err = require "dynamo.error"
local json = require "dynamo.json"
local label = require "dynamo.label"
local options = require "dynamo.options"
local tables = require "dynamo.table"

local M = { schema = {} }

M.schema.fetch = {
  folder = { type = "string", help = "where files are kept; default: $XDG_CACHE_HOME/dynamo or ~/.cache/dynamo" },
  catalogue = { type = "string", help = "a JSON file of entries beside the known ones, of the same form" },
  refresh = { default = false, help = "download again what is there" },
  check = { default = false, help = "compare what is there with its digest" },
  timeout = { type = "integer", default = 30, min = 1, max = 3600,
    help = "seconds without an answer, or with less than 1 kB/s, after which to try again" },
  tries = { type = "integer", default = 5, min = 1, max = 100, help = "in a row without a byte of progress" },
  quiet = { default = false, help = "no progress" },
}

local function fail(code, file, message, hint) err.raise { code = code, file = file, message = message, hint = hint } end

-- ---- the catalogue -----------------------------------------------------------------------------------

-- Whether a file of an entry may be what it says: names are names, not paths; addresses are http.
local function check_file(where, f)
  if type(f) ~= "table" or type(f.name) ~= "string" or not f.name:match "^%w[%w._-]*$" then
    fail("EFORMAT", where, "a file needs a name of letters, digits and . _ -")
  end
  if type(f.url) ~= "string" or not f.url:match "^https?://[%w%-._~:/?#%[%]@!$&()*+,;=%%]+$" then
    fail("EFORMAT", where, ("%s: '%s' is no address of the form https://..."):format(f.name, label.safe(f.url)))
  end
  for _, d in ipairs { { "md5", 32 }, { "sha256", 64 } } do
    local key, n = d[1], d[2]
    if f[key] ~= nil and not (type(f[key]) == "string" and #f[key] == n and f[key]:match "^%x+$") then
      fail("EFORMAT", where, ("%s: %s has %d hexadecimal digits"):format(f.name, key, n))
    end
  end
  if f.size ~= nil and not (type(f.size) == "number" and f.size >= 0 and f.size == math.floor(f.size)) then
    fail("EFORMAT", where, f.name .. ": size is a number of bytes")
  end
  if f.unpack ~= nil and f.unpack ~= "gzip" then fail("EFORMAT", where, f.name .. ": unpack is \"gzip\" or nothing") end
end

local function check_entry(path, name, e)
  local where = ("%s: %s"):format(path, label.safe(name))
  if type(name) ~= "string" or not name:match "^%w[%w._-]*$" or type(e) ~= "table" or type(e.files) ~= "table"
    or #e.files == 0 then
    fail("EFORMAT", where, "an entry has a plain name and a list of files")
  end
  for _, f in ipairs(e.files) do check_file(where, f) end
end

--- The entries by name: the built-in ones (dynamo.catalogue) and those of a JSON file. Raises EIO, EFORMAT.
---@param path? string
---@return table<string, table>
function M.entries(path)
  local out = {}
  for name, e in pairs(catalogue) do out[name] = e end
  if not path then return out end
  local f = io.open(path)
  if not f then fail("EIO", path, "cannot open: no such file") end
  local text = f:read "*a"
  f:close()
  local own = json.decode(text, path)
  if type(own) ~= "table" then fail("EFORMAT", path, "an object of entries expected") end
  for _, name in ipairs(label.sorted_keys_any(own)) do
    check_entry(path, name, own[name])
    out[name] = own[name]
  end
  return out
end

--- Where files are kept: $XDG_CACHE_HOME/dynamo, else ~/.cache/dynamo. Raises EOPTION where there is no home.
---@return string
function M.cache()
  local xdg, home = os.getenv "XDG_CACHE_HOME", os.getenv "HOME"
  if xdg and xdg:match "^/" then return xdg .. "/dynamo" end
  if home and home ~= "" then return home .. "/.cache/dynamo" end
  err.raise { code = "EOPTION", message = "fetch: no HOME and no XDG_CACHE_HOME; where to?", hint = "folder = \"DIR\"" }
end

-- ---- curl ----------------------------------------------------------------------------------------------

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

-- Run a command of the shell: what it printed and its exit status, on every Lua.
local function run(command)
  local p = io.popen(command .. '; echo "exit $?"')
  local text = p and p:read "*a" or ""
  if p then p:close() end
  local out, status = text:match "^(.-)exit (%d+)%s*$"
  return out or text, tonumber(status) or 127
end

local function size_of(path)
  local s = core.stat(path)
  return s and s.size or 0
end

-- What curl's exit status means, and whether another try may help.
local MEANING = {
  [5] = { "the proxy is unknown" }, [6] = { "no such host", again = true }, [7] = { "no connection", again = true },
  [18] = { "the server stopped before the end", again = true }, [23] = { "cannot be written (disk full?)" },
  [25] = { "cannot be written" }, [27] = { "not enough memory" }, [28] = { "the server does not answer", again = true },
  [33] = { "the server cannot go on where it stopped", restart = true }, [35] = { "no secure connection", again = true },
  [47] = { "too many redirections" }, [52] = { "an empty answer", again = true }, [55] = { "the connection broke", again = true },
  [56] = { "the connection broke", again = true }, [60] = { "the server's certificate is not trusted" },
  [63] = { "the file is larger than the catalogue says", code = "EFORMAT" }, [92] = { "the connection broke", again = true },
  [127] = { "the program curl is not installed", hint = "apt-get install curl util-linux" }, [75] = { "another process downloads it" },
  [153] = { "the server sends more than the catalogue says", code = "EFORMAT" }, -- the limit of `ulimit`
}

local function http_problem(code)
  if code == 416 then return { "the server has no more bytes", restart = true } end
  if code == 429 or code >= 500 then return { ("HTTP %d"):format(code), again = true } end
  local words = { [401] = "a password is needed", [403] = "not allowed", [404] = "not found", [410] = "gone" }
  return { ("cannot open: HTTP %d%s"):format(code, words[code] and ", " .. words[code] or "") }
end

-- One try. The lock keeps a second process away from the same file; ulimit ends what is longer than it may be.
local function try(f, part, o)
  local bound = f.size and ("ulimit -f %d; "):format(math.ceil(f.size / 512) + 8) or ""
  local resume = (f.size or f.md5 or f.sha256) and "-C - " or ""
  local bar = not (o.quiet or require("dynamo.progress").quiet) and core.isatty(2)
  local text, status = run(("%sflock -n -E 75 %s curl --fail --location --globoff %s --proto =http,https "
    .. "--proto-redir =http,https --max-redirs 10 --connect-timeout %d --speed-limit 1000 --speed-time %d %s%s"
    .. "--write-out 'http %%{http_code}\\n' --output %s -- %s 2>%s"):format(bound, quote(part .. ".lock"),
    bar and "--progress-bar" or "--silent", o.timeout, o.timeout, resume,
    f.size and ("--max-filesize %.0f "):format(f.size) or "", quote(part), quote(f.url), bar and "&2" or "/dev/null"))
  if status == 0 then return nil end
  if status == 22 then return http_problem(tonumber(text:match "http (%d+)") or 0) end
  return MEANING[status] or { ("curl ended with status %d"):format(status), again = true }
end

-- Download f.url into `part`, as often as it takes; the result is whether it came in several pieces.
local function download(f, part, o)
  if f.size and size_of(part) > f.size then core.remove(part) end
  local idle, pieces = 0, size_of(part) > 0
  while not (f.size and f.size > 0 and size_of(part) == f.size) do
    local before = size_of(part)
    local problem = try(f, part, o)
    if not problem then break end
    pieces = pieces or size_of(part) > 0
    if problem.restart and before > 0 or problem.code then core.remove(part) end
    idle = size_of(part) > before and 0 or idle + 1
    if not (problem.again or problem.restart and before > 0) or idle >= o.tries then
      core.remove(part .. ".lock")
      fail(problem.code or "EIO", f.url, problem[1] .. (idle > 1 and (" (tried %d times)"):format(idle) or ""), problem.hint)
    end
  end
  return pieces
end

-- ---- checks ----------------------------------------------------------------------------------------------

local function first_bytes(path)
  local h = io.open(path, "rb")
  local text = h and h:read(512) or ""
  if h then h:close() end
  return text
end

-- What is wrong with a complete download, or nil.
local function verify(f, part)
  local size, problem = size_of(part), nil
  if f.size and size ~= f.size then
    problem = ("%.0f bytes came, %.0f were expected"):format(size, f.size)
  elseif f.sha256 and core.sha256_file(part) ~= f.sha256:lower() then
    problem = "the SHA-256 differs from the published one: another version, or damaged"
  elseif f.md5 and core.md5_file(part) ~= f.md5:lower() then
    problem = "the MD5 differs from the published one: another version, or damaged"
  elseif size == 0 then
    problem = "the file is empty"
  elseif first_bytes(part):lower():match "^%s*<!doctype html" or first_bytes(part):lower():match "^%s*<html" then
    problem = "a web page came in place of the file"
  end
  if problem then core.remove(part) end
  return problem
end

-- Download and verify; what came in pieces and is wrong (a new version in between?) is tried once more as a whole.
local function complete(f, part, o)
  local pieces = download(f, part, o)
  local problem = verify(f, part)
  if problem and pieces then
    download(f, part, o)
    problem = verify(f, part)
  end
  core.remove(part .. ".lock")
  if problem then fail("EFORMAT", f.url, problem) end
end

local function unpacked(f, part)
  if f.unpack ~= "gzip" then return part end
  local out = part .. ".unpacked"
  local _, status = run(("gzip -dc -- < %s > %s 2>/dev/null"):format(quote(part), quote(out)))
  core.remove(part)
  if status ~= 0 then
    core.remove(out)
    fail("EFORMAT", f.url, "not a gzip file, or damaged")
  end
  return out
end

local function read_record(path)
  local h = io.open(path .. ".json")
  if not h then return nil end
  local ok, r = pcall(json.decode, h:read "*a")
  h:close()
  return ok and type(r) == "table" and r or nil
end

-- What is there and as it was when it came.
local function have(f, path, check)
  local r, s = read_record(path), core.stat(path)
  if not (s and r) or r.url ~= f.url or r.bytes ~= s.size or r.published ~= (f.sha256 or f.md5) then return false end
  return not check or core.sha256_file(path) == r.sha256
end

local function get_file(f, folder, o)
  local path = folder .. "/" .. f.name
  if not o.refresh and have(f, path, o.check) then return path, true end
  core.mkdir(folder)
  local part = path .. ".part"
  if o.refresh then core.remove(part) end
  complete(f, part, o)
  local whole = unpacked(f, part)
  core.rename(whole, path)
  core.write_file(path .. ".json", json.encode({ url = f.url, bytes = size_of(path), sha256 = core.sha256_file(path),
    published = f.sha256 or f.md5 }, true) .. "\n")
  return path, false
end

-- ---- what people call ----------------------------------------------------------------------------------

local function entry_of(name, path)
  local all = M.entries(path)
  if not all[name] then
    err.raise { code = "EOPTION", message = ("fetch: nothing is called '%s'%s"):format(label.safe(name),
      options.suggestion(name, label.sorted_keys(all))) }
  end
  return all[name]
end

--- The files of a data set of the catalogue, downloaded unless they are there.
---
--- Raises EOPTION (unknown name), EIO (network, disk), EFORMAT (size or digest differ, a web page came instead).
---@param name string see dynamo.catalogue, `dynamo fetch --list`
---@param opts? table see fetch.schema.fetch
---@return string path of the first file
---@return string[] paths of all files
---@return table entry of the catalogue
function M.fetch(name, opts)
  local o = options.check("fetch", opts, M.schema.fetch)
  local e, paths = entry_of(name, o.catalogue), {}
  local folder = (o.folder or M.cache()) .. "/" .. name
  for i, f in ipairs(e.files) do paths[i] = get_file(f, folder, o) end
  return paths[1], paths, e
end

local function amount(e)
  local sum = 0
  for _, f in ipairs(e.files) do
    if not f.size then return "?" end
    sum = sum + f.size
  end
  if sum >= 1e9 then return ("%.1f GB"):format(sum / 1e9) end
  return ("%.1f MB"):format(sum / 1e6)
end

-- A value of an entry's options as Lua text.
local function literal(v)
  if type(v) == "string" then return ("%q"):format(v) end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  for i, x in ipairs(v) do parts[i] = literal(x) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- The Lua line that reads an entry: dynamo.data.read("...", { perturbation = "perturbation" }).
---@param e table entry
---@param paths string[]
---@return string
function M.line(e, paths)
  local parts, o = {}, {}
  for k, v in pairs(e.options or {}) do o[k] = v end
  if e.names then o.names = paths[e.names] end
  for _, k in ipairs(label.sorted_keys(o)) do
    parts[#parts + 1] = ("%s = %s"):format(k, literal(o[k]))
  end
  return ("dynamo.%s(%q%s)"):format(e.reader or "read", paths[1], #parts > 0 and ", { " .. table.concat(parts, ", ") .. " }"
    or "")
end

--- The catalogue as text: a table, or all about the entries named. Raises EOPTION, EIO, EFORMAT.
---@param names? string[]
---@param path? string a catalogue beside the built-in one
---@return string
function M.list(names, path)
  if names and #names > 0 then
    local lines = {}
    for _, name in ipairs(names) do
      local e = entry_of(name, path)
      lines[#lines + 1] = ("%s: %s"):format(name, label.safe(e.what or ""))
      for _, key in ipairs { "source", "licence", "cite" } do
        if e[key] then lines[#lines + 1] = ("  %-8s %s"):format(key, label.safe(e[key])) end
      end
      local files = {}
      for i, f in ipairs(e.files) do
        files[i] = f.name
        lines[#lines + 1] = ("  file     %s, %s"):format(f.url, f.size and ("%.0f bytes"):format(f.size) or "size not published")
        if f.sha256 or f.md5 then
          lines[#lines + 1] = ("           %s %s"):format(f.sha256 and "SHA-256" or "MD5", f.sha256 or f.md5)
        end
      end
      lines[#lines + 1] = "  read     " .. M.line(e, files)
    end
    return table.concat(lines, "\n")
  end
  local all, rows = M.entries(path), {}
  for i, name in ipairs(label.sorted_keys(all)) do
    local e = all[name]
    rows[i] = { name, amount(e), label.safe(e.licence or "?"), label.safe(e.what or "") }
  end
  return tables.format({ "name", "size", "licence", "what" }, rows)
end

--- The command: paths on standard output, what to do with them and the licence on standard error.
---@param o table { names =, list =, folder =, catalogue =, refresh =, check =, timeout =, quiet = }
function M.main(o)
  if o.list or #o.names == 0 then
    io.write(M.list(o.names, o.catalogue), "\n")
    return
  end
  for _, name in ipairs(o.names) do
    local _, paths, e = M.fetch(name, { folder = o.folder, catalogue = o.catalogue, refresh = o.refresh, check = o.check,
      timeout = o.timeout, quiet = o.quiet })
    io.write(table.concat(paths, "\n"), "\n")
    if not o.quiet then
      io.stderr:write(("licence: %s; cite: %s\nread it: %s\n"):format(label.safe(e.licence or "?"),
        label.safe(e.cite or "?"), M.line(e, paths)))
    end
  end
end

return M
