-- Opens findings again whose explanation has run out and that no comparison would see again: who
-- noted them closes them when their cause is gone.
-- Parameters: $1 kinds that comparisons see again, $2 time. Result: id of each.
-- Cost: a scan of the findings.
UPDATE findings SET state = 'open'
WHERE state = 'explained' AND explained_until <= $2::timestamptz AND kind <> ALL ($1::text[])
RETURNING id
