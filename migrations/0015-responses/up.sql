-- Whose a stored response is, and each item of it, as the provider named them. Source: issue 3.

CREATE TABLE stored_ids (
  account_id text NOT NULL,
  id         text COLLATE "C" NOT NULL,
  upstream   text NOT NULL,
  model      text NOT NULL,
  hold_id    uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (account_id, id)
);
CREATE INDEX stored_ids_expires_at ON stored_ids (expires_at);
