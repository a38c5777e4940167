import { z } from 'zod'
import { loadSql } from '../../store/sql.ts'
import type { AdminDeps, Operator } from '../context.ts'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), ['list-findings'])

const STATES = ['open', 'explained', 'fixed', 'gone'] as const

const findingRow = z.object({
  id: z.string(),
  kind: z.string(),
  severity: z.enum(['urgent', 'review', 'info']),
  subject: z.string(),
  evidence: z.json(),
  state: z.enum(STATES),
  first_seen: z.number(),
  last_seen: z.number(),
})
const findingView = findingRow.extend({
  first_seen: z.string().nullable(),
  last_seen: z.string().nullable(),
})

const query = z.object({
  state: z.enum([...STATES, 'any']).default('open'),
  cursor: z.uuid().optional(),
  limit: fields.pageLimit,
})

export const findingRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  route({
    method: 'GET',
    path: '/findings',
    summary: 'What needs a person, newest first.',
    params: nothing,
    query,
    body: nothing,
    answer: fields.pageOf(findingView),
    async run({ query: { state, cursor = null, limit } }) {
      const params = [state === 'any' ? null : state, cursor, limit + 1]
      const rows = await deps.db.query(sql['list-findings'], params)
      const findings = rows.map((row) => findingRow.parse(row))
      const view = (finding: z.infer<typeof findingRow>) => ({
        ...finding,
        first_seen: isoOrNull(finding.first_seen),
        last_seen: isoOrNull(finding.last_seen),
      })
      return { status: 200, body: fields.page(findings, limit, view, ({ id }) => id) }
    },
  }),
]
