#!lua flags=allow-oom
-- Ends a hold whose owner fell silent: at its progress (rev 1), or without a charge when it had
-- none. What is settled is handed out to be posted. Source: design §3 (recovery).
-- KEYS  1 account  2 key  3 holds  4 receipts  5 due
-- ARGV  1 hold id  2 due member  3 deadline seen in both sweeps (engine Unix ms)
-- Reply {'post', micros, rev, receipt JSON, day, reserved ms}
--       {'released'}   {'gone'}: no such hold   {'alive'}: renewed since   {'stale', 'account'}
-- Cost  O(log holds of the shard)
-- @include numbers hold bucket key

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held', 'plain')
if acct[1] ~= INC or not acct[2] then return { 'stale', 'account' } end

local old = redis.call('HGET', KEYS[3], ARGV[1])
if not old then
  redis.call('ZREM', KEYS[5], ARGV[2])
  return { 'gone' }
end
local h = read_hold(old)
if h.due ~= ARGV[3] or now_ms() <= tonumber(h.due) then return { 'alive' } end

if h.state == 'H' then
  local held, micros = h.micros, h.progress
  redis.call('HSET', KEYS[1], 'avail', int(acct[2] + held - micros), 'held', int(acct[3] - held))
  move_key(KEYS[2], h.day, micros - held, -held, -1, 0)
  if acct[4] == '0' then move_key(KEYS[1], h.day, 0, 0, -1, 0) end
  if micros == 0 then
    redis.call('HDEL', KEYS[3], ARGV[1])
    redis.call('HDEL', KEYS[4], ARGV[1])
    redis.call('ZREM', KEYS[5], ARGV[2])
    return { 'released' }
  end
  h.state, h.micros, h.rev = 'S', micros, 1
  redis.call('HSET', KEYS[3], ARGV[1], write_hold(h))
end
local receipt = redis.call('HGET', KEYS[4], ARGV[1]) or ''
return { 'post', h.micros, h.rev, receipt, h.day, tonumber(h.reserved) }
