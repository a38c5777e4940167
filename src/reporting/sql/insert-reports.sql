-- Keeps sealed reports. Parameters: $1 JSON array of objects named like the columns, $2 now.
-- Result: none. Cost: one row each.
INSERT INTO meter_reports (id, sealing_id, identifier, account_id, customer_id, meter, event_name,
                           dimensions, slot_at, rev, part, kind, cancels, value, overage_micros, at,
                           state, note, successor, sealed_at)
SELECT id, sealing_id, identifier, account_id, customer_id, meter, event_name, dimensions, slot_at,
       rev, part, kind, cancels, value, overage_micros, at, state, note, successor,
       $2::timestamptz
FROM json_to_recordset($1::json) AS r (
  id uuid, sealing_id uuid, identifier text, account_id text, customer_id text, meter text,
  event_name text, dimensions text, slot_at timestamptz, rev integer, part integer, kind text,
  cancels uuid, value bigint, overage_micros bigint, at timestamptz, state text, note text,
  successor uuid)
