-- Forgets holds that ended, or lapsed, long ago; what they charged is in the receipts.
-- Parameters: $1 first id to keep (ids begin with their time), $2 untouched since, $3 most rows.
-- Result: none. Cost: an index range from the oldest on.
DELETE FROM work_holds
WHERE id IN (SELECT id FROM work_holds
             WHERE id < $1 AND state IN ('open', 'settled', 'released')
               AND changed_at < $2::timestamptz AND lease_until < $2::timestamptz
             ORDER BY id
             LIMIT $3
             FOR UPDATE SKIP LOCKED)
