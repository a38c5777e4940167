import type { CreditEngine } from '../credits/commands.ts'
import type { Credits } from '../credits/lifecycle.ts'
import { makeJobs } from '../gateway/background/jobs.ts'
import { makePoller } from '../gateway/background/poller.ts'
import type { GatewayDeps } from '../gateway/context.ts'
import type { StoredIds } from '../gateway/stored/stored-ids.ts'
import { BACKGROUND_TICK_MS } from '../kernel/limits/background.ts'
import type { Loops } from '../ops/loops.ts'
import type { Db } from '../store/db.ts'

export interface Background {
  readonly deps: GatewayDeps['background']
  /** Polls in this process from now on. */
  follow(gateway: GatewayDeps, loops: Loops, state: { readonly draining: boolean }): void
}

/** Responses that go on after their request: written down by one process, polled by any. */
export function makeBackground(parts: {
  readonly db: Db
  readonly stored: StoredIds
  readonly engine: CreditEngine
  readonly credits: Credits
}): Background {
  const { engine, credits } = parts
  const jobs = makeJobs(parts)
  return {
    deps: { jobs, engine, credits },
    follow(gateway, loops, state) {
      const poller = makePoller({ ...gateway, jobs, engine, credits })
      const run = (): Promise<void> => (state.draining ? Promise.resolve() : poller.tick())
      loops.start({ name: 'background', periodMs: BACKGROUND_TICK_MS, run })
    },
  }
}
