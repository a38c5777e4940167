-- Drops ids of responses that their provider keeps no longer.
-- Parameters: $1 now, $2 most rows. Result: none. Cost: an index range.
DELETE FROM stored_ids
WHERE (account_id, id) IN (SELECT account_id, id FROM stored_ids
                           WHERE expires_at < $1::timestamptz
                           ORDER BY expires_at
                           LIMIT $2
                           FOR UPDATE SKIP LOCKED)
