#!lua flags=no-writes
-- What may have lapsed in one shard, longest first: its accounts (include/lease.lua), or holds that
-- are listed by themselves (renewed ones, and those of an older release). Source: design §3.
-- KEYS  1 leases or due
-- ARGV  1 first deadline ms  2 members to skip from there on  3 how many at most
-- Reply {member, deadline ms, …}
-- Cost  O(log members + skipped + answered)
-- @include numbers

return redis.call('ZRANGE', KEYS[1], ARGV[1], '(' .. int(now_ms()), 'BYSCORE',
  'LIMIT', ARGV[2], ARGV[3], 'WITHSCORES')
