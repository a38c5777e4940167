import type { FastifyInstance } from 'fastify'
import type { Authenticator } from '../access/access.ts'
import type { Subjects } from '../access/subjects.ts'
import { makeWorkRows } from '../access/work/rows.ts'
import { makeWork } from '../access/work/work.ts'
import type { CreditEngine } from '../credits/commands.ts'
import type { Credits } from '../credits/lifecycle.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import { WORK_ENDING_MS } from '../kernel/limits/access.ts'
import type { Log } from '../kernel/log.ts'
import type { Loops } from '../ops/loops.ts'
import { holdPlugin, makeHoldSurface, type HoldSurface } from '../portal/holds.ts'
import { PORTAL_PREFIX } from '../portal/plugin.ts'
import type { Db } from '../store/db.ts'
import type { Prices } from './prices.ts'

export interface HoldsDeps {
  readonly db: Db
  readonly engine: CreditEngine
  readonly credits: Credits
  readonly prices: Prices
  readonly authenticator: Authenticator
  readonly subjects: Subjects
  readonly loops: Loops
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
}

/** Work that does not pass the proxy. Answers its surface, for the documentation. */
export function registerHolds(server: FastifyInstance, deps: HoldsDeps): HoldSurface {
  const work = makeWork({ ...deps, prices: deps.prices.book, rows: makeWorkRows(deps.db) })
  const holdDeps = { ...deps, work }
  const surface = makeHoldSurface(holdDeps)
  server.register(
    async (app) => {
      holdPlugin(app, { surface, deps: holdDeps })
      await Promise.resolve()
    },
    { prefix: PORTAL_PREFIX },
  )
  deps.loops.start({ name: 'work-holds', periodMs: WORK_ENDING_MS, run: () => work.finish() })
  deps.loops.start({ name: 'work-old', periodMs: 60_000, jitter: 0.5, run: () => work.forget() })
  return surface
}
