import { z } from 'zod'
import { loadSql } from '../../store/sql.ts'
import { refuse } from '../../kernel/errors.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const sql = loadSql(new URL('../sql/', import.meta.url), [
  'list-findings',
  'read-finding',
  'explain-finding',
])

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
  /** Who is wronged; null = it is not about access and payment. */
  direction: z.enum(['paid_but_blocked', 'unpaid_but_active']).nullable(),
  at_stake_micros: z.number().nullable(),
  note: z.string().nullable(),
  explained_until: z.number().nullable(),
})
type FindingRow = z.infer<typeof findingRow>

const findingView = findingRow.extend({
  first_seen: z.string().nullable(),
  last_seen: z.string().nullable(),
  explained_until: z.string().nullable(),
})

const view = (finding: FindingRow): z.infer<typeof findingView> => ({
  ...finding,
  first_seen: isoOrNull(finding.first_seen),
  last_seen: isoOrNull(finding.last_seen),
  explained_until: isoOrNull(finding.explained_until),
})

const query = z.strictObject({
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
      return { status: 200, body: fields.page(findings, limit, view, ({ id }) => id) }
    },
  }),
  route({
    method: 'GET',
    path: '/findings/:id',
    summary: 'One finding, with the evidence of both sides.',
    params: z.object({ id: z.uuid() }),
    query: nothing,
    body: nothing,
    answer: findingView,
    async run({ params: { id } }) {
      const [row] = await deps.db.query(sql['read-finding'], [id])
      if (row === undefined) return refuse('not_found', `There is no finding ${id}.`)
      return { status: 200, body: view(findingRow.parse(row)) }
    },
  }),
  route({
    method: 'POST',
    path: '/findings/:id/explain',
    summary: 'Let a finding stand, with the reason and until when.',
    params: z.object({ id: z.uuid() }),
    query: nothing,
    body: z.strictObject({ note: z.string().min(1).max(1_000), until: fields.moment.optional() }),
    answer: findingView,
    async run({ params: { id }, body: { note, until = null }, who }) {
      const detail = { note, until: isoOrNull(until) }
      await audit(deps, { actor: who.actor, action: 'finding.explain', subject: id, detail })
      const date = until === null ? null : new Date(until)
      const [row] = await deps.db.query(sql['explain-finding'], [id, note, date])
      if (row === undefined) return refuse('not_found', `There is no open finding ${id}.`)
      return { status: 200, body: view(findingRow.parse(row)) }
    },
  }),
]
