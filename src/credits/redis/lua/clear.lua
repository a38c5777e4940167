#!lua flags=allow-oom
-- Takes posted holds of one account out of Redis. Source: design §4 (clear).
-- A version at or below the load's was already in the posted balance that the load brought: the
-- amount is given back. `seen` rises in any case, so that no load under way brings an older one.
-- KEYS  1 account  2 holds  3 receipts  4 due  5… keys
-- ARGV  1 account id  then for each hold: id, index of its key in KEYS, key id, rev, version
-- Reply {'done', n, …}: for the holds of these numbers (the first is 1) account and key must be
--       loaded
--       {'stale', 'account'}: only `seen` rose; load, then repeat
-- Cost  O(holds named × log holds of the shard)
-- @include numbers hold

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'lver', 'seen')
local current = acct[1] == INC and acct[2]
local keys, ids, rises = {}, {}, tonumber(acct[4] or 0)
for i = 2, #ARGV, 5 do
  local index, version = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 4])
  ids[#ids + 1] = ARGV[i]
  rises = math.max(rises, version)
  local key = keys[index]
  if not key then
    local k = redis.call('HMGET', KEYS[index], 'inc', 'plain', 'budget', 'start', 'spend', 'lver',
      'seen')
    key = { there = k[7], seen = tonumber(k[7] or 0), back = 0 }
    key.counts = k[1] == INC and k[2] ~= '1' and k[3] ~= ''
    if key.counts then
      key.start, key.spend, key.lver = tonumber(k[4]), tonumber(k[5]), tonumber(k[6])
    end
    keys[index] = key
  end
  key.seen = math.max(key.seen, version)
end

local reply, gone, members, taken = { 'done' }, {}, {}, {}
local back = 0
local records = current and redis.call('HMGET', KEYS[2], unpack(ids)) or {}
local load_version = tonumber(acct[3] or 0)
for n = 1, current and #ids or 0 do
  local i, id = 5 * n - 3, ids[n]
  local key, version = keys[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 4])
  local must_load = false
  if records[n] and not taken[id] then
    local state, micros, _, rev, rest = parts_of(records[n])
    if state == 'H' or rev ~= ARGV[i + 3] then
      must_load = true
    else
      if version <= load_version then back = back + tonumber(micros) end
      if key.counts and version <= key.lver
        and tonumber(string.match(rest, '^%-?%d+')) >= key.start then
        key.back = key.back + tonumber(micros)
      end
      taken[id] = true
      gone[#gone + 1] = id
      members[#gone] = id .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[1]
    end
  else
    must_load = version > load_version or key.counts and version > key.lver
  end
  if must_load then reply[#reply + 1] = n end
end

if acct[4] then redis.call('HSET', KEYS[1], 'seen', int(rises)) end
if back ~= 0 then redis.call('HSET', KEYS[1], 'avail', int(acct[2] + back)) end
for index, key in pairs(keys) do
  if key.there then redis.call('HSET', KEYS[index], 'seen', int(key.seen)) end
  if key.back ~= 0 then redis.call('HSET', KEYS[index], 'spend', int(key.spend - key.back)) end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[2], unpack(gone))
  redis.call('HDEL', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[4], unpack(members))
end
if not current then return { 'stale', 'account' } end
return reply
