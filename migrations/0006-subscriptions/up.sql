-- Subscriptions as they were last seen, and which of the sales belong to one. Source: design §7.

CREATE TABLE subscriptions (
  id                   text PRIMARY KEY,
  account_id           text NOT NULL REFERENCES accounts (id),
  customer_id          text NOT NULL,
  -- null = its price is no plan of ours.
  plan_id              text,
  stripe_price         text,
  quantity             bigint NOT NULL CHECK (quantity >= 0),
  status               text NOT NULL,
  current_period_start timestamptz,
  current_period_end   timestamptz,
  trial_end            timestamptz,
  cancel_at            timestamptz,
  cancel_at_period_end boolean NOT NULL,
  ended_at             timestamptz,
  is_collection_paused boolean NOT NULL,
  latest_invoice       text,
  started_at           timestamptz NOT NULL,
  changed_at           timestamptz NOT NULL
);
CREATE INDEX subscriptions_account ON subscriptions (account_id);

ALTER TABLE stripe_sales ADD COLUMN subscription_id text;
CREATE INDEX stripe_sales_subscription ON stripe_sales (subscription_id)
  WHERE subscription_id IS NOT NULL;
