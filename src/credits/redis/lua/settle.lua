#!lua flags=allow-oom
-- Turns holds of one key into their charges and keeps the receipts beside them; what comes in one
-- turn of a gateway's event loop shares the reading of account and key. The leases stay in `due`,
-- so that recovery finds what nobody posts and clears. Source: design §2.7, §3.
-- KEYS  1 account  2 key  3 holds  4 receipts
-- ARGV  for each hold: id, micros, rev, tokens used, receipt JSON
-- Reply one list for each hold
--       {'ok', available micros}: settled, or was before at this rev
--       {'gone'}: no such hold   {'late'}: settled at another rev   {'stale', 'account'}
-- Cost  O(holds named)
-- @include numbers hold bucket key

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held')
local loaded = acct[1] == INC and acct[2]
local avail, held = tonumber(acct[2] or 0), tonumber(acct[3] or 0)

local ids = {}
for i = 1, #ARGV, 5 do ids[#ids + 1] = ARGV[i] end
local old = loaded and redis.call('HMGET', KEYS[3], unpack(ids)) or {}
local made, records, receipts = {}, {}, {}
local key = nil

local function settle(id, h, i)
  local was, micros = h.micros, tonumber(ARGV[i + 1])
  avail, held = avail + was - micros, held - was
  key = key or read_key(KEYS[2])
  move_read_key(key, h.day, micros - was, -was, -1, h.tokens - tonumber(ARGV[i + 3]))
  h.state, h.micros, h.rev = 'S', micros, tonumber(ARGV[i + 2])
  made[id] = h
  records[#records + 1] = id
  records[#records + 1] = write_hold(h)
  receipts[#receipts + 1] = id
  receipts[#receipts + 1] = ARGV[i + 4]
  return { 'ok', avail }
end

local replies = {}
for n, id in ipairs(ids) do
  local i = 5 * n - 4
  local h = made[id] or old[n] and read_hold(old[n])
  if not loaded then
    replies[n] = { 'stale', 'account' }
  elseif not h then
    replies[n] = { 'gone' }
  elseif h.state == 'H' then
    replies[n] = settle(id, h, i)
  elseif h.rev == tonumber(ARGV[i + 2]) then
    replies[n] = { 'ok', avail }
  else
    replies[n] = { 'late' }
  end
end

if #records > 0 then
  redis.call('HSET', KEYS[1], 'avail', int(avail), 'held', int(held))
  redis.call('HSET', KEYS[3], unpack(records))
  redis.call('HSET', KEYS[4], unpack(receipts))
  write_read_key(KEYS[2], key)
end
return replies
