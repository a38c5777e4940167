-- A hold's receipt: its highest rev, with what all revs and reversals moved on each lot or line,
-- and what reversals alone gave back.
-- Parameters: $1 hold id, $2 account id (null = any). Result: no row or one.
-- Cost: two index look-ups (op ids start with the hold's; ';' follows ':').
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
WHERE u.hold_id = $1 AND ($2::text IS NULL OR u.account_id = $2)
ORDER BY u.rev DESC
LIMIT 1
