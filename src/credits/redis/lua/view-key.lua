#!lua flags=no-writes
-- A key in one picture.
-- KEYS  1 key  2 holds
-- ARGV  1 key id
-- Reply {status, budget, spend, first day, requests a minute, tokens a minute, concurrency, open,
--        change_seq, load version, hold id, record, hold id, record, …}; '' = none
--       {}: not loaded in this incarnation
--       Holds are those of the key, where it has a budget.
-- Cost  O(1); with a budget O(holds of the account)
-- @include hold

local k = redis.call('HMGET', KEYS[1], 'inc', 'status', 'budget', 'spend', 'start', 'rpm', 'tpm',
  'conc', 'open', 'chg', 'lver')
if k[1] ~= INC then return {} end
table.remove(k, 1)
local records = k[2] ~= '' and redis.call('HGETALL', KEYS[2]) or {}
for i = 2, #records, 2 do
  if lease_of(records[i]) == ARGV[1] then
    k[#k + 1] = records[i - 1]
    k[#k + 1] = records[i]
  end
end
return k
