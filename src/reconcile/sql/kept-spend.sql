-- The client keys of an account, and what is kept of their spend.
-- Parameters: $1 account id, $2 first Unix day. Result: key_id, day and micros (null = nothing).
-- Cost: an index range a key.
SELECT k.id AS key_id, s.day, s.micros
FROM api_keys k
LEFT JOIN key_spend s ON s.key_id = k.id AND s.day >= $2
WHERE k.account_id = $1 AND k.kind = 'client'
ORDER BY k.id, s.day
