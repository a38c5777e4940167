-- Takes what of a period's overage Stripe was told and no invoice has closed, for this one.
-- Parameters: $1 account id, $2 event name, $3 start, $4 end, $5 invoice,
-- $6 when it was final: what was told later is not on it; parts of a unit are on none, and go
-- along.
-- Result: one row, micros; nothing is taken where it is not above zero. Cost: an index range.
WITH told AS (
  SELECT id, overage_micros FROM meter_reports
  WHERE account_id = $1 AND event_name = $2 AND at >= $3::timestamptz AND at < $4::timestamptz
    AND state IN ('sent', 'nothing') AND billed_by IS NULL AND successor IS NULL
    AND (state = 'nothing'
         OR coalesce(last_tried_at, sealed_at) < $6::timestamptz + interval '1 second')
  FOR UPDATE
), total AS (
  SELECT coalesce(sum(overage_micros), 0)::bigint AS micros FROM told
), taken AS (
  UPDATE meter_reports r SET billed_by = $5
  FROM told, total
  WHERE r.id = told.id AND total.micros > 0
)
SELECT micros FROM total
