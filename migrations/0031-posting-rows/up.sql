-- Rows as posting sends them, one text a table instead of one a column. They are what a statement
-- is given, not what is kept: a column that comes later needs a type of another name, because the
-- release before writes these as they are.
CREATE TYPE sheet_account AS (
  id                text,
  was_version       bigint,
  was_change_seq    bigint,
  was_posted_micros bigint,
  posted_micros     bigint,
  debt_micros       bigint,
  overage_micros    bigint,
  version           bigint,
  entry_seq         bigint,
  next_change_at    timestamptz,
  change_seq        bigint
);

CREATE TYPE sheet_lot AS (
  id               uuid,
  state            text,
  remaining_micros bigint,
  expired_micros   bigint,
  expired_at       timestamptz
);

CREATE TYPE sheet_entry AS (
  account_id     text,
  seq            bigint,
  lot_id         uuid,
  line           text,
  movement_type  text,
  micros         bigint,
  reason         text,
  reference_type text,
  reference_id   text,
  op_id          text
);

CREATE TYPE sheet_receipt AS (
  hold_id                uuid,
  rev                    smallint,
  account_id             text,
  key_id                 text,
  version                bigint,
  micros                 bigint,
  day                    integer,
  reserved_at            timestamptz,
  started_at             timestamptz,
  protocol               text,
  endpoint               text,
  upstream               text,
  model                  text,
  stream                 boolean,
  estimated              boolean,
  late                   boolean,
  usage                  jsonb,
  provider_cost_pico_usd numeric,
  price_version          text,
  http_status            integer,
  first_byte_ms          integer,
  duration_ms            integer
);

CREATE TYPE sheet_spend AS (
  key_id text,
  day    integer,
  micros bigint
);
