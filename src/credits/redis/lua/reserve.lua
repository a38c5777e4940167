#!lua
-- Sets credits aside for requests of one key, each all or nothing, one after the other: what comes
-- in one turn of a gateway's event loop shares the reading of account and key. Source: design §2.4.
-- KEYS  1 account  2 key  3 holds  4 due
-- ARGV  1 key id  2 account id  3 fit shares  4 lease ms  5 owner
--       6 change_seq that the key must have reached
--       then for each hold: id, want micros, least micros, tokens, not after (engine Unix ms)
-- Reply day, now (engine Unix ms), then for each hold two fields: micros held and available micros;
--       where it is not newly held a list in place of micros, then 0:
--       {'again', micros, day, reserved ms, available micros}: was held before by this id
--       {'stale', 'account' | 'key'}: load it, then repeat      {'too_late'}
--       {'blocked', 'frozen' | 'suspended'}                     {'key_invalid'}
--       {'insufficient', available}       {'held', available, held}: of the account or the budget
--       {'budget', left, held}
--       {'rate', 'requests' | 'tokens' | 'concurrency', retry after ms, 'key' | 'account'}
-- Cost  O(holds named × log holds of the shard); O(holds of the account) at the first one of a
--       budget period
-- @include numbers hold bucket period

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'limit', 'status', 'held', 'plain')
local loaded = acct[1] == INC and acct[2]
local avail, held = tonumber(acct[2] or 0), tonumber(acct[5] or 0)
local limit, shares = tonumber(acct[3] or 0), tonumber(ARGV[3])
local now = now_ms()
local day = math.floor(now / 86400000)
local due = int(now + tonumber(ARGV[4]))
-- What all records and all members of this call end with.
local record_end = ' ' .. int(now) .. ' ' .. due .. ' ' .. ARGV[1] .. ' ' .. ARGV[5]
local member_end = ' ' .. ARGV[1] .. ' ' .. ARGV[2]
local day_text = int(day) .. ' '

local ids = {}
for i = 7, #ARGV, 5 do ids[#ids + 1] = ARGV[i] end
local old = loaded and redis.call('HMGET', KEYS[3], unpack(ids)) or {}

