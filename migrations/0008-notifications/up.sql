-- What is to be told to customers and operators, once an occasion and channel. Source: design §5.

CREATE TABLE notifications (
  id         uuid PRIMARY KEY,
  kind       text NOT NULL,
  -- What happened, unique for good: the same occasion is told once, however often it is noticed.
  occasion   text NOT NULL,
  -- 'email' or 'webhook:<id of the configuration>'.
  channel    text NOT NULL,
  audience   text NOT NULL CHECK (audience IN ('customer', 'operator')),
  account_id text REFERENCES accounts (id),
  data       jsonb NOT NULL,
  state      text NOT NULL CHECK (state IN ('pending', 'sent', 'skipped', 'dead')),
  attempts   integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- Why it was skipped, or what went wrong last.
  note       text,
  -- While pending: the next try, or the end of the lease of who sends it.
  due_at     timestamptz NOT NULL,
  lease      uuid,
  created_at timestamptz NOT NULL,
  done_at    timestamptz,
  UNIQUE (occasion, channel),
  CHECK (audience = 'operator' OR account_id IS NOT NULL),
  CHECK (state = 'pending' OR lease IS NULL),
  CHECK ((state IN ('sent', 'skipped')) = (done_at IS NOT NULL))
);
CREATE INDEX notifications_due ON notifications (due_at) WHERE state = 'pending';
