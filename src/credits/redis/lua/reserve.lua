#!lua
-- Sets credits aside for requests, each all or nothing, one after the other. What comes in one turn
-- of a gateway's event loop shares a call; what is of one key shares a part of it, and the reading
-- of account and key. Source: design §2.4.
-- KEYS  for each part: account, key, holds, leases
-- ARGV  1 fit shares  2 lease ms  3 owner
--       then for each part: key id, account id, change_seq that the key must have reached, the
--       earliest not_after of its holds (engine Unix ms), tokens and not_after of each hold in one
--       text (it is only read where they matter), number of holds, their ids, then for each hold:
--       want micros, with a blank and least micros behind where these are others
-- Reply day, now (engine Unix ms), then for each hold two fields: micros held and available micros;
--       where it is not newly held a list in place of micros, then 0:
--       {'again', micros, day, reserved ms, available micros}: was held before by this id
--       {'stale', 'account' | 'key'}: load it, then repeat      {'too_late'}
--       {'blocked', 'frozen' | 'suspended'}                     {'key_invalid'}
--       {'insufficient', available}       {'held', available, held}: of the account or the budget
--       {'budget', left, held}
--       {'rate', 'requests' | 'tokens' | 'concurrency', retry after ms, 'key' | 'account'}
-- Cost  O(holds named + log accounts of the shard); O(holds of the account) at the first one of a
--       budget period
-- @include numbers hold lease bucket period words

local shares = tonumber(ARGV[1])
local now = now_ms()
local day = math.floor(now / 86400000)
local due = int(now + tonumber(ARGV[2]))
local day_text = ' 0 0 ' .. int(day) .. ' '
local times = ' ' .. int(now) .. ' ' .. due .. ' '
local PLAIN = { valid = true }

-- The level of a bucket by now. Where the clock went back it fills from now on, refused or not:
-- else it would stay as it is until the clock has caught up.
local function level_now(name, at_field, level, at, rate)
  if now - at < 0 then redis.call('HSET', name, at_field, int(now)) end
  return refill(tonumber(level), tonumber(at), rate, now)
end

