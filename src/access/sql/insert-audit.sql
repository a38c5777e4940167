-- Keeps who changed what. A repeated id changes nothing.
-- $1 id, $2 time, $3 actor, $4 action, $5 subject, $6 detail (JSON, no secrets). Cost: O(1).
INSERT INTO audit_log (id, at, actor, action, subject, detail)
VALUES ($1, $2, $3, $4, $5, $6::jsonb)
ON CONFLICT (id) DO NOTHING
