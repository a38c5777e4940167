-- What an item of a subscription was granted for one price in one period.
-- Parameters: $1 subscription, $2 item, $3 price, $4 start and $5 end of the period (Unix s).
-- Result: a row a grant, in order: key, micros. Cost: the sales of a subscription.
SELECT key, micros
FROM (SELECT key, micros, string_to_array(key, ':') AS part
      FROM stripe_sales
      WHERE subscription_id = $1 AND kind = 'included') s
WHERE part[3] = $2 AND part[5] = $3
  AND CASE WHEN part[4] ~ '^\d+$' THEN part[4]::bigint >= $4 AND part[4]::bigint < $5 END
ORDER BY part[4], key
