import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { makeBreaker } from '../../src/gateway/breaker.ts'

/** It stays open for as long as a test lets it: a slow machine is no breaker that tries again. */
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const settings = { failurePercent: 50, callsMin: 4, openMs: 30 }
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function fail(breaker: ReturnType<typeof makeBreaker>, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    breaker.admit(0)
    breaker.report('failed')
    await settle()
  }
}

describe('the breaker of an upstream', () => {
  it('stays closed below its number of calls and below its share of failures', async () => {
    const breaker = makeBreaker('a', settings)
    await fail(breaker, 3)
    expect(breaker.open).toBe(false)
    for (let n = 0; n < 7; n += 1) breaker.report('answered')
    await settle()
    await fail(breaker, 1)
    expect(breaker.open).toBe(false)
    expect(breaker.admit(0)).toBe(true)
    breaker.close()
  })

  it('opens, lets one call at a time try later, and closes when that one is answered', async () => {
    const breaker = makeBreaker('b', settings)
    await fail(breaker, 4)
    expect(breaker.open).toBe(true)
    expect(breaker.admit(0)).toBe(false)
    vi.advanceTimersByTime(settings.openMs)
    expect(breaker.open).toBe(false)
    expect(breaker.admit(100)).toBe(true)
    expect(breaker.admit(100)).toBe(false) // one is trying
    breaker.report('unknown') // that one says nothing: the next may try
    expect(breaker.admit(101)).toBe(true)
    breaker.report('failed')
    await settle()
    expect(breaker.open).toBe(true)
    vi.advanceTimersByTime(settings.openMs)
    expect(breaker.open).toBe(false)
    expect(breaker.admit(200)).toBe(true)
    expect(breaker.admit(100_000)).toBe(true) // the trial takes long: another beside it
    breaker.report('answered')
    await settle()
    expect([breaker.admit(100_001), breaker.admit(100_001)]).toEqual([true, true])
    breaker.close()
  })

  it('keeps nothing away once its configuration was replaced', async () => {
    const breaker = makeBreaker('c', settings)
    await fail(breaker, 4)
    breaker.close()
    expect(breaker.open).toBe(false)
    expect(breaker.admit(0)).toBe(true)
    breaker.report('failed')
    await settle()
    expect(breaker.open).toBe(false)
  })
})
