-- What a request for a new link came to, as audit_log has it.
-- Parameters: $1 id of the request. Result: the claim and its round then; or none. Cost: one row.
SELECT subject AS claim_id, (detail->>'round')::int AS round FROM audit_log WHERE id = $1
