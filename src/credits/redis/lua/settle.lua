#!lua flags=allow-oom
-- Turns holds of one key into their charges and keeps the receipts beside them; what comes in one
-- turn of a gateway's event loop shares the reading of account and key. The leases stay in `due`,
-- so that recovery finds what nobody posts and clears. Source: design §2.7, §3.
-- KEYS  1 account  2 key  3 holds  4 receipts
-- ARGV  for each hold: id, micros, rev, tokens used, receipt JSON
-- Reply for each hold: available micros (settled, or was before at this rev) or a list
--       {'gone'}: no such hold   {'late'}: settled at another rev   {'stale', 'account'}
-- Cost  O(holds named)
-- @include numbers hold bucket key

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held', 'plain')
local loaded = acct[1] == INC and acct[2]
local avail, held = tonumber(acct[2] or 0), tonumber(acct[3] or 0)

local ids = {}
for i = 1, #ARGV, 5 do ids[#ids + 1] = ARGV[i] end
local old = loaded and redis.call('HMGET', KEYS[3], unpack(ids)) or {}
local texts, records, receipts = {}, {}, {}
local key = nil
local limits = acct[4] == '0' and read_key(KEYS[1]) or {}

-- Moves what the hold counted in a key and an account with limits.
local function move(rest, micros, was, used)
  local day, tokens = string.match(rest, '^(%-?%d+) (%d+) ')
  move_read_key(key, tonumber(day), micros - was, -was, -1, tonumber(tokens), tonumber(used))
  move_read_key(limits, tonumber(day), 0, 0, -1, tonumber(tokens), tonumber(used))
end

local replies = {}
for n, id in ipairs(ids) do
  local i = 5 * n - 4
  local text = texts[id] or old[n]
  if not loaded then
    replies[n] = { 'stale', 'account' }
  elseif not text then
    replies[n] = { 'gone' }
  else
    local state, was, progress, rev, rest = parts_of(text)
    if state == 'H' then
      local micros, held_was = tonumber(ARGV[i + 1]), tonumber(was)
      avail, held = avail + held_was - micros, held - held_was
      key = key or read_key(KEYS[2])
      if key.limited or limits.limited then move(rest, micros, held_was, ARGV[i + 3]) end
      text = '1 S ' .. ARGV[i + 1] .. ' ' .. progress .. ' ' .. ARGV[i + 2] .. ' ' .. rest
      texts[id] = text
      local at = #records
      records[at + 1], records[at + 2] = id, text
      receipts[at + 1], receipts[at + 2] = id, ARGV[i + 4]
      replies[n] = avail
    elseif rev == ARGV[i + 2] then
      replies[n] = avail
    else
      replies[n] = { 'late' }
    end
  end
end

if #records > 0 then
  redis.call('HSET', KEYS[1], 'avail', int(avail), 'held', int(held))
  redis.call('HSET', KEYS[3], unpack(records))
  redis.call('HSET', KEYS[4], unpack(receipts))
  if key.limited then write_read_key(KEYS[2], key) end
  if limits.limited then write_read_key(KEYS[1], limits) end
end
return replies
