-- A run of reconciliation survives what changes around it: checks that come and go, and ones that
-- fail. Source: issue 5 §2.

-- The comparison it is at, by name: numbers move when checks come or go. null = it is done.
ALTER TABLE reconcile_runs ADD COLUMN check_name text;
-- How often the page it is at has failed in a row.
ALTER TABLE reconcile_runs ADD COLUMN failures integer NOT NULL DEFAULT 0;
-- When the last nightly run began.
ALTER TABLE reconcile_runs ADD COLUMN nightly_at timestamptz;
