-- Whether Stripe was ever told of usage. Parameters: none. Result: a row if it was. Cost: one row.
SELECT 1 AS is_there FROM meter_reports LIMIT 1
