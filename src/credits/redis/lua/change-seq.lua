#!lua flags=no-writes
-- change_seq of an account or key as it was loaded. Source: design §4 (sweep).
-- KEYS  1 account or key
-- Reply {change_seq}   {}: not loaded in this incarnation
-- Cost  O(1)

local at = redis.call('HMGET', KEYS[1], 'inc', 'chg')
if at[1] ~= INC then return {} end
return { at[2] }
