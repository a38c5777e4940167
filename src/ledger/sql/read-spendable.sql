-- Lots that can pay: those with something left, and those whose expiry was posted after a reserve.
-- Parameters: $1 account ids, $2 earliest reserve of each account (same order).
-- Result: one row a lot. Cost: two partial index scans an account; spent lots are not visited.
WITH wanted AS (
  SELECT * FROM unnest($1::text[], $2::timestamptz[]) AS w (account_id, since)
)
SELECT l.id, l.account_id, l.kind, l.priority, l.state, l.granted_micros, l.remaining_micros,
       l.expired_micros, l.effective_at, l.expires_at, l.expired_at, l.reason, l.reference_type,
       l.reference_id, l.created_at
FROM wanted w JOIN lots l ON l.account_id = w.account_id
WHERE l.is_open AND l.remaining_micros > 0
UNION ALL
SELECT l.id, l.account_id, l.kind, l.priority, l.state, l.granted_micros, l.remaining_micros,
       l.expired_micros, l.effective_at, l.expires_at, l.expired_at, l.reason, l.reference_type,
       l.reference_id, l.created_at
FROM wanted w JOIN lots l ON l.account_id = w.account_id
WHERE l.expired_micros > 0 AND l.expired_at > w.since AND l.remaining_micros = 0
