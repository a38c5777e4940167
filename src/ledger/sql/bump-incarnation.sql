-- Draws a new number for a credit node if the one in force is still the one that was seen.
-- Parameters: $1 node, $2 the number seen. Result: number, where it was drawn. Cost: one row.
UPDATE incarnations
SET number = nextval('incarnation_numbers')
WHERE node = $1 AND number = $2
RETURNING number
