#!lua flags=no-writes
-- Holds of one shard whose lease has passed, longest first; settled ones too. Source: design §3.
-- KEYS  1 due
-- ARGV  1 first deadline ms  2 holds to skip from there on  3 how many at most
-- Reply {member, deadline ms, …}
-- Cost  O(log holds of the shard + skipped + answered)
-- @include numbers

return redis.call('ZRANGE', KEYS[1], ARGV[1], '(' .. int(now_ms()), 'BYSCORE',
  'LIMIT', ARGV[2], ARGV[3], 'WITHSCORES')
