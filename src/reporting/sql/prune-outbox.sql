-- Drops what is sealed and old, of the next rows in the order of writing. Parameters: $1 after this
-- id, $2 written and used before this, $3 most rows looked at.
-- Result: one row: looked (rows), gone, last (id, null = none), is_old (whether all were written
-- before that). Cost: a range of the primary key.
WITH looked AS (
  SELECT id, created_at FROM meter_outbox WHERE id > $1 ORDER BY id LIMIT $3
), gone AS (
  DELETE FROM meter_outbox o USING looked l
  WHERE o.id = l.id AND o.sealing_id IS NOT NULL
    AND o.created_at < $2::timestamptz AND o.used_at < $2::timestamptz
  RETURNING o.id
)
SELECT count(*) AS looked, (SELECT count(*) FROM gone) AS gone, max(id) AS last,
       coalesce(bool_and(created_at < $2::timestamptz), false) AS is_old
FROM looked
