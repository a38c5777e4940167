-- The account id that comes right before another one.
-- $1 account id. Result: one row, id null where it is the first. Cost: one index look-up.
SELECT max(id) AS id FROM accounts WHERE id < $1