-- The key as it is now: false = not loaded. A plain one has no limits and is not read further.
-- A budget period that nothing was counted in yet begins here. Where the clock goes back to an
-- earlier one, or comes again to a later one, only Postgres knows what was posted in it.
local function read_key(name, holds, id, least_seq)
  local flat = redis.call('HMGET', name, 'inc', 'plain', 'chg')
  if flat[1] ~= INC or flat[3] - least_seq < 0 then return false end
  if flat[2] == '1' then return PLAIN end
  local f = redis.call('HMGET', name, 'status', 'expires', 'budget', 'period', 'start', 'spend',
    'held', 'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'conc', 'open')
  local key = { budget = tonumber(f[3]), rpm = tonumber(f[8]), tpm = tonumber(f[11]),
    conc = tonumber(f[14]), open = tonumber(f[15]), limited = true }
  key.valid = f[1] == 'active' and (f[2] == '' or now < tonumber(f[2]))
  if key.budget then
    key.spend, key.held = tonumber(f[6]), tonumber(f[7])
    local start, was = period_start(f[4], day), tonumber(f[5])
    if start ~= was then
      local last = tonumber(redis.call('HGET', name, 'last') or 0)
      if start < was or start <= last then return false end
      key.spend, key.held = sum_key(redis.call('HGETALL', holds), id, start)
      key.start = start
    end
  end
  if key.rpm then key.rlvl = level_now(name, 'rat', f[9], f[10], key.rpm) end
  if key.tpm then key.tlvl = level_now(name, 'tat', f[12], f[13], key.tpm) end
  return key
end

-- The limits of the account, in fields named like a key's.
local function read_limits(name)
  local f = redis.call('HMGET', name, 'rpm', 'rlvl', 'rat', 'tpm', 'tlvl', 'tat', 'conc', 'open')
  local all = { rpm = tonumber(f[1]), tpm = tonumber(f[4]), conc = tonumber(f[7]),
    open = tonumber(f[8]) }
  if all.rpm then all.rlvl = level_now(name, 'rat', f[2], f[3], all.rpm) end
  if all.tpm then all.tlvl = level_now(name, 'tat', f[5], f[6], all.tpm) end
  return all
end

local function write_key(name, key)
  local w = {}
  local function set(field, n)
    w[#w + 1] = field
    w[#w + 1] = int(n)
  end
  if key.start then
    set('start', key.start)
    set('lver', 0) -- nothing that was posted is in this spend: clear gives none of it back
  end
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

-- Of the part at hand, as they are after the holds made so far. limits: nil = none.
local avail, held, limit, status, key, limits

-- Why the hold with these arguments cannot be made, or nil and what it takes: micros, tokens.
local function refusal(want, tokens, not_after)
  if now - not_after > 0 then return { 'too_late' } end
  if not key then return { 'stale', 'key' } end
  if status ~= 'active' then return { 'blocked', status } end
  if not key.valid then return { 'key_invalid' } end
  local spendable = math.min(avail + limit, 9007199254740991)
  local budget_left = key.budget and key.budget - key.spend or math.huge
  local micros = tonumber(want)
  if not micros then
    local most, least = string.match(want, '^(%d+) (%d+)$')
    local share = math.floor(math.min(spendable, budget_left) / shares)
    micros = math.min(tonumber(most), math.max(tonumber(least), share))
  end
  if micros > spendable then
    if micros <= spendable + held then return { 'held', avail, held } end
    return { 'insufficient', avail }
  end
  if micros > budget_left then
    if micros <= budget_left + key.held then return { 'held', avail, key.held } end
    return { 'budget', budget_left, key.held }
  end
  if not key.limited and not limits then return nil, micros, 0 end
  local asked = tonumber(tokens)
  local why = rate_refusal(key, asked, 'key') or limits and rate_refusal(limits, asked, 'account')
  if why then return why end
  return nil, micros, math.min(asked, math.max(key.tpm or 0, limits and limits.tpm or 0))
end

local function take(micros, tokens)
  avail, held = avail - micros, held + micros
  if key.limited then
    if key.budget then key.spend, key.held = key.spend + micros, key.held + micros end
    take_rates(key, tokens)
  end
  if limits then take_rates(limits, tokens) end
end

local replies, filled = { day, now }, 2
local function answer(first, second)
  replies[filled + 1], replies[filled + 2] = first, second
  filled = filled + 2
end

-- Carries out the part of these keys; its arguments begin at `at`. Returns where the next one's do.
local function reserve(k, at)
  local key_id, account_id, count = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 5])
  local ids, wants = at + 5, at + 5 + count
  local acct = redis.call('HMGET', KEYS[k], 'inc', 'avail', 'limit', 'status', 'held', 'plain',
    'mark')
  if acct[1] ~= INC or not acct[2] then
    for _ = 1, count do answer({ 'stale', 'account' }, 0) end
    return wants + count + 1
  end
  avail, limit, held = tonumber(acct[2]), tonumber(acct[3]), tonumber(acct[5])
  status = acct[4]
  key = read_key(KEYS[k + 1], KEYS[k + 2], key_id, ARGV[at + 2])
  limits = acct[6] == '0' and read_limits(KEYS[k]) or nil
  local is_simple = key == PLAIN and not limits and status == 'active' and now - ARGV[at + 3] <= 0
  local old = redis.call('HMGET', KEYS[k + 2], unpack(ARGV, ids + 1, wants))
  local record_end = times .. key_id .. ' ' .. ARGV[3]
  local without_tokens = day_text .. '0' .. record_end
  local made, records, n, words = {}, {}, 0, nil
  for hold = 1, count do
    local id, want = ARGV[ids + hold], ARGV[wants + hold]
    local micros, text, why, tokens = tonumber(want), old[hold] or made[id], nil, 0
    if text then
      local h = read_hold(text)
      why = { 'again', h.micros, h.day, tonumber(h.reserved), avail }
    elseif is_simple and micros and micros <= avail + limit then
      avail, held = avail - micros, held + micros
    else
      words = words or words_of(ARGV[at + 4])
      why, micros, tokens = refusal(want, words[2 * hold - 1], words[2 * hold])
      if not why then take(micros, tokens) end
    end
    if why then
      answer(why, 0)
    else
      answer(micros, avail)
      local amount = tonumber(want) and want or int(micros)
      text = '1 H ' .. amount
        .. (tokens == 0 and without_tokens or day_text .. int(tokens) .. record_end)
      made[id] = text
      records[n + 1], records[n + 2] = id, text
      n = n + 2
    end
  end
  if n > 0 then
    redis.call('HSET', KEYS[k], 'avail', int(avail), 'held', int(held))
    redis.call('HSET', KEYS[k + 2], unpack(records))
    if is_before(due, acct[7]) then mark(KEYS[k], KEYS[k + 3], account_id, due) end
    if key.limited then write_key(KEYS[k + 1], key) end
    if limits then write_key(KEYS[k], limits) end
  end
  return wants + count + 1
end

local at = 4
for k = 1, #KEYS, 4 do at = reserve(k, at) end
return replies
