-- The accounts of subjects, and what their plans allow. Unknown ones give no row.
-- $1 array of subject_refs. Result: one row a known subject. Cost: O(subjects × log accounts).
SELECT a.subject_ref, a.id AS account_id, a.markup, a.status, a.change_seq AS account_seq,
       e.models AS plan_models, e.endpoints AS plan_endpoints
  FROM accounts a
  LEFT JOIN entitlements e ON e.account_id = a.id
 WHERE a.subject_ref = ANY ($1::text[])
