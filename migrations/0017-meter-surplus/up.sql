-- What final invoices billed beyond the overage that was open then: it was given back when Stripe
-- had been told of it. It closes the overage of later invoices, which are lower by as much.
CREATE TABLE meter_surplus (
  account_id text NOT NULL,
  event_name text NOT NULL,
  micros     bigint NOT NULL CHECK (micros >= 0),
  PRIMARY KEY (account_id, event_name)
);

-- Reports are listed and pruned in the order of their sealing.
CREATE UNIQUE INDEX meter_reports_seq ON meter_reports (seq);
