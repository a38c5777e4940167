-- Marks a finding as put right.
-- Parameters: $1 id. Result: none. Cost: one row.
UPDATE findings SET state = 'fixed' WHERE id = $1 AND state = 'open'
