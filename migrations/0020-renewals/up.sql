-- Subscriptions whose paid period has passed without news are read again. Source: design §7.

-- Not read again before this: who takes one sets it, so that one process at a time does.
ALTER TABLE subscriptions ADD COLUMN reread_at timestamptz;
CREATE INDEX subscriptions_period_end ON subscriptions (current_period_end)
  WHERE ended_at IS NULL;

-- What all processes counted of billing, by minute: what alerts look back at.
CREATE TABLE stripe_counts (
  minute timestamptz NOT NULL,
  name   text NOT NULL,
  count  bigint NOT NULL CHECK (count > 0),
  PRIMARY KEY (minute, name)
);
