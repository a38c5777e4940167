import type { Clock } from '../kernel/clock.ts'
import { HEALTH_CHECK_MS_MAX } from '../kernel/limits/processes.ts'
import { describeError, type Log } from '../kernel/log.ts'

export interface HealthCheck {
  readonly name: string
  /**
   * always: not ready whenever it fails. once: not ready until it first succeeded, degraded when it
   * fails later: what is loaded and cached goes on without Postgres (design §3), and a balancer
   * that takes every gateway out at once would end that.
   */
  readonly needed: 'always' | 'once'
  /** Throws with what is wrong. */
  run(): Promise<void> | void
}

export interface Readiness {
  readonly status: 'ready' | 'degraded' | 'not_ready'
  readonly checks: readonly {
    readonly name: string
    readonly ok: boolean
    readonly reason?: string
  }[]
}

export interface Health {
  /** Looks at everything; looks that overlap are one. Never throws, answers within seconds. */
  ready(): Promise<Readiness>
}

type Outcome = Readiness['checks'][number]

/** What is told to whoever asks: no addresses, no driver texts. */
const reasonOf = (error: unknown): string =>
  error instanceof HealthError ? error.message : 'not reachable'

/** A failed check whose message may be shown to anybody. */
export class HealthError extends Error {
  override readonly name = 'HealthError'
}

export function makeHealth(deps: {
  clock: Clock
  log: Log
  checks: readonly HealthCheck[]
}): Health {
  const succeeded = new Set<string>()
  let asking: Promise<Readiness> | null = null

  function withinTime(check: HealthCheck): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = deps.clock.after(HEALTH_CHECK_MS_MAX, () => {
        reject(new HealthError(`no answer within ${HEALTH_CHECK_MS_MAX} ms`))
      })
      const run = async (): Promise<void> => {
        await check.run()
      }
      run().then(resolve, reject).finally(cancel)
    })
  }

  async function outcomeOf(check: HealthCheck): Promise<Outcome> {
    try {
      await withinTime(check)
      succeeded.add(check.name)
      return { name: check.name, ok: true }
    } catch (error) {
      deps.log.warn({ check: check.name, error: describeError(error) }, 'health check failed')
      return { name: check.name, ok: false, reason: reasonOf(error) }
    }
  }

  async function ask(): Promise<Readiness> {
    const outcomes = await Promise.all(deps.checks.map(outcomeOf))
    const failed = deps.checks.filter((_, index) => outcomes[index]?.ok === false)
    const isFatal = (check: HealthCheck): boolean =>
      check.needed === 'always' || !succeeded.has(check.name)
    const degraded = failed.length > 0 ? 'degraded' : 'ready'
    return { status: failed.some(isFatal) ? 'not_ready' : degraded, checks: outcomes }
  }

  return {
    ready() {
      asking ??= ask().finally(() => {
        asking = null
      })
      return asking
    },
  }
}
