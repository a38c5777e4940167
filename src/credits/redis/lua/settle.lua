#!lua flags=allow-oom
-- Turns a hold into its charge and keeps the receipt beside it. The lease stays in `due`, so that
-- recovery finds what nobody posts and clears. Source: design §2.7, §3.
-- KEYS  1 account  2 key  3 holds  4 receipts
-- ARGV  1 hold id  2 micros  3 rev  4 tokens used  5 receipt JSON
-- Reply {'ok', available micros}: settled, or was before at this rev
--       {'gone'}: no such hold   {'late'}: settled at another rev   {'stale', 'account'}
-- Cost  O(1)
-- @include numbers hold bucket key

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held')
if acct[1] ~= INC or not acct[2] then return { 'stale', 'account' } end

local old = redis.call('HGET', KEYS[3], ARGV[1])
if not old then return { 'gone' } end
local h = read_hold(old)
if h.state == 'S' then
  if h.rev == tonumber(ARGV[3]) then return { 'ok', tonumber(acct[2]) } end
  return { 'late' }
end

local held, micros = h.micros, tonumber(ARGV[2])
local avail = acct[2] + held - micros
redis.call('HSET', KEYS[1], 'avail', int(avail), 'held', int(acct[3] - held))
move_key(KEYS[2], h.day, micros - held, -held, -1, h.tokens - tonumber(ARGV[4]))
h.state, h.micros, h.rev = 'S', micros, tonumber(ARGV[3])
redis.call('HSET', KEYS[3], ARGV[1], write_hold(h))
redis.call('HSET', KEYS[4], ARGV[1], ARGV[5])
return { 'ok', avail }
