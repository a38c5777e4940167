#!lua flags=allow-oom
-- Ends a hold without a charge. What is settled or gone stays as it is. Source: design §3.
-- KEYS  1 account  2 key  3 holds  4 receipts  5 due
-- ARGV  1 hold id  2 due member  3 '1': it does not count in requests per minute
-- Reply {'ok'}   {'stale', 'account'}
-- Cost  O(log holds of the shard)
-- @include numbers hold bucket key

local function uncount(name)
  local f = redis.call('HMGET', name, 'inc', 'rpm', 'rlvl')
  if f[1] ~= INC or not f[2] or f[2] == '' then return end
  redis.call('HSET', name, 'rlvl', int(math.min(f[2] * UNIT, f[3] + UNIT)))
end

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held', 'plain')
if acct[1] ~= INC or not acct[2] then return { 'stale', 'account' } end

local old = redis.call('HGET', KEYS[3], ARGV[1])
if not old then return { 'ok' } end
local h = read_hold(old)
if h.state ~= 'H' then return { 'ok' } end

redis.call('HSET', KEYS[1], 'avail', int(acct[2] + h.micros), 'held', int(acct[3] - h.micros))
move_key(KEYS[2], h.day, -h.micros, -h.micros, -1, h.tokens)
if acct[4] == '0' then move_key(KEYS[1], h.day, 0, 0, -1, h.tokens) end
if ARGV[3] == '1' then
  uncount(KEYS[2])
  uncount(KEYS[1])
end
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[2])
return { 'ok' }
