local M = {}
function M.help() print "no topics yet" end
function M.topics() return {} end
return M
