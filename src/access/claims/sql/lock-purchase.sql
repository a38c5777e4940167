-- The claim of a purchase where it came with another item than it is now, locked.
-- Parameters: $1 purchase, $2 id of the item. Result: the claim or none. Cost: one row.
SELECT * FROM key_claims WHERE purchase = $1 AND item_id <> $2 FOR UPDATE
