import { z } from 'zod'
import { doctorReport } from '../../reconcile/doctor.ts'
import { verifyReport } from '../../reconcile/verify.ts'
import { audit, noAccount, type AdminDeps, type Operator } from '../context.ts'
import { accountId } from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const which = z.strictObject({ account_id: accountId.optional() }).optional()
const post = { method: 'POST', params: nothing, query: nothing } as const

export const operationRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  route({
    ...post,
    path: '/verify',
    summary: 'Check the invariants on the live stores; changes nothing.',
    body: which,
    answer: verifyReport,
    async run({ body }) {
      const report = await deps.operations.verify(body?.account_id ?? null)
      return report === null ? noAccount(body?.account_id ?? '') : { status: 200, body: report }
    },
  }),
  route({
    ...post,
    path: '/doctor',
    summary: 'Check how the stores are set up; each finding says what to do.',
    body: nothing,
    answer: doctorReport,
    async run() {
      return { status: 200, body: await deps.operations.doctor() }
    },
  }),
  route({
    ...post,
    path: '/rebuild',
    summary: 'Load accounts and keys from Postgres into the credit engine.',
    body: which,
    answer: z.object({ accounts: z.int(), keys: z.int(), failed: z.int() }),
    async run({ body, who }) {
      const subject = body?.account_id ?? 'all'
      await audit(deps, { actor: who.actor, action: 'rebuild', subject, detail: {} })
      const rebuilt = await deps.operations.rebuild(body?.account_id ?? null)
      return rebuilt === null ? noAccount(body?.account_id ?? '') : { status: 200, body: rebuilt }
    },
  }),
  route({
    ...post,
    path: '/recover',
    summary: 'End holds whose lease has lapsed now, instead of with the next sweeps.',
    body: nothing,
    answer: z.object({ ended: z.int(), left: z.int() }),
    async run({ who }) {
      await audit(deps, { actor: who.actor, action: 'recover', subject: 'all', detail: {} })
      return { status: 200, body: await deps.operations.recover() }
    },
  }),
]
