-- Whose a hold is whose receipt is drafted already: by itself, and by the draft.
-- Parameters: $1 account to start after, $2 last account, $3 changed before.
-- Result: subject, account_id, one, other (text). Cost: the holds and jobs of those accounts.
SELECT h.id::text AS subject, h.account_id, concat_ws(' ', h.account_id, h.id) AS one,
       concat_ws(' ', h.draft ->> 'accountId', h.draft ->> 'holdId') AS other
FROM (
  SELECT id, account_id, draft, changed_at FROM work_holds
  WHERE account_id > $1 AND account_id <= $2
  UNION ALL
  SELECT hold_id, account_id, draft, created_at FROM background_jobs
  WHERE account_id > $1 AND account_id <= $2
) h
WHERE h.changed_at < $3::timestamptz
  AND (h.draft ->> 'accountId' <> h.account_id OR h.draft ->> 'holdId' <> h.id::text)
ORDER BY h.id
LIMIT 1000
