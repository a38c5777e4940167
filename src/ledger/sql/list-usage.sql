-- A page of an account's receipts: the highest rev of each hold.
-- Parameters: $1 account id; $2, $3 started_at from (inclusive) and to (exclusive); $4 hold id to
-- start below; $5, $6 least and highest hold id that can belong to that time; $7 most rows.
-- Result: newest first. Cost: one index range, and one look-up a row for its entries.
SELECT u.hold_id, u.rev, u.account_id, u.key_id, u.micros, u.late, u.estimated, u.protocol,
       u.endpoint, u.upstream, u.model, u.stream, u.usage, u.provider_cost_pico_usd,
       u.price_version, u.http_status, u.started_at, u.first_byte_ms, u.duration_ms, u.posted_at,
       m.entries, m.reversed_micros
FROM usage u
CROSS JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_object('lot_id', s.lot_id, 'line', s.line,
                                             'micros', s.micros) ORDER BY s.seq)
                  FILTER (WHERE s.micros <> 0), '[]') AS entries,
         coalesce(sum(s.reversed), 0)::bigint AS reversed_micros
  FROM (SELECT e.lot_id, e.line, min(e.seq) AS seq, sum(e.micros)::bigint AS micros,
               sum(e.micros) FILTER (WHERE e.reference_type = 'reversal') AS reversed
        FROM ledger_entries e
        WHERE e.op_id >= u.hold_id::text || ':' COLLATE "C"
          AND e.op_id < u.hold_id::text || ';' COLLATE "C"
          AND e.movement_type NOT IN ('expiry', 'reinstatement')
        GROUP BY e.lot_id, e.line) s
) m
WHERE u.account_id = $1
  AND u.started_at >= $2::timestamptz AND u.started_at < $3::timestamptz
  AND u.hold_id < $4::uuid AND u.hold_id >= $5::uuid AND u.hold_id <= $6::uuid
  AND (u.rev = 2 OR NOT EXISTS (SELECT FROM usage n WHERE n.hold_id = u.hold_id AND n.rev = 2))
ORDER BY u.hold_id DESC
LIMIT $7
