-- What the attempts of a month came to, or may still, but for one of them.
-- Parameters: $1 account id, $2 month, $3 attempt that is not counted. Result: amount.
-- Cost: the account's attempts.
SELECT coalesce(sum(amount), 0)::bigint AS amount
FROM recharge_attempts
WHERE account_id = $1 AND month = $2 AND id <> $3 AND state IN ('called', 'open', 'succeeded')
