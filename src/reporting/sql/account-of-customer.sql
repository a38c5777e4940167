-- Whose customer it is, else whose usage was told under it: the account may have another one since.
-- Parameters: $1 customer. Result: no row or one, id. Cost: an index look-up or two.
SELECT id
FROM (SELECT coalesce(
        (SELECT id FROM accounts WHERE stripe_customer_id = $1),
        (SELECT account_id FROM meter_reports WHERE customer_id = $1 LIMIT 1)) AS id) known
WHERE id IS NOT NULL
