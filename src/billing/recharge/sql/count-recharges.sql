-- Accounts by how their recharge stands. Parameters: none. Result: state, accounts.
-- Cost: a scan of the accounts that ever set one up.
SELECT state, count(*) AS accounts FROM recharges GROUP BY state
