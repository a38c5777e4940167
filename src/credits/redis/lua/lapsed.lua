#!lua flags=no-writes
-- Holds of one shard whose lease has passed, longest first; settled ones too. Source: design §3.
-- KEYS  1 due
-- ARGV  1 how many at most
-- Reply {member, deadline ms, …}
-- Cost  O(log holds of the shard + answered)
-- @include numbers

return redis.call('ZRANGE', KEYS[1], '-inf', '(' .. int(now_ms()), 'BYSCORE', 'LIMIT', 0, ARGV[1],
  'WITHSCORES')
