-- Takes back what a hold added to meters: where all usage is billed the whole of it, else as much
-- as the account's overage fell. In the transaction that reverses the hold.
-- Parameters: $1 hold id, $2 by how much the overage fell, micros, $3 now. Result: none.
-- Cost: an index range.
INSERT INTO meter_outbox (account_id, plan_id, meter, mode, dimensions, hold_id, used_at, quantity,
                          overage_micros, created_at)
SELECT account_id, plan_id, meter, mode, dimensions, hold_id, used_at, quantity, overage_micros,
       $3::timestamptz
FROM (
  SELECT account_id, plan_id, meter, mode, dimensions, hold_id, used_at,
         CASE WHEN mode = 'usage' THEN -q
              WHEN place = 1 AND o <> 0 THEN -$2::bigint * (q / o)
              ELSE 0 END AS quantity,
         CASE WHEN place = 1 THEN -$2::bigint ELSE 0 END AS overage_micros
  FROM (
    SELECT account_id, min(plan_id) AS plan_id, meter, mode, dimensions, hold_id, used_at,
           sum(quantity) AS q, sum(overage_micros) AS o,
           row_number() OVER (ORDER BY sum(overage_micros) DESC, meter, dimensions) AS place
    FROM meter_outbox
    WHERE hold_id = $1
    GROUP BY account_id, meter, mode, dimensions, hold_id, used_at
  ) added
) back
WHERE quantity <> 0 OR overage_micros <> 0
