-- Accounts whose entitlements time has changed, or that were resolved with other plans.
-- $1 now, $2 version of the plans that rule, $3 most rows. Result: account_id.
-- Cost: three index ranges.
(SELECT account_id FROM entitlements
 WHERE next_change_at <= $1::timestamptz ORDER BY next_change_at LIMIT $3)
UNION
(SELECT account_id FROM entitlements WHERE plans_version < $2 LIMIT $3)
UNION
(SELECT account_id FROM entitlements WHERE plans_version > $2 LIMIT $3)
LIMIT $3
