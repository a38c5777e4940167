#!lua flags=no-writes
-- All of an account in one picture, for balances and checks.
-- KEYS  1 account  2 holds
-- Reply {available, limit, status, change_seq, load version, hold id, record, hold id, record, …}
--       {}: not loaded in this incarnation
-- Cost  O(holds of the account)

local a = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'limit', 'status', 'chg', 'lver')
if a[1] ~= INC or not a[2] then return {} end
local reply = { a[2], a[3], a[4], a[5], a[6] }
for _, text in ipairs(redis.call('HGETALL', KEYS[2])) do reply[#reply + 1] = text end
return reply
