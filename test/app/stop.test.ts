import { expect, test } from 'vitest'
import { stopInOrder } from '../../src/app/stop.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { makeRunning } from '../../src/gateway/running.ts'
import { only } from '../support/only.ts'

type Parts = Parameters<typeof stopInOrder>[0]
type Core = Parts['core']

test('what the last sweep recovered is told when no more can come, before the stores close', async () => {
  const heard: string[] = []
  const did =
    (what: string): (() => Promise<void>) =>
    () => {
      heard.push(what)
      return Promise.resolve()
    }
  const none = (): Promise<void> => Promise.resolve()
  const credits = only<Core['credits']>({
    confirmed: none,
    settledAll: none,
    recovery: only<Core['credits']['recovery']>({ tell: () => void heard.push('told') }),
  })
  const poster = only<Core['poster']>({ drain: () => Promise.resolve(0) })
  const parts = only<Parts>({
    core: only<Core>({ credits, poster }),
    billing: null,
    usage: only<Parts['usage']>({ reporting: null }),
    notify: only<Parts['notify']>({ sender: only<Parts['notify']['sender']>({ idle: none }) }),
    prices: only<Parts['prices']>({ record: none }),
    stores: only<Parts['stores']>({ close: did('stores closed') }),
    tokenizer: only<Parts['tokenizer']>({ close: none }),
    loops: only<Parts['loops']>({ stop: did('loops stopped') }),
    state: { draining: false },
    clock: systemClock,
    log: silentLog,
  })
  const server = only<Parameters<typeof stopInOrder>[1]>({
    close: none as never,
    server: { closeIdleConnections: () => undefined } as never,
  })
  const gateway = only<Parameters<typeof stopInOrder>[2]>({
    cut: none,
    deps: { running: makeRunning() } as never,
  })
  expect(await stopInOrder(parts, server, gateway, 1_000)).toBe(0)
  expect(heard).toEqual(['loops stopped', 'told', 'stores closed'])
})
