-- Plans, entitlements and their exceptions. Source: design §5, §6 (I4, I10).

-- Plans and the rules of access as a gateway published them, by content: what an entitlement was
-- resolved with can be read again. The highest seq rules for all processes.
CREATE SEQUENCE plans_seq;
CREATE TABLE plans (
  version    text PRIMARY KEY,
  seq        bigint NOT NULL UNIQUE,
  document   jsonb NOT NULL,
  created_at timestamptz NOT NULL
);

-- What an account may do, resolved from its subscriptions, exceptions and plans. A copy that can
-- always be computed again; the hot path reads it.
CREATE TABLE entitlements (
  account_id           text PRIMARY KEY REFERENCES accounts (id),
  state                text NOT NULL,
  plan_id              text,
  subscription_id      text,
  -- How far an unpaid subscription has come: warned, reminded, downgraded, suspended.
  rung                 text,
  -- Why nothing is let through; null = it is.
  blocked              text CHECK (blocked IN ('suspended', 'no_plan')),
  features             jsonb NOT NULL,
  models               jsonb,
  endpoints            jsonb,
  requests_per_minute  integer CHECK (requests_per_minute > 0),
  tokens_per_minute    bigint CHECK (tokens_per_minute > 0),
  max_concurrency      integer CHECK (max_concurrency > 0),
  credit_limit_micros  bigint NOT NULL CHECK (credit_limit_micros >= 0),
  overage_limit_micros bigint NOT NULL CHECK (overage_limit_micros >= 0),
  overage_meter        text,
  paid_through         timestamptz,
  -- When time alone changes it; null = never.
  next_change_at       timestamptz,
  plans_version        text NOT NULL,
  resolved_at          timestamptz NOT NULL
);
CREATE INDEX entitlements_next_change_at ON entitlements (next_change_at)
  WHERE next_change_at IS NOT NULL;
CREATE INDEX entitlements_plans_version ON entitlements (plans_version);

-- Every account there is gets resolved by the first gateway that starts.
INSERT INTO entitlements (account_id, state, features, credit_limit_micros, overage_limit_micros,
                          plans_version, resolved_at)
SELECT id, 'none', '{}', 0, 0, '', created_at FROM accounts;

-- Comps and support exceptions: kept after their end, for the record.
CREATE TABLE entitlement_overrides (
  id         uuid PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  patch      jsonb NOT NULL,
  reason     text NOT NULL,
  actor      text NOT NULL,
  expires_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  removed_at timestamptz,
  removed_by text,
  CHECK ((removed_at IS NULL) = (removed_by IS NULL))
);
CREATE INDEX entitlement_overrides_account ON entitlement_overrides (account_id)
  WHERE removed_at IS NULL;

-- What posting lets through below zero by the plan, beside what the operator gave the account.
ALTER TABLE accounts ADD COLUMN plan_overage_limit_micros bigint NOT NULL DEFAULT 0
  CHECK (plan_overage_limit_micros >= 0);

-- Of the latest invoice of the running period, and of the oldest one that is owed.
ALTER TABLE subscriptions ADD COLUMN invoice_status text;
ALTER TABLE subscriptions ADD COLUMN owed_since timestamptz;
ALTER TABLE subscriptions ADD COLUMN pay_url text;
