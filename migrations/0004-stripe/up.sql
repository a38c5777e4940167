-- Stripe's events: stored before they are answered, then worked off. Source: design §7.
-- The payload is text as it was signed: jsonb refuses what JSON allows (an escaped NUL).

CREATE TABLE stripe_events (
  id             text PRIMARY KEY,
  seq            bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  type           text NOT NULL,
  object_id      text,
  stripe_account text,
  api_version    text,
  is_thin        boolean NOT NULL,
  source         text NOT NULL CHECK (source IN ('webhook', 'sync')),
  payload        text NOT NULL,
  state          text NOT NULL CHECK (state IN ('pending', 'done', 'ignored', 'dead')),
  -- What became of it, or what went wrong last.
  outcome        text,
  deliveries     integer NOT NULL DEFAULT 1 CHECK (deliveries > 0),
  attempts       integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- While pending: the next try, or the end of the lease of who works on it.
  due_at         timestamptz NOT NULL,
  lease          uuid,
  occurred_at    timestamptz NOT NULL,
  received_at    timestamptz NOT NULL,
  done_at        timestamptz,
  CHECK (state = 'pending' OR lease IS NULL),
  CHECK ((state IN ('done', 'ignored')) = (done_at IS NOT NULL))
);
CREATE INDEX stripe_events_due ON stripe_events (due_at) WHERE state = 'pending';
CREATE UNIQUE INDEX stripe_events_seq ON stripe_events (seq);
CREATE INDEX stripe_events_not_done ON stripe_events (seq) WHERE state IN ('pending', 'dead');

-- One row for everything of Stripe's that is looked at. Its number is read before Stripe is asked
-- and must still stand when the answer is written: of two who look at once the later looks again.
CREATE TABLE stripe_looks (
  subject   text PRIMARY KEY,
  number    bigint NOT NULL,
  looked_at timestamptz NOT NULL
);
