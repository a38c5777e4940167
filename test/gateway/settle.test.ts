import { expect, test } from 'vitest'
import { countServed } from '../../src/gateway/count-served.ts'
import type { RequestDone } from '../../src/gateway/context.ts'
import { own } from '../../src/gateway/settle.ts'
import { systemClock } from '../../src/kernel/clock.ts'

function ending() {
  const heard: string[] = []
  const say = (what: string) => (): void => {
    heard.push(what)
  }
  const request = {
    id: 'one',
    out: { destroy: say('connection broken') },
    hold: {
      handOver() {
        heard.push('hold left to its lease')
        return Promise.resolve()
      },
    },
    claim: { done: say('key left to its lease') },
    ended: say('ended'),
    draft: { protocol: 'openai-chat', upstream: 'local' },
    startedMonoMs: 0,
    times: { sentMs: 0, endedMs: 0, countedMs: 0 },
  }
  const log = { error: say('told'), warn: say('warned'), info: say('info'), debug: say('debug') }
  const hooks = {
    requestDone({ protocol, upstream, status }: RequestDone) {
      heard.push(`counted ${protocol} ${upstream} ${status}`)
    },
  }
  return { heard, request, deps: { log, hooks, clock: systemClock } }
}

test('a request that cannot be finished leaves neither hold nor key that are renewed for ever', async () => {
  const { heard, request, deps } = ending()
  own(deps, request, Promise.reject(new Error('a fault of ours')))
  await new Promise(setImmediate)
  expect(heard.toSorted()).toEqual([
    'connection broken',
    'counted openai-chat local 500',
    'ended',
    'hold left to its lease',
    'key left to its lease',
    'told',
  ])
})

test('a request that is finished is only ended', async () => {
  const { heard, request, deps } = ending()
  own(deps, request, Promise.resolve())
  await new Promise(setImmediate)
  expect(heard).toEqual(['ended'])
})

test('a request is counted once, whatever follows on its first end', async () => {
  const { heard, request, deps } = ending()
  countServed(deps, request, 200, false)
  own(deps, request, Promise.reject(new Error('a fault of ours')))
  await new Promise(setImmediate)
  expect(heard.filter((what) => what.startsWith('counted'))).toEqual([
    'counted openai-chat local 200',
  ])
})
