--- English words that say nothing about a gene: articles, pronouns, prepositions, conjunctions, auxiliaries.
local M = {}

local text = [[
about above across after again against all almost alone along already also although always am among amongst an and another
any anyone anything are around as at be became because become becomes been before being below beside besides between beyond
both but by can cannot could did do does doing done down during each either else elsewhere enough etc even ever every
everything except few first for former from further had has have having he hence her here hers herself him himself his how
however if in indeed into is it its itself just last later latter least less many may me meanwhile might more moreover most
mostly much must my myself neither never nevertheless next no nobody none nor not nothing now of off often on once one only
onto or other others otherwise our ours ourselves out over own per perhaps rather same seem seemed seems several shall she
should since so some something sometimes somewhere still such than that the their theirs them themselves then there
thereby therefore these they this those though through throughout thus to together too toward towards under until up upon
us very via was we well were what whatever when whenever where whereas whereby wherein wherever whether which while who
whole whom whose why will with within without would yet you your yours yourself]]

--- The words, sorted.
---@return string[]
function M.english()
  local out = {}
  for w in text:gmatch "%l+" do out[#out + 1] = w end
  table.sort(out)
  return out
end

return M
