#!lua
-- Brings an account from Postgres: the only way its state enters Redis. Source: design §4 (load).
-- KEYS  1 account  2 holds
-- ARGV  1 token  2 posted micros  3 credit limit micros  4 status  5 version  6 change_seq
--       of all keys together: 7 requests a minute  8 tokens a minute  9 concurrency ('' = none)
-- Reply {'ok'}   {'refused'}: begin again
-- Cost  O(holds of the account)
-- @include numbers hold bucket

local a = redis.call('HMGET', KEYS[1], 'tok', 'tok_inc', 'seen', 'ltok', 'inc', 'lver', 'chg',
  'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'mark')
local version = tonumber(ARGV[5])
if a[1] ~= ARGV[1] or a[2] ~= INC then
  local brought = a[4] == ARGV[1] and a[5] == INC and tonumber(a[6]) >= version
    and tonumber(a[7]) >= tonumber(ARGV[6])
  return { brought and 'ok' or 'refused' }
end
if version < tonumber(a[3]) then return { 'refused' } end

local held, settled, open = 0, 0, 0
local records = redis.call('HGETALL', KEYS[2])
for i = 2, #records, 2 do
  local h = read_hold(records[i])
  if h.state == 'H' then
    held, open = held + h.micros, open + 1
  else
    settled = settled + h.micros
  end
end
local now, plain = now_ms(), ARGV[7] == '' and ARGV[8] == '' and ARGV[9] == ''
local rlvl, rat = load_level(ARGV[7], a[5] == INC, a[8], a[9], a[10], now)
local tlvl, tat = load_level(ARGV[8], a[5] == INC, a[11], a[12], a[13], now)
-- Small hashes are searched from the front: what every command needs comes first.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'inc', INC, 'avail', int(ARGV[2] - held - settled), 'held', int(held),
  'plain', plain and '1' or '0', 'limit', ARGV[3], 'status', ARGV[4], 'mark', a[14] or '',
  'lver', ARGV[5],
  'seen', int(math.max(version, tonumber(a[3]))), 'chg', ARGV[6], 'tok', '', 'ltok', ARGV[1],
  'budget', '', 'rpm', ARGV[7], 'rlvl', rlvl, 'rat', rat, 'tpm', ARGV[8], 'tlvl', tlvl,
  'tat', tat, 'conc', ARGV[9], 'open', int(ARGV[9] ~= '' and open or 0))
return { 'ok' }
