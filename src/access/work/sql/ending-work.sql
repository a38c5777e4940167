-- Ends that were decided a while ago and not carried out. $1 decided before, $2 rows at most.
-- Result: oldest first. Cost: O(rows) by work_holds_ending.
SELECT * FROM work_holds
 WHERE state IN ('settling', 'releasing') AND changed_at < $1::timestamptz
 ORDER BY changed_at LIMIT $2
