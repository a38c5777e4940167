-- One account, locked until the transaction ends.
-- NO KEY: rows that refer to it can be added meanwhile, or two that did would wait in a circle.
-- $1 id. Result: one row or none. Cost: O(log accounts), waits for a posting in progress.
SELECT * FROM accounts WHERE id = $1 FOR NO KEY UPDATE