-- The key as it is now: false = not loaded. A plain one has no limits and is not read further.
local function read_key()
  local flat = redis.call('HMGET', KEYS[2], 'inc', 'plain', 'chg')
  if flat[1] ~= INC or tonumber(flat[3]) < tonumber(ARGV[6]) then return false end
  if flat[2] == '1' then return { valid = true } end
  local f = redis.call('HMGET', KEYS[2], 'status', 'expires', 'budget', 'period', 'start', 'spend',
    'held', 'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'conc', 'open')
  local key = { budget = tonumber(f[3]), rpm = tonumber(f[8]), tpm = tonumber(f[11]),
    conc = tonumber(f[14]), open = tonumber(f[15]), limited = true }
  key.valid = f[1] == 'active' and (f[2] == '' or now < tonumber(f[2]))
  if key.budget then
    key.spend, key.held = tonumber(f[6]), tonumber(f[7])
    local start = period_start(f[4], day)
    if start > tonumber(f[5]) then
      key.spend, key.held = sum_key(redis.call('HGETALL', KEYS[3]), ARGV[1], start)
      key.start = start
    end
  end
  if key.rpm then key.rlvl = refill(tonumber(f[9]), tonumber(f[10]), key.rpm, now) end
  if key.tpm then key.tlvl = refill(tonumber(f[12]), tonumber(f[13]), key.tpm, now) end
  return key
end

-- The limits of the account, in fields named like a key's.
local function read_limits()
  local f = redis.call('HMGET', KEYS[1], 'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'conc', 'open')
  local all = { rpm = tonumber(f[1]), tpm = tonumber(f[4]), conc = tonumber(f[7]),
    open = tonumber(f[8]) }
  if all.rpm then all.rlvl = refill(tonumber(f[2]), tonumber(f[3]), all.rpm, now) end
  if all.tpm then all.tlvl = refill(tonumber(f[5]), tonumber(f[6]), all.tpm, now) end
  return all
end

local function write_key(name, key)
  local w = {}
  local function set(field, n)
    w[#w + 1] = field
    w[#w + 1] = int(n)
  end
  if key.start then set('start', key.start) end
  if key.budget then
    set('spend', key.spend)
    set('held', key.held)
  end
  if key.rpm then
    set('rlvl', key.rlvl)
    set('rat', now)
  end
  if key.tpm then
    set('tlvl', key.tlvl)
    set('tat', now)
  end
  if key.conc then set('open', key.open) end
  if #w > 0 then redis.call('HSET', name, unpack(w)) end
end

local key
local limits = acct[6] == '0' and read_limits() or nil
local made, records, members = {}, {}, {}

-- Why the rates of a key or of the account refuse; nil = they do not.
local function rate_refusal(of, asked, whose)
  if of.rpm and of.rlvl < UNIT then
    return { 'rate', 'requests', math.ceil((UNIT - of.rlvl) / of.rpm), whose }
  end
  local tokens = of.tpm and math.min(asked, of.tpm) or 0
  if of.tpm and of.tlvl < tokens * UNIT then
    return { 'rate', 'tokens', math.ceil((tokens * UNIT - of.tlvl) / of.tpm), whose }
  end
  if of.conc and of.open >= of.conc then return { 'rate', 'concurrency', 1000, whose } end
end

local function take_rates(of, tokens)
  if of.rpm then of.rlvl = of.rlvl - UNIT end
  if of.tpm then of.tlvl = of.tlvl - math.min(tokens, of.tpm) * UNIT end
  if of.conc then of.open = of.open + 1 end
end

-- Why this hold cannot be made, or nil and what it takes: micros, tokens.
local function refusal(i)
  if now > tonumber(ARGV[i + 4]) then return { 'too_late' } end
  if key == nil then key = read_key() end
  if not key then return { 'stale', 'key' } end
  if acct[4] ~= 'active' then return { 'blocked', acct[4] } end
  if not key.valid then return { 'key_invalid' } end
  local spendable = math.min(avail + limit, 9007199254740991)
  local budget_left = key.budget and key.budget - key.spend or math.huge
  local share = math.floor(math.min(spendable, budget_left) / shares)
  local micros = math.min(tonumber(ARGV[i + 1]), math.max(tonumber(ARGV[i + 2]), share))
  if micros > spendable then
    if micros <= spendable + held then return { 'held', avail, held } end
    return { 'insufficient', avail }
  end
  if micros > budget_left then
    if micros <= budget_left + key.held then return { 'held', avail, key.held } end
    return { 'budget', budget_left, key.held }
  end
  if not key.limited and not limits then return nil, micros, 0 end
  local asked = tonumber(ARGV[i + 3])
  local why = rate_refusal(key, asked, 'key') or limits and rate_refusal(limits, asked, 'account')
  if why then return why end
  return nil, micros, math.min(asked, math.max(key.tpm or 0, limits and limits.tpm or 0))
end

local function take(id, micros, tokens, want)
  avail, held = avail - micros, held + micros
  if key.limited then
    if key.budget then key.spend, key.held = key.spend + micros, key.held + micros end
    take_rates(key, tokens)
  end
  if limits then take_rates(limits, tokens) end
  local micros_text = micros == tonumber(want) and want or int(micros)
  local text = '1 H ' .. micros_text .. ' 0 0 ' .. day_text .. int(tokens) .. record_end
  made[id] = text
  local at = #records
  records[at + 1], records[at + 2] = id, text
  members[at + 1], members[at + 2] = due, id .. member_end
end

local replies = { day, now }
for n, id in ipairs(ids) do
  local text, why, micros, tokens = old[n] or made[id], nil, nil, nil
  if not loaded then
    why = { 'stale', 'account' }
  elseif text then
    local h = read_hold(text)
    why = { 'again', h.micros, h.day, tonumber(h.reserved), avail }
  else
    why, micros, tokens = refusal(5 * n + 2)
    if not why then take(id, micros, tokens, ARGV[5 * n + 3]) end
  end
  replies[2 * n + 1], replies[2 * n + 2] = why or micros, why and 0 or avail
end

if #records > 0 then
  redis.call('HSET', KEYS[1], 'avail', int(avail), 'held', int(held))
  redis.call('HSET', KEYS[3], unpack(records))
  redis.call('ZADD', KEYS[4], unpack(members))
  if key.limited then write_key(KEYS[2], key) end
  if limits then write_key(KEYS[1], limits) end
end
return replies
