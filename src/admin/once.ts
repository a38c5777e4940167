import { hash } from 'node:crypto'
import { isRefusal, refuse } from '../kernel/errors.ts'
import type { Route } from '../access/http/route.ts'
import { makeKeyRows, type KeyRow } from '../gateway/idempotency/rows.ts'
import { REUSED, type IdempotentRequest } from '../gateway/idempotency/idempotency.ts'
import { sortedJson } from '../kernel/sorted-json.ts'
import { describeError } from '../kernel/log.ts'
import type { AdminDeps, Operator } from './context.ts'

/** Keys of one path are its own; no account has such a name, so none of theirs is meant. */
const scopeOf = (path: string, params: unknown): string =>
  `admin:${hash('sha256', JSON.stringify([path, params]))}`

const TOO_DEEP = refuse('invalid_json', 'The body is nested too deep.')

/** The same for the same JSON, whatever the order of its fields; null = the stack is too short. */
function hashOf(body: unknown): Buffer | null {
  try {
    return hash('sha256', sortedJson(body ?? null), 'buffer')
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

/**
 * An Idempotency-Key names one request, whatever else that is named by: another body under it is
 * refused, for a day, in the rows of clients' requests. That the same one again does nothing twice
 * is the affair of each route. What was refused frees its key, and what is not valid takes none.
 * Source: design §8, §9.
 */
export function makeOnce({ db, clock, ids, log }: Pick<AdminDeps, 'db' | 'clock' | 'ids' | 'log'>) {
  const rows = makeKeyRows(db)

  /** Answers null where the row is this request's own, else the one that has it. */
  async function claim(request: IdempotentRequest): Promise<KeyRow | null> {
    for (;;) {
      if (await rows.claim(request, clock.now())) return null
      const known = await rows.read(request.accountId, request.key)
      // Else it was refused meanwhile, and the key is free.
      if (known !== null) return known
    }
  }

  return (route: Route<Operator>): Route<Operator> => ({
    ...route,
    prepare(raw) {
      const handle = route.prepare(raw)
      const { params, body, idempotencyKey: key } = raw
      if (key === null || route.method !== 'POST' || isRefusal(handle)) return handle
      const [accountId, bodyHash] = [scopeOf(route.path, params), hashOf(body)]
      if (bodyHash === null) return TOO_DEEP
      return async (who) => {
        const request = { accountId, key, holdId: ids.uuid(), bodyHash }
        const known = await claim(request)
        if (known !== null && !bodyHash.equals(known.bodyHash)) return REUSED
        const answer = await handle(who)
        if (known === null && isRefusal(answer)) {
          await rows.free(request).catch((error: unknown) => {
            log.warn({ error: describeError(error) }, 'a refused request keeps its idempotency key')
          })
        }
        return answer
      }
    },
  })
}
