-- What an account allows from now on. A warning may come where there was no row to lock yet.
-- Parameters: $1 account id, $2 state, $3 reason, $4 pack, $5 threshold in micros, $6 monthly
-- count, $7 monthly amount, $8 currency, $9 return URL, $10 declines in a row, $11 mark of the
-- card that was declined, $12 no attempt before, $13 now, $14 whether also after a fraud warning.
-- Result: no row where a warning forbids it. Cost: one row.
INSERT INTO recharges AS r (account_id, state, reason, pack_id, threshold_micros, monthly_count,
                            monthly_amount, currency, return_url, declines, card_mark, due_at,
                            changed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (account_id) DO UPDATE
SET state = excluded.state, reason = excluded.reason, pack_id = excluded.pack_id,
    threshold_micros = excluded.threshold_micros, monthly_count = excluded.monthly_count,
    monthly_amount = excluded.monthly_amount, currency = excluded.currency,
    return_url = excluded.return_url, declines = excluded.declines,
    card_mark = excluded.card_mark, due_at = excluded.due_at, changed_at = excluded.changed_at
WHERE $14 OR r.reason IS DISTINCT FROM 'early_fraud_warning'
RETURNING account_id
