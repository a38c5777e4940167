-- Whose a key is that came with a purchase: by its claim, and by the key.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: an index range.
SELECT c.id::text AS subject, c.account_id, c.account_id AS one, k.account_id AS other
FROM key_claims c
JOIN api_keys k ON k.id = c.key_id
WHERE c.account_id > $1 AND c.account_id <= $2 AND c.created_at < $3::timestamptz
  AND k.account_id IS DISTINCT FROM c.account_id
ORDER BY c.id
LIMIT 1000
