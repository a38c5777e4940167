#!lua flags=allow-oom
-- Prolongs a hold: amount, lease, progress (which never falls). A missing hold is put back without
-- a check of the balance: its request lives and will be charged. Source: design §3.
-- KEYS  1 account  2 key  3 holds  4 receipts  5 due  6 leases
-- ARGV  1 hold id  2 micros  3 progress micros  4 day  5 reserved ms  6 tokens  7 lease ms  8 owner
--       9 draft JSON  10 key id  11 due member  12 account id
-- Reply {'ok', 1 if it was put back else 0}   {'gone'}: it is settled   {'stale', 'account'}
-- Cost  O(log holds of the shard)
-- @include numbers hold lease bucket key

local acct = redis.call('HMGET', KEYS[1], 'inc', 'avail', 'held', 'plain', 'tpm', 'mark')
if acct[1] ~= INC or not acct[2] then return { 'stale', 'account' } end

local micros, tokens, open = tonumber(ARGV[2]), 0, 0
local due = int(now_ms() + tonumber(ARGV[7]))
local moved
local old = redis.call('HGET', KEYS[3], ARGV[1])
local h
if old then
  h = read_hold(old)
  if h.state ~= 'H' then return { 'gone' } end
  moved = micros - h.micros
  h.micros, h.due, h.owner = micros, due, ARGV[8]
  h.progress = math.max(h.progress, tonumber(ARGV[3]))
else
  local key = redis.call('HMGET', KEYS[2], 'inc', 'tpm')
  local most = key[1] == INC and key[2] ~= '' and tonumber(key[2]) or 0
  if acct[4] == '0' and acct[5] ~= '' then most = math.max(most, tonumber(acct[5])) end
  tokens = math.min(tonumber(ARGV[6]), most)
  moved, open = micros, 1
  h = { state = 'H', micros = micros, progress = tonumber(ARGV[3]), rev = 0,
    day = tonumber(ARGV[4]), tokens = tokens, reserved = ARGV[5], due = due, key = ARGV[10],
    owner = ARGV[8] }
end

if moved ~= 0 or open ~= 0 then
  redis.call('HSET', KEYS[1], 'avail', int(acct[2] - moved), 'held', int(acct[3] + moved))
  move_key(KEYS[2], h.day, moved, moved, open, -tokens)
  if acct[4] == '0' and open ~= 0 then move_key(KEYS[1], h.day, 0, 0, open, -tokens) end
end
redis.call('HSET', KEYS[3], ARGV[1], write_hold(h))
redis.call('HSET', KEYS[4], ARGV[1], ARGV[9])
if is_before(due, acct[6]) then mark(KEYS[1], KEYS[6], ARGV[12], due) end
redis.call('ZADD', KEYS[5], due, ARGV[11]) -- for gateways of a release that knows no `leases`
return { 'ok', open }
