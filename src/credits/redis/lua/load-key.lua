#!lua
-- Brings a key from Postgres. Live holds count into its spend and concurrency; the levels of its
-- rates stay while the incarnation lasts, else they start full. Source: design §4 (load).
-- KEYS  1 key  2 holds
-- ARGV  1 token  2 key id  3 status  4 expires (Unix ms)  5 budget micros  6 period
--       7 first day of the period  8 spend micros  9 requests a minute  10 tokens a minute
--       11 concurrency  12 version  13 change_seq  14 last day with posted spend, 0 = none
--       ('' = none in 4, 5, 6, 9, 10, 11)
-- Reply {'ok'}   {'refused'}: begin again
-- Cost  O(holds of the account)
-- @include numbers hold bucket period

local a = redis.call('HMGET', KEYS[1], 'tok', 'tok_inc', 'seen', 'ltok', 'inc', 'lver', 'chg',
  'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat')
local version = tonumber(ARGV[12])
if a[1] ~= ARGV[1] or a[2] ~= INC then
  local brought = a[4] == ARGV[1] and a[5] == INC and tonumber(a[6]) >= version
    and tonumber(a[7]) >= tonumber(ARGV[13])
  return { brought and 'ok' or 'refused' }
end

local now, budgeted, start = now_ms(), ARGV[5] ~= '', tonumber(ARGV[7])
if budgeted then
  -- Of another period than this clock's: what was posted in this one would be forgotten with it.
  local other = start ~= period_start(ARGV[6], math.floor(now / 86400000))
  if other or version < tonumber(a[3]) then return { 'refused' } end
end

local rlvl, rat = load_level(ARGV[9], a[5] == INC, a[8], a[9], a[10], now)
local tlvl, tat = load_level(ARGV[10], a[5] == INC, a[11], a[12], a[13], now)
local spend, held, open, last = sum_key(redis.call('HGETALL', KEYS[2]), ARGV[2], start)
local plain = ARGV[3] == 'active' and ARGV[4] == '' and not budgeted and ARGV[9] == ''
  and ARGV[10] == '' and ARGV[11] == ''
-- Small hashes are searched from the front: what every command needs comes first.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'inc', INC, 'plain', plain and '1' or '0', 'chg', ARGV[13],
  'seen', int(math.max(version, tonumber(a[3]))), 'lver', ARGV[12], 'status', ARGV[3],
  'expires', ARGV[4], 'budget', ARGV[5], 'period', ARGV[6], 'start', ARGV[7],
  'spend', int(budgeted and ARGV[8] + spend or 0), 'held', int(budgeted and held or 0),
  'rpm', ARGV[9], 'rlvl', rlvl, 'rat', rat, 'tpm', ARGV[10], 'tlvl', tlvl, 'tat', tat,
  'conc', ARGV[11], 'open', int(ARGV[11] ~= '' and open or 0), 'tok', '', 'ltok', ARGV[1],
  'last', int(math.max(last, tonumber(ARGV[14]))))
return { 'ok' }
