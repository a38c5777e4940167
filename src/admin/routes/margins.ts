import { z } from 'zod'
import { DAY_MS } from '../../kernel/clock.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { MARGIN_DAYS_DEFAULT } from '../../kernel/limits/books.ts'
import { MARGIN_GROUPS, type MarginQuery } from '../../ledger/margins/margins.ts'
import { rankMargins } from '../../ledger/margins/rank.ts'
import type { AdminDeps, Operator } from '../context.ts'
import { marginAnswer, viewMargins } from '../margins.ts'

const query = z.strictObject({
  by: z.enum(MARGIN_GROUPS).default('account'),
  since: fields.moment.optional(),
  until: fields.moment.optional(),
  losing: z.stringbool().default(false),
  limit: fields.pageLimit,
})

/** Thirty UTC days, today included. */
const defaultSince = (untilMs: number): number =>
  (Math.ceil(untilMs / DAY_MS) - MARGIN_DAYS_DEFAULT) * DAY_MS

const NO_TIME = 'since must be before until.'
const TOO_MANY = 'This is more than one report may have: name a shorter time, or another group.'

export const marginRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  route({
    method: 'GET',
    path: '/margins',
    summary: 'What requests brought and what they cost, by account, model, key, day or upstream.',
    params: nothing,
    query,
    body: nothing,
    answer: marginAnswer,
    async run({ query: { by, losing, limit, ...time } }) {
      const untilMs = time.until ?? deps.clock.now()
      const asked: MarginQuery = { by, untilMs, sinceMs: time.since ?? defaultSince(untilMs) }
      if (asked.sinceMs >= untilMs) return refuse('invalid_request', NO_TIME)
      const report = await deps.margins.read(asked)
      if (report === 'too_many') return refuse('invalid_request', TOO_MANY)
      return { status: 200, body: viewMargins(asked, rankMargins(report, { by, losing, limit })) }
    },
  }),
]
