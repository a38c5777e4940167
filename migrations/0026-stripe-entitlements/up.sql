-- What Stripe itself says that a customer is entitled to (its product features), as last seen.
-- Source: stripe/facts.md §3 (entitlements.active_entitlement_summary.updated).

CREATE TABLE stripe_entitlements (
  account_id  text PRIMARY KEY REFERENCES accounts (id),
  -- Lookup keys of features, sorted: ["exports", "sso"].
  lookup_keys jsonb NOT NULL CHECK (jsonb_typeof(lookup_keys) = 'array'),
  changed_at  timestamptz NOT NULL
);
