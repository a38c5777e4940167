-- Notes what a claim's key came with and may do from now on.
-- Parameters: $1 id, $2 id of the item, $3 limits JSON. Result: none. Cost: one row.
UPDATE key_claims SET item_id = $2, limits = $3::jsonb WHERE id = $1
