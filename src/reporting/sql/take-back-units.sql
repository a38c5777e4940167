-- Takes back the units that earlier receipts of some holds added, so that the whole of the newer
-- receipt can be added. To run before it is, in the transaction that posts it.
-- Parameters: $1 hold ids, $2 names of meters that count units, $3 now. Result: none.
-- Cost: an index range a hold.
INSERT INTO meter_outbox (account_id, plan_id, meter, mode, dimensions, hold_id, used_at, quantity,
                          overage_micros, created_at)
SELECT account_id, min(plan_id), meter, min(mode), dimensions, hold_id, used_at, -sum(quantity), 0,
       $3::timestamptz
FROM meter_outbox
WHERE hold_id = ANY ($1::uuid[]) AND meter = ANY ($2::text[])
GROUP BY account_id, meter, dimensions, hold_id, used_at
HAVING sum(quantity) <> 0
