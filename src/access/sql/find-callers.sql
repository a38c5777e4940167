-- Whose keys these are, and what their accounts' plans allow, for authentication. Unknown secrets
-- give no row. $1 array of SHA-256 hashes. Result: one row a known key. Cost: O(hashes × log keys).
SELECT encode(k.hash, 'hex') AS hash, k.id AS key_id, k.kind, k.account_id, k.status, k.models,
       k.endpoints, k.expires_at, k.change_seq AS key_seq, a.markup, a.change_seq AS account_seq,
       a.status AS account_status, e.models AS plan_models, e.endpoints AS plan_endpoints
  FROM api_keys k
  LEFT JOIN accounts a ON a.id = k.account_id
  LEFT JOIN entitlements e ON e.account_id = k.account_id
 WHERE k.hash = ANY ($1::bytea[])
