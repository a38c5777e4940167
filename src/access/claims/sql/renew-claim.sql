-- Opens a claim for another link: those of earlier rounds end.
-- Parameters: $1 id. Result: the claim as it is then. Cost: one row.
UPDATE key_claims
SET state = 'open', round = round + 1, claimed_by = NULL, claimed_at = NULL
WHERE id = $1
RETURNING *
