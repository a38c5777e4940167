-- Which of some ids are an account's own.
-- Parameters: $1 account, $2 ids, $3 now. Result: one row an id that is.
-- Cost: an index probe an id.
SELECT id, upstream
FROM stored_ids
WHERE account_id = $1 AND id = ANY ($2::text[]) AND expires_at > $3::timestamptz
