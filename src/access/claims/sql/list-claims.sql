-- The claims of an account, newest first, each with the end of its latest link.
-- Parameters: $1 account id, $2 id to start below or null, $3 most rows. Result: rows.
-- Cost: an index range, and the links of each.
SELECT c.*, (SELECT max(l.expires_at) FROM claim_links l
             WHERE l.claim_id = c.id AND l.round = c.round) AS link_expires_at
FROM key_claims c
WHERE c.account_id = $1 AND ($2::uuid IS NULL OR c.id < $2::uuid)
ORDER BY c.id DESC
LIMIT $3
