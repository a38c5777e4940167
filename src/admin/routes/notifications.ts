import { z } from 'zod'
import { isoOrNull } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'
import { refuse } from '../../kernel/errors.ts'
import { NOTIFICATION_STATES, notificationRow, type NotificationView } from '../../notify/outbox.ts'
import { audit, type AdminDeps, type Operator } from '../context.ts'

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
    async run({ params: { id }, who }) {
      await audit(deps, { actor: who.actor, action: 'notification.retry', subject: id, detail: {} })
      const found = await deps.outbox.retry(id, deps.clock.now())
      if (found !== null) return { status: 200, body: viewOf(found) }
      return refuse('not_found', `There is no notification ${id} that was given up.`)
    },
  }),
]
