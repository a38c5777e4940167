-- What a month's attempts came to, or may still. Parameters: $1 account id, $2 month.
-- Result: attempts, amount. Cost: the account's attempts.
SELECT count(*) AS attempts, coalesce(sum(amount), 0)::bigint AS amount
FROM recharge_attempts
WHERE account_id = $1 AND month = $2 AND state NOT IN ('failed', 'canceled')
