-- Draws a new number where the one in force is still the one seen, or where there is none.
-- $1 node  $2 number seen (0 = none)  $3 now, Unix ms. Result: {number} if drawn, else no row.
-- The time is part of the number, so that a Redis that outlives its database meets none again.
-- One row by primary key.
INSERT INTO incarnations (node, number)
VALUES ($1, $3::bigint * 1000 + nextval('incarnation_numbers') % 1000)
ON CONFLICT (node) DO UPDATE SET number = excluded.number
  WHERE incarnations.number = $2::bigint
RETURNING number
