-- The lanes of a customer are due at once. Parameters: $1 customer, $2 now. Result: none.
-- Cost: its lanes.
UPDATE meter_lanes SET due_at = $2::timestamptz
WHERE customer_id = $1 AND lease IS NULL AND due_at IS NOT NULL
