-- The core: accounts, keys, lots, the ledger and its receipts. Source: design §5.
-- Times are timestamptz and always come from the caller; money is bigint micro-credits.

CREATE TABLE settings (
  name  text PRIMARY KEY,
  value text NOT NULL
);

CREATE SEQUENCE incarnation_numbers;
CREATE TABLE incarnations (
  node   text PRIMARY KEY,
  number bigint NOT NULL
);

CREATE TABLE accounts (
  id                   text PRIMARY KEY,
  subject_ref          text UNIQUE,
  name                 text NOT NULL,
  email                text,
  stripe_customer_id   text UNIQUE,
  status               text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'frozen', 'suspended')),
  status_reason        text,
  credit_limit_micros  bigint NOT NULL DEFAULT 0 CHECK (credit_limit_micros >= 0),
  overage_limit_micros bigint NOT NULL DEFAULT 0 CHECK (overage_limit_micros >= 0),
  markup               text,
  posted_micros        bigint NOT NULL DEFAULT 0,
  debt_micros          bigint NOT NULL DEFAULT 0 CHECK (debt_micros >= 0),
  overage_micros       bigint NOT NULL DEFAULT 0 CHECK (overage_micros >= 0),
  version              bigint NOT NULL DEFAULT 0,
  change_seq           bigint NOT NULL DEFAULT 0,
  entry_seq            bigint NOT NULL DEFAULT 0,
  next_change_at       timestamptz,
  changed_at           timestamptz NOT NULL,
  created_at           timestamptz NOT NULL
);
CREATE INDEX accounts_changed_at ON accounts (changed_at);
CREATE INDEX accounts_next_change_at ON accounts (next_change_at) WHERE next_change_at IS NOT NULL;

CREATE TABLE api_keys (
  id                  text PRIMARY KEY,
  account_id          text REFERENCES accounts (id),
  kind                text NOT NULL CHECK (kind IN ('client', 'backend')),
  name                text NOT NULL,
  prefix              text NOT NULL,
  hash                bytea NOT NULL UNIQUE,
  status              text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'revoked')),
  models              jsonb,
  endpoints           jsonb,
  budget_micros       bigint CHECK (budget_micros >= 0),
  budget_period       text CHECK (budget_period IN ('day', 'week', 'month', 'total')),
  requests_per_minute integer CHECK (requests_per_minute > 0),
  tokens_per_minute   bigint CHECK (tokens_per_minute > 0),
  max_concurrency     integer CHECK (max_concurrency > 0),
  expires_at          timestamptz,
  change_seq          bigint NOT NULL DEFAULT 0,
  changed_at          timestamptz NOT NULL,
  created_at          timestamptz NOT NULL,
  revoked_at          timestamptz,
  CHECK ((kind = 'client') = (account_id IS NOT NULL)),
  CHECK ((budget_micros IS NULL) = (budget_period IS NULL))
);
CREATE INDEX api_keys_account ON api_keys (account_id, id);
CREATE INDEX api_keys_changed_at ON api_keys (changed_at);

-- Posted spend of a key per UTC day (Unix days). Longer budget periods are sums over it.
CREATE TABLE key_spend (
  key_id text NOT NULL,
  day    integer NOT NULL,
  micros bigint NOT NULL,
  PRIMARY KEY (key_id, day)
);

CREATE TABLE prices (
  version    text PRIMARY KEY,
  source     text NOT NULL CHECK (source IN ('seed', 'config', 'admin')),
  upstream   text,
  model      text,
  document   jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);

CREATE TABLE lots (
  id               uuid PRIMARY KEY,
  account_id       text NOT NULL REFERENCES accounts (id),
  kind             text NOT NULL CHECK (kind IN ('promo', 'included', 'paid')),
  priority         integer NOT NULL,
  state            text NOT NULL CHECK (state IN ('pending', 'active', 'expired')),
  granted_micros   bigint NOT NULL CHECK (granted_micros > 0),
  remaining_micros bigint NOT NULL CHECK (remaining_micros >= 0),
  expired_micros   bigint NOT NULL DEFAULT 0 CHECK (expired_micros >= 0),
  effective_at     timestamptz NOT NULL,
  expires_at       timestamptz,
  expired_at       timestamptz,
  reason           text NOT NULL,
  reference_type   text NOT NULL,
  reference_id     text NOT NULL,
  created_at       timestamptz NOT NULL,
  -- Can pay, or will change by itself. A column for the index to stand on: with remaining_micros in
  -- its predicate every burn would write new entries into all indexes of this table instead of
  -- updating the row in place.
  is_open          boolean NOT NULL GENERATED ALWAYS AS (remaining_micros > 0 OR state = 'pending'
                     OR (state = 'active' AND expires_at IS NOT NULL)) STORED,
  UNIQUE (account_id, reference_type, reference_id)
) WITH (fillfactor = 70);
CREATE INDEX lots_open ON lots (account_id) WHERE is_open;
CREATE INDEX lots_expired ON lots (account_id, expired_at) WHERE expired_micros > 0;

