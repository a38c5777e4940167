-- A finding that opens again is news again: how often it did, and when last. Source: issue 5 §2.

ALTER TABLE findings ADD COLUMN openings integer NOT NULL DEFAULT 1 CHECK (openings > 0);
ALTER TABLE findings ADD COLUMN opened_at timestamptz;
UPDATE findings SET opened_at = first_seen;
ALTER TABLE findings ALTER COLUMN opened_at SET NOT NULL;

-- Several statements note findings. That none of them can forget this is why it is a trigger.
-- Times come from the caller: what opened is seen then.
CREATE FUNCTION count_opening() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.opened_at := coalesce(NEW.opened_at, NEW.first_seen);
  ELSIF NEW.state = 'open' AND (OLD.state <> 'open'
        OR (NEW.severity = 'urgent' AND OLD.severity <> 'urgent')) THEN
    NEW.openings := OLD.openings + 1;
    NEW.opened_at := NEW.last_seen;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER findings_opening BEFORE INSERT OR UPDATE ON findings
  FOR EACH ROW EXECUTE FUNCTION count_opening();
