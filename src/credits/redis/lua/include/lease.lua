-- `leases` names the accounts of a shard that may have holds, each with a time no later than the
-- end of its first lease: recovery looks there, and no hold has to be listed by itself. `mark` of
-- the account is that time or a later one ('' or none: it may not be listed), so that nearly always
-- nothing has to be written.
local function is_before(due, mark)
  return not mark or mark == '' or due - mark < 0
end

local function mark(account, leases, account_id, due)
  redis.call('ZADD', leases, 'LT', due, account_id)
  redis.call('HSET', account, 'mark', due)
end
