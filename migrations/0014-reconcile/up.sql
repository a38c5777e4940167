-- Reconciliation: findings that know their direction and worth, and runs that can be taken up again.
-- Source: design §6, issue 5 §2.

-- Which side is wronged: who paid and is blocked, or who is served and does not pay.
ALTER TABLE findings ADD COLUMN direction text
  CHECK (direction IN ('paid_but_blocked', 'unpaid_but_active'));
ALTER TABLE findings ADD COLUMN at_stake_micros bigint;
-- Why a person lets it stand, and until when; null = for good.
ALTER TABLE findings ADD COLUMN note text;
ALTER TABLE findings ADD COLUMN explained_until timestamptz;

-- One row: the run under way, or the last one. Who holds the lease carries it on.
CREATE TABLE reconcile_runs (
  name        text PRIMARY KEY,
  id          uuid NOT NULL,
  options     jsonb NOT NULL,
  -- Number of the comparison it is at, and where in it; null = at its beginning.
  check_no    integer NOT NULL,
  cursor      text,
  seen        bigint NOT NULL,
  found       bigint NOT NULL,
  fixed       bigint NOT NULL,
  lease       uuid,
  lease_until timestamptz NOT NULL,
  started_at  timestamptz NOT NULL,
  finished_at timestamptz
);
