-- Notes that a claim was pressed. Its row is locked.
-- Parameters: $1 id, $2 key id, $3 hash of token and page, $4 time. Result: none. Cost: one row.
UPDATE key_claims
SET state = 'claimed', key_id = $2, claimed_by = $3, claimed_at = $4
WHERE id = $1
