#!lua
-- Sets credits aside for one request, all or nothing. Source: design §2.4, §3.
-- KEYS  1 account  2 key  3 holds  4 receipts  5 due
-- ARGV  1 hold id  2 want micros  3 least micros  4 fit shares  5 tokens  6 lease ms
--       7 not after (engine Unix ms)  8 owner  9 draft JSON  10 key id  11 due member
-- Reply {'ok', micros, day, reserved ms, now ms, available micros}: held, or was before by this id
--       {'stale', 'account' | 'key'}: load it, then repeat      {'too_late', now ms}
--       {'blocked', 'frozen' | 'suspended'}                     {'key_invalid'}
--       {'insufficient', available}                             {'held', available, held}
--       {'budget', left, held}
--       {'rate', 'requests' | 'tokens' | 'concurrency', retry after ms}
-- Cost  O(log holds of the shard); O(holds of the account) at the first one of a budget period
-- @include numbers hold bucket period

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'limit', 'status', 'held')
if acct[1] ~= INC or not acct[2] then return { 'stale', 'account' } end
local avail = tonumber(acct[2])
local now = now_ms()

local old = redis.call('HGET', KEYS[3], ARGV[1])
if old then
  local h = read_hold(old)
  return { 'ok', h.micros, h.day, tonumber(h.reserved), now, avail }
end
if now > tonumber(ARGV[7]) then return { 'too_late', now } end

local flat = redis.call('HMGET', KEYS[2], 'inc', 'plain')
if flat[1] ~= INC then return { 'stale', 'key' } end
if acct[4] ~= 'active' then return { 'blocked', acct[4] } end

local day = math.floor(now / 86400000)
local spendable = math.min(avail + tonumber(acct[3]), 9007199254740991)
local budget_left, budget_held = math.huge, 0
local key, spend = nil, 0
local w = {}
local function set(field, n)
  w[#w + 1] = field
  w[#w + 1] = int(n)
end

if flat[2] ~= '1' then
  local f = redis.call('HMGET', KEYS[2], 'status', 'expires', 'budget', 'period', 'start', 'spend',
    'held', 'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'conc', 'open')
  key = { budget = tonumber(f[3]), rpm = tonumber(f[8]), tpm = tonumber(f[11]),
    conc = tonumber(f[14]), open = tonumber(f[15]) }
  if f[1] ~= 'active' or (f[2] ~= '' and now >= tonumber(f[2])) then return { 'key_invalid' } end
  if key.budget then
    spend, budget_held = tonumber(f[6]), tonumber(f[7])
    local start = period_start(f[4], day)
    if start > tonumber(f[5]) then
      spend, budget_held = sum_key(redis.call('HGETALL', KEYS[3]), ARGV[10], start)
      set('start', start)
    end
    budget_left = key.budget - spend
  end
  if key.rpm then key.rlvl = refill(tonumber(f[9]), tonumber(f[10]), key.rpm, now) end
  if key.tpm then key.tlvl = refill(tonumber(f[12]), tonumber(f[13]), key.tpm, now) end
end

local want, fits = tonumber(ARGV[2]), math.min(spendable, budget_left)
local micros = math.min(want, math.max(tonumber(ARGV[3]), math.floor(fits / tonumber(ARGV[4]))))
if micros > spendable then
  local held = tonumber(acct[5])
  if micros <= spendable + held then return { 'held', avail, held } end
  return { 'insufficient', avail }
end
if micros > budget_left then return { 'budget', budget_left, budget_held } end

local taken = 0
if key then
  if key.rpm and key.rlvl < UNIT then
    return { 'rate', 'requests', math.ceil((UNIT - key.rlvl) / key.rpm) }
  end
  if key.tpm then
    taken = math.min(tonumber(ARGV[5]), key.tpm)
    if key.tlvl < taken * UNIT then
      return { 'rate', 'tokens', math.ceil((taken * UNIT - key.tlvl) / key.tpm) }
    end
  end
  if key.conc and key.open >= key.conc then return { 'rate', 'concurrency', 1000 } end
  if key.budget then
    set('spend', spend + micros)
    set('held', budget_held + micros)
  end
  if key.rpm then
    set('rlvl', key.rlvl - UNIT)
    set('rat', now)
  end
  if key.tpm then
    set('tlvl', key.tlvl - taken * UNIT)
    set('tat', now)
  end
  if key.conc then set('open', key.open + 1) end
  if #w > 0 then redis.call('HSET', KEYS[2], unpack(w)) end
end

local due = now + tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'avail', int(avail - micros), 'held', int(acct[5] + micros))
redis.call('HSET', KEYS[3], ARGV[1], write_hold({
  state = 'H', micros = micros, progress = 0, rev = 0, day = day, tokens = taken,
  reserved = int(now), due = int(due), key = ARGV[10], owner = ARGV[8],
}))
redis.call('HSET', KEYS[4], ARGV[1], ARGV[9])
redis.call('ZADD', KEYS[5], int(due), ARGV[11])
return { 'ok', micros, day, now, now, avail - micros }
