-- The accounts of subjects. Unknown ones give no row.
-- $1 array of subject_refs. Result: one row a known subject. Cost: O(subjects × log accounts).
SELECT subject_ref, id AS account_id, markup, change_seq AS account_seq
  FROM accounts
 WHERE subject_ref = ANY ($1::text[])
