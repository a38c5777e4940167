-- Which request gave a key its secret, so that the same one again does not end it.
-- Source: design §8 (the operator's side is idempotent by Idempotency-Key).
ALTER TABLE api_keys ADD COLUMN rotated_by text CHECK (length(rotated_by) <= 255);
