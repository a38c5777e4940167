-- What was decided is done. $1 id, $2 settled | released, $3 now. Result: nothing.
-- Cost: O(log holds).
UPDATE work_holds SET state = $2, changed_at = $3::timestamptz
 WHERE id = $1 AND state IN ('settling', 'releasing')
