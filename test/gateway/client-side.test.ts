import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { makeClientSide } from '../../src/gateway/answers/client-side.ts'
import { CLIENT_STALL_MS_MAX } from '../../src/kernel/limits/answers.ts'
import { makeManualClock } from '../ledger/memory-clock.ts'

/** A client that takes nothing: what is written for it stays in the buffer. */
function stalled() {
  const clock = makeManualClock(0)
  const out = new ServerResponse(new IncomingMessage(new Socket()))
  const heard: string[] = []
  const flow = {
    pause: () => heard.push('pause'),
    resume: () => heard.push('resume'),
    abort: () => heard.push('abort'),
  }
  const client = makeClientSide(out, flow, clock, () => heard.push('left'))
  return { clock, out, heard, client }
}

test('a client that takes nothing for long is cut, and what comes for it flows on', async () => {
  const { clock, out, heard, client } = stalled()
  client.write([Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)])
  expect(heard).toEqual(['pause'])
  await clock.pass(CLIENT_STALL_MS_MAX - 1)
  expect(out.destroyed).toBe(false)
  await clock.pass(1)
  expect(out.destroyed).toBe(true)
  await new Promise(setImmediate) // behind what was read before it left
  expect(heard).toEqual(['pause', 'resume', 'left'])
  client.write([Buffer.alloc(1)])
  expect(client.gone).toBe(true)
})

test('what comes behind its end is written no more: nobody would take the error', async () => {
  const { out, client } = stalled()
  const errors: Error[] = []
  out.on('error', (error) => errors.push(error))
  client.write([Buffer.from('the end')])
  client.end()
  client.write([Buffer.from('and more')])
  await new Promise(setImmediate)
  expect(errors).toEqual([])
})
