-- Adds a link to a claim that is open, where its round is still the one that was meant.
-- Parameters: $1 hash of the token, $2 claim id, $3 round, $4 end, $5 time.
-- Result: the account of the claim; none where it was claimed or the round is over. Cost: one row.
INSERT INTO claim_links (hash, claim_id, round, expires_at, created_at)
SELECT $1, id, round, $4::timestamptz, $5::timestamptz
FROM key_claims
WHERE id = $2 AND round = $3 AND state = 'open'
RETURNING claim_id