-- Append-only. `line` is 'lot' for movements on a lot, else the line below zero. Σ micros = posted.
CREATE TABLE ledger_entries (
  account_id     text NOT NULL,
  seq            bigint NOT NULL,
  lot_id         uuid,
  line           text NOT NULL CHECK (line IN ('lot', 'debt', 'overage')),
  movement_type  text NOT NULL CHECK (movement_type IN ('grant', 'usage', 'expiry', 'refund',
                   'dispute', 'reinstatement', 'adjustment', 'reversal', 'billed')),
  micros         bigint NOT NULL CHECK (micros <> 0),
  reason         text,
  reference_type text NOT NULL,
  reference_id   text NOT NULL,
  op_id          text COLLATE "C" NOT NULL,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (account_id, seq),
  CHECK ((line = 'lot') = (lot_id IS NOT NULL)),
  CHECK (movement_type NOT IN ('grant', 'reinstatement', 'reversal', 'billed') OR micros > 0),
  CHECK (movement_type NOT IN ('usage', 'expiry') OR micros < 0)
);
CREATE UNIQUE INDEX ledger_entries_op ON ledger_entries (op_id, lot_id, line) NULLS NOT DISTINCT;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is insert-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER ledger_entries_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- One row a rev; the highest rev of a hold is its receipt.
CREATE TABLE usage (
  hold_id           uuid NOT NULL,
  rev               smallint NOT NULL CHECK (rev IN (1, 2)),
  account_id        text NOT NULL,
  key_id            text NOT NULL,
  version           bigint NOT NULL,
  micros            bigint NOT NULL CHECK (micros >= 0),
  day               integer NOT NULL,
  reserved_at       timestamptz NOT NULL,
  started_at        timestamptz NOT NULL,
  protocol          text NOT NULL,
  endpoint          text NOT NULL,
  upstream          text NOT NULL,
  model             text NOT NULL,
  stream            boolean NOT NULL,
  estimated         boolean NOT NULL,
  late              boolean NOT NULL,
  usage             jsonb NOT NULL,
  provider_cost_pico_usd numeric NOT NULL,
  price_version     text NOT NULL,
  http_status       integer,
  first_byte_ms     integer,
  duration_ms       integer,
  posted_at         timestamptz NOT NULL,
  PRIMARY KEY (hold_id, rev)
);
CREATE INDEX usage_account ON usage (account_id, hold_id);

CREATE TABLE idempotent_requests (
  account_id  text NOT NULL,
  key         text NOT NULL,
  hold_id     uuid NOT NULL,
  body_hash   bytea NOT NULL,
  lease_until timestamptz NOT NULL,
  state       text NOT NULL CHECK (state IN ('open', 'charged')),
  status      integer,
  headers     jsonb,
  body        bytea,
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotent_requests_expires_at ON idempotent_requests (expires_at);

CREATE TABLE findings (
  id         uuid PRIMARY KEY,
  kind       text NOT NULL,
  severity   text NOT NULL CHECK (severity IN ('urgent', 'review', 'info')),
  subject    text NOT NULL,
  evidence   jsonb NOT NULL,
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'explained', 'fixed', 'gone')),
  first_seen timestamptz NOT NULL,
  last_seen  timestamptz NOT NULL,
  UNIQUE (kind, subject)
);

CREATE TABLE audit_log (
  id      uuid PRIMARY KEY,
  at      timestamptz NOT NULL,
  actor   text NOT NULL,
  action  text NOT NULL,
  subject text NOT NULL,
  detail  jsonb NOT NULL
);
CREATE INDEX audit_log_subject ON audit_log (subject, at);
