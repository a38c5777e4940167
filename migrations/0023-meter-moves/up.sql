-- Reports whose fate a refusal leaves open, and usage that goes to another invoice.
-- Source: issue 5 §1.

-- What Stripe said when it refused a report that it may have taken before; null = nothing. Its
-- summaries decide.
ALTER TABLE meter_reports ADD COLUMN refusal text;

-- The report that took its place. Of one that Stripe has: no invoice bills it there, that one is
-- on the next; and of the one that takes it back where it was.
ALTER TABLE meter_reports ADD COLUMN successor uuid;
