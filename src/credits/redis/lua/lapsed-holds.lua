#!lua flags=allow-oom
-- Holds of one account whose lease has passed; settled ones too. Where one page shows all there are
-- and none has lapsed, the account's place in `leases` moves to the first of them, or is given up.
-- Source: design §3.
-- KEYS  1 account  2 holds  3 leases
-- ARGV  1 account id  2 cursor ('0' = from the beginning)  3 records to look at, about
-- Reply {next cursor ('0' = that was all), hold id, key id, deadline ms, …}; one that is there all
--       the time comes once or more often
-- Cost  O(records looked at + log accounts of the shard)
-- @include numbers hold

local now, first = now_ms(), nil
local page = redis.call('HSCAN', KEYS[2], ARGV[2], 'COUNT', ARGV[3])
local records = page[2]
local reply = { page[1] }
for i = 1, #records, 2 do
  local key, due = lease_of(records[i + 1])
  local at = tonumber(due)
  if at < now then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = records[i], key, due
  end
  if not first or at < first then first = at end
end

if ARGV[2] == '0' and page[1] == '0' then
  if not first then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('HDEL', KEYS[1], 'mark')
  elseif first >= now then
    redis.call('ZADD', KEYS[3], int(first), ARGV[1])
    if redis.call('HEXISTS', KEYS[1], 'mark') == 1 then
      redis.call('HSET', KEYS[1], 'mark', int(first))
    end
  end
end
return reply
