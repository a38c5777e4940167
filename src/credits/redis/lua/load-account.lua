#!lua
-- Brings an account from Postgres: the only way its state enters Redis. Source: design §4 (load).
-- KEYS  1 account  2 holds
-- ARGV  1 token  2 posted micros  3 credit limit micros  4 status  5 version  6 change_seq
-- Reply {'ok'}   {'refused'}: begin again
-- Cost  O(holds of the account)
-- @include numbers hold

local a = redis.call('HMGET', KEYS[1], 'tok', 'tok_inc', 'seen', 'ltok', 'inc', 'lver', 'chg')
local version = tonumber(ARGV[5])
if a[1] ~= ARGV[1] or a[2] ~= INC then
  local brought = a[4] == ARGV[1] and a[5] == INC and tonumber(a[6]) >= version
    and tonumber(a[7]) >= tonumber(ARGV[6])
  return { brought and 'ok' or 'refused' }
end
if version < tonumber(a[3]) then return { 'refused' } end

local held, settled = 0, 0
local records = redis.call('HGETALL', KEYS[2])
for i = 2, #records, 2 do
  local h = read_hold(records[i])
  if h.state == 'H' then held = held + h.micros else settled = settled + h.micros end
end
redis.call('HSET', KEYS[1], 'inc', INC, 'avail', int(ARGV[2] - held - settled), 'held', int(held),
  'limit', ARGV[3], 'status', ARGV[4], 'chg', ARGV[6], 'lver', ARGV[5],
  'seen', int(math.max(version, tonumber(a[3]))), 'tok', '', 'ltok', ARGV[1])
return { 'ok' }
