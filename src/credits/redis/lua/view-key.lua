#!lua flags=no-writes
-- A key in one picture.
-- KEYS  1 key
-- Reply {status, budget, spend, first day, requests a minute, tokens a minute, concurrency, open,
--        change_seq}; '' = none      {}: not loaded in this incarnation
-- Cost  O(1)

local k = redis.call('HMGET', KEYS[1], 'inc', 'status', 'budget', 'spend', 'start', 'rpm', 'tpm',
  'conc', 'open', 'chg')
if k[1] ~= INC then return {} end
table.remove(k, 1)
return k
