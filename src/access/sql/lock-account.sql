-- One account, locked until the transaction ends.
-- $1 id. Result: one row or none. Cost: O(log accounts), waits for a posting in progress.
SELECT * FROM accounts WHERE id = $1 FOR UPDATE
