-- Writes down that an open hold was renewed. Its progress never falls.
-- $1 id, $2 ttl ms, $3 lease until, $4 progress micros, $5 draft at that progress, $6 now.
-- Result: the row, or none where it is not open any more. Cost: O(log holds).
UPDATE work_holds
   SET ttl_ms = $2, lease_until = $3::timestamptz,
       micros = greatest(micros, $4::bigint),
       progress_micros = greatest(progress_micros, $4::bigint),
       draft = CASE WHEN $4::bigint > progress_micros THEN $5::jsonb ELSE draft END,
       changed_at = $6::timestamptz
 WHERE id = $1 AND state = 'open'
RETURNING *
