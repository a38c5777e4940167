-- Findings opened at a time at which nobody saw them: operators are told of what opened lately, and
-- it would count from when they were seen last. Parameters: $1 ids, $2 time. Result: none.
-- Cost: an index probe each.
UPDATE findings SET opened_at = $2 WHERE id = ANY ($1::uuid[]) AND state = 'open'
