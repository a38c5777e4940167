-- Which of some holds are in Postgres, and by which version of their account.
-- $1 hold ids (uuid[]). Result: hold_id, version of the latest posting. Cost: an index look-up a
-- hold.
SELECT hold_id, max(version)::bigint AS version
  FROM usage
 WHERE hold_id = ANY ($1::uuid[])
 GROUP BY hold_id
