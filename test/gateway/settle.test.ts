import { expect, test } from 'vitest'
import { own } from '../../src/gateway/settle.ts'

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
  }
  const log = { error: say('told'), warn: say('warned'), info: say('info'), debug: say('debug') }
  return { heard, request, log }
}

test('a request that cannot be finished leaves neither hold nor key that are renewed for ever', async () => {
  const { heard, request, log } = ending()
  own({ log }, request, Promise.reject(new Error('a fault of ours')))
  await new Promise(setImmediate)
  expect(heard.toSorted()).toEqual([
    'connection broken',
    'ended',
    'hold left to its lease',
    'key left to its lease',
    'told',
  ])
})

test('a request that is finished is only ended', async () => {
  const { heard, request, log } = ending()
  own({ log }, request, Promise.resolve())
  await new Promise(setImmediate)
  expect(heard).toEqual(['ended'])
})
