-- Lets a book of plans rule; the one that rules already stays as it is.
-- $1 version, $2 document (JSON), $3 now. Result: none. Cost: one row.
INSERT INTO plans (version, seq, document, created_at)
VALUES ($1, nextval('plans_seq'), $2::jsonb, $3)
ON CONFLICT (version) DO UPDATE SET seq = excluded.seq
WHERE plans.seq < (SELECT max(seq) FROM plans)
