-- What receipts of an account come to by key and day, for a page of its holds.
-- Parameters: $1 account id, $2 hold id to start after, $3 most holds.
-- Result: key_id, day, micros, last (the page's last hold), holds (how many). Cost: an index range.
WITH page AS (
  SELECT DISTINCT ON (hold_id) hold_id, key_id, day, micros
  FROM usage
  WHERE account_id = $1 AND hold_id > $2::uuid
  ORDER BY hold_id, rev DESC
  LIMIT $3
)
SELECT key_id, day, sum(micros)::bigint AS micros, (SELECT max(hold_id::text) FROM page) AS last,
       (SELECT count(*) FROM page) AS holds
FROM page
GROUP BY key_id, day
