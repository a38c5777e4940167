#!lua flags=allow-oom
-- Turns holds into their charges and keeps the receipts beside them. What comes in one turn of a
-- gateway's event loop shares a call; what is of one key shares a part of it, and the reading of
-- account and key. The leases stay in `due`, so that recovery finds what nobody posts and clears.
-- Source: design §2.7, §3.
-- KEYS  for each part: account, key, holds, receipts
-- ARGV  for each part: number of holds, tokens used of each in one text (it is only read where they
--       matter), their ids, then for each hold: micros, with a blank and the rev behind where it is
--       not 2, and receipt JSON
-- Reply for each hold: available micros (settled, or was before at this rev) or a list
--       {'gone'}: no such hold   {'late'}: settled at another rev   {'stale', 'account'}
-- Cost  O(holds named)
-- @include numbers hold bucket key words

-- Moves what a hold counted in a key and an account with limits.
local function move(key, limits, rest, micros, was, used)
  local day, tokens = string.match(rest, '^(%-?%d+) (%d+) ')
  move_read_key(key, tonumber(day), micros - was, -was, -1, tonumber(tokens), tonumber(used))
  move_read_key(limits, tonumber(day), 0, 0, -1, tonumber(tokens), tonumber(used))
end

local replies, filled = {}, 0
local function answer(reply)
  filled = filled + 1
  replies[filled] = reply
end

-- Carries out the part of these keys; its arguments begin at `at`. Returns where the next one's do.
local function settle(k, at)
  local count = tonumber(ARGV[at])
  local ids, args = at + 1, at + 2 + count
  local acct = redis.call('HMGET', KEYS[k], 'inc', 'avail', 'held', 'plain')
  if acct[1] ~= INC or not acct[2] then
    for _ = 1, count do answer({ 'stale', 'account' }) end
    return args + 2 * count
  end
  local avail, held = tonumber(acct[2]), tonumber(acct[3])
  local old = redis.call('HMGET', KEYS[k + 2], unpack(ARGV, ids + 1, ids + count))
  local key, limits = nil, acct[4] == '0' and read_key(KEYS[k]) or NONE
  local texts, records, receipts, n, words = {}, {}, {}, 0, nil
  for hold = 1, count do
    local id, amount, rev = ARGV[ids + hold], ARGV[args], '2'
    local micros, text = tonumber(amount), texts[id] or old[hold]
    if not micros then
      amount, rev = string.match(amount, '^(%d+) (%d)$')
      micros = tonumber(amount)
    end
    if not text then
      answer({ 'gone' })
    else
      local was_text, progress, rest = held_parts(text)
      if was_text then
        local was = tonumber(was_text)
        avail, held = avail + was - micros, held - was
        key = key or read_key(KEYS[k + 1])
        if key.limited or limits.limited then
          words = words or words_of(ARGV[at + 1])
          move(key, limits, rest, micros, was, words[hold])
        end
        text = '1 S ' .. amount .. ' ' .. progress .. ' ' .. rev .. ' ' .. rest
        texts[id] = text
        records[n + 1], records[n + 2] = id, text
        receipts[n + 1], receipts[n + 2] = id, ARGV[args + 1]
        n = n + 2
        answer(avail)
      else
        local _, was_rev = settled_parts(text)
        answer(was_rev == rev and avail or { 'late' })
      end
    end
    args = args + 2
  end
  if n > 0 then
    redis.call('HSET', KEYS[k], 'avail', int(avail), 'held', int(held))
    redis.call('HSET', KEYS[k + 2], unpack(records))
    redis.call('HSET', KEYS[k + 3], unpack(receipts))
    if key.limited then write_read_key(KEYS[k + 1], key) end
    if limits.limited then write_read_key(KEYS[k], limits) end
  end
  return args
end

local at = 1
for k = 1, #KEYS, 4 do at = settle(k, at) end
return replies
