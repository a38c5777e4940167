-- The plans that rule.
-- $1 version that is known. Result: no row or one: version, document (null = the known one).
-- Cost: the end of an index.
SELECT version, CASE WHEN version <> $1 THEN document END AS document
FROM plans
ORDER BY seq DESC
LIMIT 1
