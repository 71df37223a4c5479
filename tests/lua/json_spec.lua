local json = require "dynamo.json"

test("json: sorted keys, exact numbers, null for NaN", function()
  assert(json.encode { b = 1, a = { true, "x\n\"" }, c = 0.1 + 0.2 } ==
    '{"a":[true,"x\\n\\""],"b":1,"c":0.30000000000000004}')
  assert(json.encode { 0 / 0, 1 / 0, -2 } == "[null,null,-2]")
  assert(json.encode { x = json.array {} } == '{"x":[]}')
  for _, v in ipairs { 1 / 3, 1e300, 5e-324, 2 ^ 53, -0.1, 123456789012 } do
    assert(json.decode(json.encode { v })[1] == v)
  end
end)

test("json: broken text is an error with the file's name", function()
  assert(json.decode('{"a": [1, null, 3]}').a[3] == 3)
  raises("m.json: not valid JSON", json.decode, '{"a": ', "m.json")
  raises("text after the JSON value", json.decode, '{} {}')
  local t = {}
  t.t = t
  raises("cycle", json.encode, t)
end)

test("decode: at most 100 deep; brackets in strings are no brackets", function()
  assert(json.decode('{"a": "[[[[\\"]]]{{{"}').a == '[[[["]]]{{{')
  assert(json.decode(("["):rep(100) .. ("]"):rep(100))[1])
  raises("nested deeper than 100", json.decode, ("["):rep(100000))
  raises("not valid JSON", json.decode, '"never closed')
end)
