#!lua
-- Begins the load of an account or a key: only what is read from Postgres after this may be loaded.
-- A token of this incarnation that has not expired is shared. Source: design §4 (load).
-- KEYS  1 account or key
-- ARGV  1 candidate token  2 ms a token lasts
-- Reply {token that stands, 1 = it is loaded, if under another incarnation, 0 = it is not,
--       now (Unix ms)}
-- Cost  O(1)
-- @include numbers

local now = now_ms()
local token = redis.call('HMGET', KEYS[1], 'tok', 'tok_inc', 'tok_until', 'inc')
local is_loaded = token[4] and 1 or 0
if token[1] and token[1] ~= '' and token[2] == INC and now < tonumber(token[3]) then
  return { token[1], is_loaded, now }
end
redis.call('HSET', KEYS[1], 'tok', ARGV[1], 'tok_inc', INC, 'tok_until',
  int(now + tonumber(ARGV[2])), 'seen', '0')
return { ARGV[1], is_loaded, now }
