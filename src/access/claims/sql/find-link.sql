-- What a link opens.
-- Parameters: $1 hash of the token. Result: the claim, and the link's round and end; or none.
-- Cost: two primary keys.
SELECT c.*, l.round AS link_round, l.expires_at AS link_expires_at
FROM claim_links l
JOIN key_claims c ON c.id = l.claim_id
WHERE l.hash = $1
