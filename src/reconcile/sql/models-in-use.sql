-- Upstreams and models of late, by how often they were asked for.
-- $1 the least hold id (uuid) to look at: ids begin with their time. $2 rows at most.
-- Result: upstream, model, requests. Cost: reads the usage of that time by its primary key.
SELECT upstream, model, count(*) AS requests
  FROM usage
 WHERE hold_id >= $1::uuid
 GROUP BY upstream, model
 ORDER BY requests DESC, upstream, model
 LIMIT $2
