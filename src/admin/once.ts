import { hash } from 'node:crypto'
import { isRefusal } from '../kernel/errors.ts'
import type { Route } from '../access/http/route.ts'
import { makeKeyRows } from '../gateway/idempotency-rows.ts'
import { REUSED } from '../gateway/idempotency.ts'
import { describeError } from '../kernel/log.ts'
import type { AdminDeps, Operator } from './context.ts'

/** Keys of one path are its own; no account has such a name, so none of theirs is meant. */
const scopeOf = (path: string, params: unknown): string =>
  `admin:${hash('sha256', JSON.stringify([path, params]))}`

/**
 * An Idempotency-Key names one request, whatever else that is named by: another body under it is
 * refused, for a day, in the rows of clients' requests. That the same one again does nothing twice
 * is the affair of each route. What was refused frees its key. Source: design §8, §9.
 */
export function makeOnce({ db, clock, ids, log }: Pick<AdminDeps, 'db' | 'clock' | 'ids' | 'log'>) {
  const rows = makeKeyRows(db)
  return (route: Route<Operator>): Route<Operator> => ({
    ...route,
    async handle(who, raw) {
      const { params, body, idempotencyKey: key } = raw
      if (key === null || route.method !== 'POST') return route.handle(who, raw)
      const bodyHash = hash('sha256', JSON.stringify(body ?? null), 'buffer')
      const accountId = scopeOf(route.path, params)
      const request = { accountId, key, holdId: ids.uuid(), bodyHash }
      const isFirst = await rows.claim(request, clock.now())
      const known = isFirst ? null : await rows.read(accountId, key)
      if (known !== null && !bodyHash.equals(known.bodyHash)) return REUSED
      const answer = await route.handle(who, raw)
      if (isFirst && isRefusal(answer)) {
        await rows.free(request).catch((error: unknown) => {
          log.warn({ error: describeError(error) }, 'a refused request keeps its idempotency key')
        })
      }
      return answer
    },
  })
}
