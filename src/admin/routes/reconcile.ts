import { z } from 'zod'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { uuidOf } from '../../kernel/request-ids.ts'
import type { Progress } from '../../reconcile/run.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'

const time = z.string().nullable()

export const progressView = z.object({
  id: z.string(),
  kind: z.enum(['manual', 'hourly', 'nightly']),
  /** What it is at; null = it is done. */
  check: z.string().nullable(),
  check_no: z.int(),
  checks: z.int(),
  seen: z.int(),
  found: z.int(),
  fixed: z.int(),
  started_at: time,
  finished_at: time,
})

const view = (run: Progress): z.infer<typeof progressView> => ({
  ...{ id: run.id, kind: run.kind, check: run.check, check_no: run.checkNo, checks: run.checks },
  ...{ seen: run.seen, found: run.found, fixed: run.fixed },
  started_at: isoOrNull(run.startedMs),
  finished_at: isoOrNull(run.finishedMs),
})

const BUSY = refuse('conflict', 'A comparison is under way. Carry it on with /reconcile/step.')
const post = { method: 'POST', params: nothing, query: nothing } as const

export const reconcileRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  route({
    ...post,
    path: '/reconcile',
    summary: 'Begin to compare the books; carry on with /reconcile/step until check is null.',
    body: z.strictObject({ since: fields.moment.optional(), fix: z.boolean().default(false) }),
    answer: progressView,
    async run({ body: { since = null, fix }, idempotencyKey: key, who }) {
      const detail = { since: isoOrNull(since), fix }
      const id = key === null ? undefined : uuidOf(['reconcile'], key, detail)
      await audit(deps, { actor: who.actor, action: 'reconcile', subject: 'all', detail })
      const run = await deps.reconcile.begin({ kind: 'manual', since_ms: since, fix }, id)
      return run === null ? BUSY : { status: 200, body: view(run) }
    },
  }),
  route({
    ...post,
    path: '/reconcile/step',
    summary: 'Carry the comparison under way on, for some seconds.',
    body: nothing,
    answer: progressView,
    async run() {
      const run = (await deps.reconcile.step()) ?? (await deps.reconcile.last())
      if (run === null) return refuse('not_found', 'Nothing was compared yet.')
      return { status: 200, body: view(run) }
    },
  }),
  route({
    method: 'GET',
    path: '/reconcile',
    summary: 'The comparison under way, or the last one.',
    params: nothing,
    query: nothing,
    body: nothing,
    answer: progressView,
    async run() {
      const run = await deps.reconcile.last()
      if (run === null) return refuse('not_found', 'Nothing was compared yet.')
      return { status: 200, body: view(run) }
    },
  }),
]
