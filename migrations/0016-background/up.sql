-- Responses that are made in the background: what is polled until it has ended. Source: issue 3.

CREATE TABLE background_jobs (
  hold_id     uuid PRIMARY KEY,
  account_id  text NOT NULL,
  response_id text NOT NULL,
  micros      bigint NOT NULL CHECK (micros >= 0),
  day         integer NOT NULL,
  reserved_at timestamptz NOT NULL,
  -- The receipt as far as it is known, and what the rest of it follows from.
  draft       jsonb NOT NULL,
  job         jsonb NOT NULL,
  -- The next poll, or the end of the lease of who polls.
  due_at      timestamptz NOT NULL,
  created_at  timestamptz NOT NULL
);
CREATE INDEX background_jobs_due ON background_jobs (due_at);
CREATE INDEX background_jobs_response ON background_jobs (account_id, response_id);
