import { z } from 'zod'
import { writeAudit } from '../../access/audit.ts'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { uuidOf } from '../../kernel/request-ids.ts'
import { NOTIFICATION_STATES, notificationRow, type NotificationView } from '../../notify/outbox.ts'
import type { AdminDeps, Operator } from '../context.ts'

const time = z.string().nullable()
const view = notificationRow.extend({ due_at: time, created_at: time, done_at: time })

const viewOf = (one: NotificationView): z.infer<typeof view> => ({
  ...one,
  due_at: one.state === 'pending' ? isoOrNull(one.due_at) : null,
  created_at: isoOrNull(one.created_at),
  done_at: isoOrNull(one.done_at),
})

const query = z.strictObject({
  state: z.enum(NOTIFICATION_STATES).optional(),
  cursor: z.uuid().optional(),
  limit: fields.pageLimit,
})

export const notificationRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  route({
    method: 'GET',
    path: '/notifications',
    summary: 'What was told to customers and operators, newest first.',
    params: nothing,
    query,
    body: nothing,
    answer: fields.pageOf(view),
    async run({ query: { state = null, cursor = null, limit } }) {
      const rows = await deps.outbox.list(state, cursor, limit + 1)
      return { status: 200, body: fields.page(rows, limit, viewOf, ({ id }) => id) }
    },
  }),
  route({
    method: 'POST',
    path: '/notifications/:id/retry',
    summary: 'Send a notification again that was given up.',
    params: z.object({ id: z.uuid() }),
    query: nothing,
    body: nothing,
    answer: view,
    async run({ params: { id }, idempotencyKey: key, who: { actor } }) {
      const { db, outbox, ids, clock } = deps
      const action = 'notification.retry'
      const requestId = key === null ? null : uuidOf([action, id], key, null)
      const retried = await db.tx(async (tx) => {
        const nowMs = clock.now()
        const row = await outbox.retry(tx, id, requestId, nowMs)
        const entry = { id: requestId, actor, action, subject: id, detail: {} }
        if (row !== null) await writeAudit(tx, ids, entry, nowMs)
        return row
      })
      const found = retried ?? (requestId === null ? null : await outbox.retried(id, requestId))
      if (found !== null) return { status: 200, body: viewOf(found) }
      return refuse('not_found', `There is no notification ${id} that was given up.`)
    },
  }),
]
