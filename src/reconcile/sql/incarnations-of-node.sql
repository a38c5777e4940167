-- The numbers of one Redis node, one for each version of the scripts that has run on it.
-- $1 the node's name and a colon. Result: node, number. Cost: reads a small table.
SELECT node, number FROM incarnations WHERE starts_with(node, $1) ORDER BY node
