import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { HealthError, makeHealth, type HealthCheck } from '../../src/ops/health.ts'

function check(name: string, needed: HealthCheck['needed']) {
  const state = { error: null as Error | null, runs: 0 }
  const run = () => {
    state.runs += 1
    if (state.error !== null) throw state.error
  }
  return { state, check: { name, needed, run } }
}

describe('readiness', () => {
  it('names what fails, without telling addresses', async () => {
    const redis = check('redis', 'always')
    const backlog = check('backlog', 'always')
    redis.state.error = new Error('connect ECONNREFUSED 10.0.0.7:6379')
    backlog.state.error = new HealthError('the backlog is full')
    const checks = [redis.check, backlog.check]
    const readiness = await makeHealth({ clock: systemClock, log: silentLog, checks }).ready()
    expect(readiness).toEqual({
      status: 'not_ready',
      checks: [
        { name: 'redis', ok: false, reason: 'not reachable' },
        { name: 'backlog', ok: false, reason: 'the backlog is full' },
      ],
    })
  })

  it('is lost without Postgres only until Postgres was seen once', async () => {
    const postgres = check('postgres', 'once')
    const health = makeHealth({ clock: systemClock, log: silentLog, checks: [postgres.check] })
    postgres.state.error = new Error('away')
    expect((await health.ready()).status).toBe('not_ready')
    postgres.state.error = null
    expect((await health.ready()).status).toBe('ready')
    postgres.state.error = new Error('away')
    expect((await health.ready()).status).toBe('degraded')
  })

  it('does not wait for a store that does not answer, and asks once for many', async () => {
    let fire: () => void = () => undefined
    const clock = {
      ...systemClock,
      after: (_ms: number, run: () => void) => {
        fire = run
        return () => undefined
      },
    }
    const checks: HealthCheck[] = [
      { name: 'redis', needed: 'always', run: () => new Promise(() => undefined) },
    ]
    const health = makeHealth({ clock, log: silentLog, checks })
    const asked = [health.ready(), health.ready()]
    expect(asked[0]).toBe(asked[1])
    fire()
    expect((await asked[0])?.status).toBe('not_ready')
  })
})
