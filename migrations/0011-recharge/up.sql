-- Auto-recharge: what a customer allowed, and every attempt to charge for it. Source: design §7.

CREATE TABLE recharges (
  account_id       text PRIMARY KEY REFERENCES accounts (id),
  -- 'blocked' waits for another card; 'off' waits for a person.
  state            text NOT NULL CHECK (state IN ('on', 'blocked', 'off')),
  -- Why it is not on.
  reason           text,
  pack_id          text,
  threshold_micros bigint CHECK (threshold_micros > 0),
  -- At least one of the two caps a calendar month (UTC).
  monthly_count    integer CHECK (monthly_count > 0),
  monthly_amount   bigint CHECK (monthly_amount > 0),
  -- Of the pack when the customer agreed to it.
  currency         text,
  return_url       text,
  -- Chosen by a setup-mode checkout; null = the customer's default.
  payment_method   text,
  method_at        timestamptz,
  -- Declines in a row, and the card that they were of.
  declines         integer NOT NULL DEFAULT 0 CHECK (declines >= 0),
  card_mark        text,
  -- While on: no attempt before this.
  due_at           timestamptz NOT NULL,
  changed_at       timestamptz NOT NULL,
  CHECK (state = 'off' OR (pack_id IS NOT NULL AND threshold_micros IS NOT NULL
    AND currency IS NOT NULL AND return_url IS NOT NULL
    AND (monthly_count IS NOT NULL OR monthly_amount IS NOT NULL))),
  CHECK ((state = 'on') = (reason IS NULL))
);
CREATE INDEX recharges_on ON recharges (due_at) WHERE state = 'on';
CREATE INDEX recharges_payment_method ON recharges (payment_method)
  WHERE payment_method IS NOT NULL;

-- Written before Stripe is asked. Refers to recharges, not accounts: whoever plans one holds the
-- former's row and must not wait for a posting.
CREATE TABLE recharge_attempts (
  id              text PRIMARY KEY,
  account_id      text NOT NULL REFERENCES recharges (account_id),
  -- UTC, like 2027-01: what the cap counts.
  month           text NOT NULL,
  pack_id         text NOT NULL,
  stripe_price    text NOT NULL,
  micros          bigint NOT NULL CHECK (micros > 0),
  expires_days    integer CHECK (expires_days > 0),
  return_url      text NOT NULL,
  -- planned: Stripe was not asked. called: it was, with these parameters under this key.
  -- open: Stripe has it and it is not over.
  state           text NOT NULL CHECK (state IN ('planned', 'called', 'open', 'succeeded',
                    'failed', 'canceled')),
  idempotency_key text NOT NULL UNIQUE,
  customer_id     text,
  payment_method  text,
  card_mark       text,
  amount          bigint CHECK (amount > 0),
  currency        text,
  payment_intent  text UNIQUE,
  failure         text,
  -- A page on which the customer can pay what the bank wants to see them for.
  link            text CHECK (link IN ('wanted', 'told')),
  tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  -- The next try, or the end of the lease of who works on it.
  due_at          timestamptz NOT NULL,
  lease           uuid,
  planned_at      timestamptz NOT NULL,
  -- The first and the last call under the key.
  called_at       timestamptz,
  last_call_at    timestamptz,
  changed_at      timestamptz NOT NULL,
  CHECK (state NOT IN ('called', 'open', 'succeeded')
    OR (customer_id IS NOT NULL AND payment_method IS NOT NULL AND amount IS NOT NULL
        AND currency IS NOT NULL AND called_at IS NOT NULL AND last_call_at IS NOT NULL))
);
-- At most one in flight.
CREATE UNIQUE INDEX recharge_attempts_in_flight ON recharge_attempts (account_id)
  WHERE state IN ('planned', 'called', 'open');
CREATE INDEX recharge_attempts_due ON recharge_attempts (due_at)
  WHERE state IN ('planned', 'called', 'open') OR link = 'wanted';
CREATE INDEX recharge_attempts_account ON recharge_attempts (account_id, planned_at);

CREATE INDEX stripe_disputes_account ON stripe_disputes (account_id);
