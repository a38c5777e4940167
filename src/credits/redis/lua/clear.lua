#!lua flags=allow-oom
-- Takes posted holds of one account out of Redis. Source: design §4 (clear).
-- A version at or below the load's was already in the posted balance that the load brought: the
-- amount is given back. `seen` rises in any case, so that no load under way brings an older one.
-- KEYS  1 account  2 holds  3 receipts  4 due  5… keys
-- ARGV  1 account id  2 number of holds  then their ids, then for each hold: index of its key in
--       KEYS, key id, rev, version
-- Reply {'done', n, …}: for the holds of these numbers (the first is 1) account and key must be
--       loaded
--       {'stale', 'account'}: only `seen` rose; load, then repeat
-- Cost  O(holds named × log holds of the shard)
-- @include numbers hold

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'lver', 'seen')
local current = acct[1] == INC and acct[2]
local count, load_version = tonumber(ARGV[2]), tonumber(acct[3] or 0)

local function read_key(name)
  local k = redis.call('HMGET', name, 'inc', 'plain', 'seen')
  local key = { there = k[3], seen = tonumber(k[3] or 0), back = 0 }
  if k[1] ~= INC or k[2] == '1' then return key end
  k = redis.call('HMGET', name, 'budget', 'start', 'spend', 'lver')
  key.counts = k[1] ~= ''
  if key.counts then
    key.start, key.spend, key.lver = tonumber(k[2]), tonumber(k[3]), tonumber(k[4])
  end
  return key
end

local keys, rises = {}, tonumber(acct[4] or 0)
local reply, gone, members, taken = { 'done' }, {}, {}, {}
local back = 0
local records = current and redis.call('HMGET', KEYS[2], unpack(ARGV, 3, count + 2)) or {}
local member_end = ' ' .. ARGV[1]
local lists_holds = redis.call('EXISTS', KEYS[4]) == 1
local args = count + 3
for n = 1, count do
  local id, index, rev, version = ARGV[n + 2], ARGV[args], ARGV[args + 2], ARGV[args + 3] + 0
  local key = keys[index]
  if not key then
    key = read_key(KEYS[tonumber(index)])
    keys[index] = key
  end
  if version > key.seen then key.seen = version end
  if version > rises then rises = version end
  local must_load = false
  if records[n] and not taken[id] then
    local micros, was_rev, day = settled_parts(records[n])
    if was_rev ~= rev then
      must_load = true
    else
      if version <= load_version then back = back + micros end
      if key.counts and version <= key.lver and day - key.start >= 0 then
        key.back = key.back + micros
      end
      taken[id] = true
      local at = #gone + 1
      gone[at] = id
      if lists_holds then members[at] = id .. ' ' .. ARGV[args + 1] .. member_end end
    end
  elseif current then
    must_load = version > load_version or key.counts and version > key.lver
  end
  if must_load then reply[#reply + 1] = n end
  args = args + 4
end

if acct[4] then redis.call('HSET', KEYS[1], 'seen', int(rises)) end
if back ~= 0 then redis.call('HSET', KEYS[1], 'avail', int(acct[2] + back)) end
for index, key in pairs(keys) do
  local name = KEYS[tonumber(index)]
  if key.there then redis.call('HSET', name, 'seen', int(key.seen)) end
  if key.back ~= 0 then redis.call('HSET', name, 'spend', int(key.spend - key.back)) end
end
if #gone > 0 then
  redis.call('HDEL', KEYS[2], unpack(gone))
  redis.call('HDEL', KEYS[3], unpack(gone))
  if lists_holds then redis.call('ZREM', KEYS[4], unpack(members)) end
end
if not current then return { 'stale', 'account' } end
return reply
