-- The number in force for a credit node, drawn where it has none.
-- Parameters: $1 node. Result: number. Cost: one look-up; the first time one row.
WITH drawn AS (
  INSERT INTO incarnations (node, number)
  SELECT $1, nextval('incarnation_numbers')
  WHERE NOT EXISTS (SELECT FROM incarnations WHERE node = $1)
  ON CONFLICT (node) DO UPDATE SET number = incarnations.number
  RETURNING number
)
SELECT number FROM drawn
UNION ALL
SELECT number FROM incarnations WHERE node = $1
LIMIT 1
