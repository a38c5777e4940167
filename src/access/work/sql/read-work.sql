-- One hold. $1 id. Result: no row or one. Cost: O(log holds).
SELECT * FROM work_holds WHERE id = $1
