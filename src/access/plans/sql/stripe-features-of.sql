-- What Stripe entitles an account to, as last seen.
-- $1 account id. Result: no row or one: lookup_keys (JSON). Cost: one index look-up.
SELECT lookup_keys FROM stripe_entitlements WHERE account_id = $1
