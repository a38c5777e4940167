-- Decides the end of an open hold: who comes second finds it decided.
-- $1 id, $2 settling | releasing, $3 micros charged (null = released), $4 draft (null = as it is),
-- $5 now. Result: the row, or none where it is not open any more. Cost: O(log holds).
UPDATE work_holds
   SET state = $2, settled_micros = $3::bigint, draft = coalesce($4::jsonb, draft),
       changed_at = $5::timestamptz
 WHERE id = $1 AND state = 'open'
RETURNING *
