-- Forgets answers older than their time.
-- $1 now timestamptz, $2 limit int. Result: none. Cost: bounded by the limit.
DELETE FROM idempotent_requests
WHERE (account_id, key) IN (
  SELECT account_id, key FROM idempotent_requests WHERE expires_at < $1 LIMIT $2)
