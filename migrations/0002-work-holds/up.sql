-- Work that does not pass the proxy. Source: design §8 (holds).

-- A hold for work elsewhere. The credit engine keeps what it sets aside; this says whose it is, so
-- that any process can go on with it, and what was decided about its end before that was done.
CREATE TABLE work_holds (
  id              uuid PRIMARY KEY,
  account_id      text NOT NULL REFERENCES accounts (id),
  key_id          text NOT NULL,
  -- Who may touch it: 'client' = the account's own keys, else the id of the backend key.
  maker           text NOT NULL,
  state           text NOT NULL CHECK (state IN ('open', 'settling', 'settled', 'releasing',
                    'released')),
  micros          bigint NOT NULL CHECK (micros >= 0),
  day             integer NOT NULL,
  reserved_at     timestamptz NOT NULL,
  ttl_ms          bigint NOT NULL CHECK (ttl_ms > 0),
  lease_until     timestamptz NOT NULL,
  progress_micros bigint NOT NULL DEFAULT 0 CHECK (progress_micros >= 0),
  -- What its units are priced at: null = it is counted in credits.
  price_upstream  text,
  price_model     text,
  markup          text,
  metadata        jsonb NOT NULL,
  request_key     text,
  request_hash    text NOT NULL,
  -- The receipt as far as it is known.
  draft           jsonb NOT NULL,
  settled_micros  bigint CHECK (settled_micros >= 0),
  created_at      timestamptz NOT NULL,
  changed_at      timestamptz NOT NULL,
  UNIQUE (account_id, maker, request_key),
  CHECK ((price_upstream IS NULL) = (price_model IS NULL)),
  CHECK ((state IN ('settling', 'settled')) = (settled_micros IS NOT NULL))
);
-- Ends that were decided and not yet carried out.
CREATE INDEX work_holds_ending ON work_holds (changed_at) WHERE state IN ('settling', 'releasing');
