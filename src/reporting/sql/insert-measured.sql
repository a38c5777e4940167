-- Notes what receipts add to meters, in the transaction that posts them.
-- Parameters: $1 JSON array of objects named like the columns, $2 now. Result: none.
-- Cost: one row each.
INSERT INTO meter_outbox (account_id, plan_id, meter, mode, dimensions, hold_id, used_at, quantity,
                          overage_micros, created_at)
SELECT account_id, plan_id, meter, mode, dimensions, hold_id, used_at, quantity, overage_micros,
       $2::timestamptz
FROM json_to_recordset($1::json) AS m (
  account_id text, plan_id text, meter text, mode text, dimensions text, hold_id uuid,
  used_at timestamptz, quantity numeric, overage_micros bigint)
