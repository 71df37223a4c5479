local core = require "dynamo.core"
local help = require "dynamo.help"

-- What f(...) prints.
local function printed(f, ...)
  local keep, out = print, {}
  rawset(_G, "print", function(...) out[#out + 1] = table.concat({ ... }, "\t") end)
  local ok, e = pcall(f, ...)
  rawset(_G, "print", keep)
  if not ok then error(e, 0) end
  return table.concat(out, "\n")
end

test("without a topic help says what there is", function()
  local text = printed(help.help)
  for _, word in ipairs { "pages: formats", "%f[%w]embed%f[%W]", "%f[%w]model%f[%W]", "Tensor", "svd", "modules" } do
    assert(text:find(word), word)
  end
  for line in text:gmatch "[^\n]+" do assert(#line <= 110, line) end
  assert(printed(help) == text)
end)

test("a page has signature, document, parameters and options", function()
  local text = help.page "embed.node2vec"
  assert(text:match "^embed%.node2vec%(" and text:find("Grover", 1, true) and text:find("options", 1, true))
  assert(text:find("walks", 1, true) and text:find("default 128", 1, true) and text:find("see also", 1, true))
  assert(help.page "dynamo.embed.node2vec" == text and help.page "core.svd" == help.page "svd")
  assert(help.page "model.koopman":find("latent", 1, true))
  assert(help.page "Tensor.add" == help.page "Tensor:add")
  assert(help.page "Tensor":find("Tensor:argsort", 1, true))
  assert(help.page "split":find("split.unseen_genes", 1, true))
  assert(help.page "unseen_genes":match "^split%.unseen_genes")
  assert(help.page "Fitted":find("Fitted:predict", 1, true))
end)

test("every topic has a page that is not empty", function()
  local topics = help.topics()
  assert(#topics > 300)
  for i, name in ipairs(topics) do
    local page, message = help.page(name)
    assert(page and #page > 20, name .. ": " .. tostring(message))
    assert(i == 1 or topics[i - 1] < name)
  end
end)

test("an unknown topic names the nearest", function()
  local page, message = help.page "embed.nod2vec"
  assert(page == nil and message == "no help on 'embed.nod2vec'; did you mean 'embed.node2vec'?")
  raises("did you mean 'Tensor'?", help.help, "Tensr")
  raises("no help on 'a\\x1bb'", help.help, "a\27b")
end)

test("values have pages: objects, functions, modules, recipes", function()
  assert(printed(help.help, core.tensor(1)):find("Tensor:argsort", 1, true))
  assert(printed(help.help, core.svd):find("Thin SVD", 1, true))
  local dynamo = require "dynamo"
  assert(printed(help.help, dynamo.embed):match "^dynamo%.embed")
  assert(printed(help.help, dynamo.embed.random):match "^embed%.random")
  local e = dynamo.embed.random({ "A", "B" }, { dim = 4 })
  assert(printed(help.help, e):find("Embedding:nearest", 1, true))
  assert(printed(help.help, dynamo.model.koopman {}):match "^model%.koopman")
  assert(printed(help.help, 7) == "a number: there is nothing to say about it")
  assert(printed(help.help, {}) == "a table: there is nothing to say about it")
end)

test("apropos searches names and documents", function()
  assert(printed(help.apropos, "SPECTRAL"):find("embed.spectral", 1, true))
  assert(printed(help.apropos, "xyzzy") == "nothing about 'xyzzy'")
end)

test("the manual page names every command, module and function", function()
  local inside = pcall(require, "argparse")
  if not inside then
    print "# skip the manual page: no argparse"
    return
  end
  local text = help.man()
  for _, word in ipairs { ".TH DYNAMO 1", ".SH NAME", ".SH SYNOPSIS", ".SS dynamo run", ".SS dynamo predict",
    ".SH EXIT STATUS", "dynamo.embed", "embed.node2vec", "core.svd", "t:argsort" } do
    assert(text:find(word, 1, true), word)
  end
  for line in text:gmatch "[^\n]+" do
    assert(not line:match "^'" and (not line:match "^%." or line:match '^%.[TS]H ' or line:match "^%.SS " or
      line:match "^%.TP$" or line:match "^%.B " or line:match "^%.nf$" or line:match "^%.fi$" or
      line:match '^%.\\"'), line)
  end
end)
