-- Usage on its way to Stripe's meters. Source: design §7; issue of metered usage.

-- The plan that decides what of an account's usage Stripe bills; null = nothing.
ALTER TABLE accounts ADD COLUMN meter_plan text;
UPDATE accounts a SET meter_plan = e.plan_id
FROM entitlements e WHERE e.account_id = a.id AND e.plan_id IS NOT NULL;

-- What one receipt adds to a meter, decided in the transaction that posts it.
CREATE TABLE meter_outbox (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id     text NOT NULL,
  -- As the configuration calls them.
  plan_id        text NOT NULL,
  meter          text NOT NULL,
  -- overage: what no lot covered. usage: everything.
  mode           text NOT NULL CHECK (mode IN ('overage', 'usage')),
  -- JSON with sorted names, as text: equal dimensions are equal bytes.
  dimensions     text NOT NULL,
  hold_id        uuid NOT NULL,
  -- When it was used (the hold's reserve), which decides the hour and the period.
  used_at        timestamptz NOT NULL,
  -- Millionths of the meter's unit.
  quantity       numeric(40) NOT NULL,
  overage_micros bigint NOT NULL,
  -- Which sealing took it into reports; null = none yet.
  sealing_id     uuid,
  created_at     timestamptz NOT NULL
);
CREATE INDEX meter_outbox_open ON meter_outbox (account_id, used_at) WHERE sealing_id IS NULL;
CREATE INDEX meter_outbox_hold ON meter_outbox (hold_id);

-- How much of a series is sealed: whole units are reported, the rest is carried on.
CREATE TABLE meter_series (
  account_id text NOT NULL,
  meter      text NOT NULL,
  dimensions text NOT NULL,
  sealed     numeric(40) NOT NULL,
  PRIMARY KEY (account_id, meter, dimensions)
);

-- One event for Stripe. What it says never changes; only what became of it does.
CREATE TABLE meter_reports (
  id             uuid PRIMARY KEY,
  seq            bigint GENERATED ALWAYS AS IDENTITY,
  sealing_id     uuid NOT NULL,
  identifier     text NOT NULL UNIQUE CHECK (length(identifier) <= 100),
  account_id     text NOT NULL,
  customer_id    text NOT NULL,
  meter          text NOT NULL,
  event_name     text NOT NULL,
  dimensions     text NOT NULL,
  slot_at        timestamptz NOT NULL,
  rev            integer NOT NULL CHECK (rev > 0),
  part           integer NOT NULL CHECK (part >= 0),
  -- usage: an event. cancel: takes back the event `cancels`, whose value is counted here again.
  kind           text NOT NULL CHECK (kind IN ('usage', 'cancel')),
  cancels        uuid REFERENCES meter_reports (id),
  -- Whole units; of a cancel: less than nothing by what the event said.
  value          bigint NOT NULL CHECK (abs(value) <= 999999999999999),
  overage_micros bigint NOT NULL,
  -- The event's timestamp, in whole seconds.
  at             timestamptz NOT NULL,
  sealed_at      timestamptz NOT NULL,
  -- ready: to be sent. sent: Stripe has it. nothing: zero, never sent. refused: Stripe will not
  -- have it. late: the invoice is final or the event too old. unclear: nobody can tell whether
  -- Stripe has it. replaced: another report took its place.
  state          text NOT NULL CHECK (state IN
                   ('ready', 'sent', 'nothing', 'refused', 'late', 'unclear', 'replaced')),
  note           text,
  tries          integer NOT NULL DEFAULT 0,
  first_tried_at timestamptz,
  last_tried_at  timestamptz,
  sent_at        timestamptz,
  -- The final invoice that closed its overage.
  billed_by      text,
  UNIQUE (account_id, meter, dimensions, slot_at, rev, part),
  CHECK ((kind = 'cancel') = (cancels IS NOT NULL)),
  CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
  CHECK ((value = 0) = (state = 'nothing'))
);
CREATE INDEX meter_reports_ready ON meter_reports (customer_id, event_name, seq)
  WHERE state = 'ready';
CREATE INDEX meter_reports_at ON meter_reports (event_name, at, customer_id);
CREATE INDEX meter_reports_account ON meter_reports (account_id, event_name, at);
CREATE INDEX meter_reports_open ON meter_reports (seq)
  WHERE state IN ('ready', 'refused', 'late', 'unclear');
CREATE INDEX meter_reports_cancels ON meter_reports (cancels) WHERE cancels IS NOT NULL;

CREATE FUNCTION refuse_other_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.identifier, NEW.account_id, NEW.customer_id, NEW.meter, NEW.event_name, NEW.dimensions,
      NEW.slot_at, NEW.rev, NEW.part, NEW.kind, NEW.value, NEW.overage_micros, NEW.at)
     IS DISTINCT FROM
     (OLD.identifier, OLD.account_id, OLD.customer_id, OLD.meter, OLD.event_name, OLD.dimensions,
      OLD.slot_at, OLD.rev, OLD.part, OLD.kind, OLD.value, OLD.overage_micros, OLD.at) THEN
    RAISE EXCEPTION 'what a sealed report says does not change';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER meter_reports_sealed BEFORE UPDATE ON meter_reports
  FOR EACH ROW EXECUTE FUNCTION refuse_other_report();

-- One call at a time for a customer and meter: who holds the lease of the lane calls.
CREATE TABLE meter_lanes (
  customer_id text NOT NULL,
  event_name  text NOT NULL,
  -- null = nothing to send.
  due_at      timestamptz,
  lease       uuid,
  -- Something was sealed while somebody held the lease.
  is_woken    boolean NOT NULL DEFAULT false,
  tries       integer NOT NULL DEFAULT 0,
  PRIMARY KEY (customer_id, event_name)
);
CREATE INDEX meter_lanes_due ON meter_lanes (due_at) WHERE due_at IS NOT NULL;

-- A meter that takes nothing for now, or a customer that is gone.
CREATE TABLE meter_stops (
  kind    text NOT NULL CHECK (kind IN ('meter', 'customer')),
  name    text NOT NULL,
  reason  text NOT NULL,
  since   timestamptz NOT NULL,
  PRIMARY KEY (kind, name)
);

-- The invoices that bill a meter's usage, as they were last seen.
CREATE TABLE meter_periods (
  invoice_id   text NOT NULL,
  event_name   text NOT NULL,
  account_id   text NOT NULL,
  start_at     timestamptz NOT NULL,
  end_at       timestamptz NOT NULL,
  finalized_at timestamptz,
  PRIMARY KEY (invoice_id, event_name),
  CHECK (start_at <= end_at)
);
CREATE INDEX meter_periods_account ON meter_periods (account_id, end_at);

-- Times for which Stripe said that some events were refused without naming all of them.
CREATE TABLE meter_checks (
  id         uuid PRIMARY KEY,
  event_name text NOT NULL,
  from_at    timestamptz NOT NULL,
  to_at      timestamptz NOT NULL,
  due_at     timestamptz NOT NULL
);
CREATE INDEX meter_checks_due ON meter_checks (due_at);
