-- Keeps what Stripe entitles an account to; the same set again changes nothing.
-- $1 account id, $2 lookup keys (JSON), $3 now. Result: a row where the set is new or another one.
-- Cost: one row.
INSERT INTO stripe_entitlements (account_id, lookup_keys, changed_at) VALUES ($1, $2::jsonb, $3)
ON CONFLICT (account_id) DO UPDATE
SET lookup_keys = excluded.lookup_keys, changed_at = excluded.changed_at
WHERE stripe_entitlements.lookup_keys <> excluded.lookup_keys
RETURNING account_id
