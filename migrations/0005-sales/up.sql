-- What is bought: intents of ours, what Stripe says of their payments, and what was granted.
-- Amounts of money are integers of the currency's smallest unit. Source: design §7.

-- Ours, written before Stripe is asked. What is granted is decided here, never by metadata.
CREATE TABLE checkout_sessions (
  id              text PRIMARY KEY,
  account_id      text NOT NULL REFERENCES accounts (id),
  item_kind       text NOT NULL CHECK (item_kind IN ('pack', 'plan')),
  item_id         text NOT NULL,
  stripe_price    text NOT NULL,
  -- What a pack grants and for how long, as it was when it was chosen. null = a plan.
  micros          bigint CHECK (micros > 0),
  expires_days    integer CHECK (expires_days > 0),
  success_url     text NOT NULL,
  cancel_url      text NOT NULL,
  -- The caller's Idempotency-Key and a hash of what it asked for.
  request_key     text,
  request_hash    text NOT NULL,
  session_id      text UNIQUE,
  url             text,
  payment_intent  text UNIQUE,
  -- As Stripe quoted it: before discounts and taxes.
  amount          bigint CHECK (amount >= 0),
  currency        text,
  state           text NOT NULL CHECK (state IN ('planned', 'open', 'pending', 'granted', 'failed')),
  failure         text,
  expires_at      timestamptz,
  created_at      timestamptz NOT NULL,
  changed_at      timestamptz NOT NULL,
  UNIQUE (account_id, request_key),
  CHECK ((item_kind = 'pack') = (micros IS NOT NULL)),
  CHECK (state <> 'open' OR session_id IS NOT NULL)
);
CREATE INDEX checkout_sessions_account ON checkout_sessions (account_id, created_at);

-- A customer of Stripe's that is being made: the key under which it is asked for, again and again.
CREATE TABLE stripe_customers (
  account_id      text PRIMARY KEY REFERENCES accounts (id),
  idempotency_key text NOT NULL,
  customer_id     text UNIQUE,
  planned_at      timestamptz NOT NULL
);

-- A payment that granted something, as it was when it was last looked at.
CREATE TABLE stripe_payments (
  id               text PRIMARY KEY,
  account_id       text NOT NULL REFERENCES accounts (id),
  currency         text NOT NULL,
  paid_amount      bigint NOT NULL CHECK (paid_amount >= 0),
  refunded_amount  bigint NOT NULL CHECK (refunded_amount >= 0),
  withdrawn_amount bigint NOT NULL CHECK (withdrawn_amount >= 0),
  paid_at          timestamptz NOT NULL,
  changed_at       timestamptz NOT NULL
);
CREATE INDEX stripe_payments_account ON stripe_payments (account_id, paid_at);

-- What a payment granted: one row a lot, decided once. The lot is ('sale', key).
CREATE TABLE stripe_sales (
  key          text PRIMARY KEY CHECK (key NOT LIKE '%#%'),
  payment_id   text NOT NULL,
  account_id   text NOT NULL REFERENCES accounts (id),
  item_kind    text NOT NULL CHECK (item_kind IN ('pack', 'plan')),
  item_id      text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('included', 'paid')),
  micros       bigint NOT NULL CHECK (micros > 0),
  expires_at   timestamptz,
  created_at   timestamptz NOT NULL
);
CREATE INDEX stripe_sales_payment ON stripe_sales (payment_id);

CREATE TABLE stripe_disputes (
  id          text PRIMARY KEY,
  payment_id  text NOT NULL,
  account_id  text NOT NULL REFERENCES accounts (id),
  status      text NOT NULL,
  amount      bigint NOT NULL,
  withdrawn   bigint NOT NULL,
  -- Whether it keeps the account from reserving.
  is_freezing boolean NOT NULL,
  changed_at  timestamptz NOT NULL
);
CREATE INDEX stripe_disputes_freezing ON stripe_disputes (account_id) WHERE is_freezing;
