#!lua flags=no-writes
-- All of an account in one picture, for balances and checks.
-- KEYS  1 account  2 holds
-- Reply {available, limit, status, change_seq, load version, requests a minute, tokens a minute,
--        concurrency ('' = none), open, hold id, record, hold id, record, …}
--       {}: not loaded in this incarnation
-- Cost  O(holds of the account)

local a = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'limit', 'status', 'chg', 'lver',
  'rpm', 'tpm', 'conc', 'open')
if a[1] ~= INC or not a[2] then return {} end
local reply = { a[2], a[3], a[4], a[5], a[6], a[7] or '', a[8] or '',
  a[9] or '', a[10] or 0 }
for _, text in ipairs(redis.call('HGETALL', KEYS[2])) do reply[#reply + 1] = text end
return reply
