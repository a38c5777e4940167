-- Who is billed for an account. Parameters: $1 account id.
-- Result: customer_id or null, gone: why that customer takes nothing any more, or null; meter_plan.
-- Cost: two index look-ups.
SELECT a.stripe_customer_id AS customer_id, s.reason AS gone, a.meter_plan
FROM accounts a
LEFT JOIN meter_stops s ON s.kind = 'customer' AND s.name = a.stripe_customer_id
WHERE a.id = $1
