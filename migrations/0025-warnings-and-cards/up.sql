-- Early fraud warnings that were acted upon: a repeat of one must not undo what an operator decided
-- since. Source: stripe/facts.md §3 (radar.early_fraud_warning.*).
CREATE TABLE stripe_warnings (
  id         text PRIMARY KEY,
  account_id text NOT NULL REFERENCES accounts (id),
  noted_at   timestamptz NOT NULL
);

-- Those told so far, of payments that granted something: the others turned nothing off.
INSERT INTO stripe_warnings (id, account_id, noted_at)
SELECT f.subject, p.account_id, f.first_seen
FROM findings f JOIN stripe_payments p ON p.id = f.evidence ->> 'payment'
WHERE f.kind = 'stripe_early_fraud_warning';

-- The page that a recharge sends its customer to asks for the card's use off session too. Those that
-- are open do not: the same row must ask Stripe for the same.
ALTER TABLE checkout_sessions ADD COLUMN keeps_card boolean NOT NULL DEFAULT false;
