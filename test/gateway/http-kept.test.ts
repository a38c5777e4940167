import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { expect, it } from 'vitest'
import type { HttpArrival } from '../../src/gateway/http/exchange.ts'
import { keepBody } from '../../src/gateway/http/request-body.ts'
import { SHORT_BODY_BYTES_MAX } from '../../src/kernel/limits/requests.ts'
import { makeRoom, makeShare } from '../../src/kernel/room.ts'
import { only } from '../support/only.ts'

function arrivalOf(bytes: number): HttpArrival {
  const request = new IncomingMessage(new Socket())
  request.method = 'POST'
  request.headers['content-length'] = String(bytes)
  request.push(Buffer.alloc(1))
  request.push(Buffer.alloc(bytes - 1))
  request.push(null)
  const api = only<HttpArrival['api']>({ requestBytesMax: 1_000_000, fallbacks: [] })
  return only<HttpArrival>({ request, api })
}

it('bodies that are kept share a room: beyond it they are refused, until some have ended', async () => {
  const room = makeRoom(201_000)
  const [one, again, two, three] = ['a', 'a', 'b', 'c'].map((owner) => makeShare(() => room, owner))
  if (!one || !again || !two || !three) throw new Error('shares')
  expect(await keepBody(arrivalOf(100_000), true, one)).toMatchObject({ kept: { length: 100_000 } })
  expect(await keepBody(arrivalOf(10_000), true, again)).toMatchObject({
    code: 'rate_limit_exceeded',
  })
  expect(await keepBody(arrivalOf(60_000), true, two)).toMatchObject({ kept: { length: 60_000 } })
  expect(await keepBody(arrivalOf(50_000), true, three)).toMatchObject({
    code: 'gateway_unavailable',
  })
  two.close()
  expect(await keepBody(arrivalOf(50_000), true, three)).toMatchObject({ kept: { length: 50_000 } })
  for (const share of [one, one, again, two, three]) share.close()
  expect(room.take('d', 101_000)).toBe(null)
  expect(room.take('e', 100_001)).toBe('all')
})

it('a body of known length is read first where it is short, else it streams', async () => {
  const share = makeShare(() => makeRoom(1_000_000), 'a')
  const short = arrivalOf(SHORT_BODY_BYTES_MAX)
  const kept = { length: SHORT_BODY_BYTES_MAX }
  expect(await keepBody(short, false, share)).toMatchObject({ ok: true, kept })
  const streamed = { ok: true, kept: null }
  expect(await keepBody(arrivalOf(SHORT_BODY_BYTES_MAX + 1), false, share)).toEqual(streamed)
  const chunked = arrivalOf(2)
  chunked.request.headers = { 'transfer-encoding': 'chunked' }
  expect(await keepBody(chunked, false, share)).toEqual(streamed)
})

it('one that ends early is refused before anything is sent', async () => {
  const cut = arrivalOf(100)
  cut.request.headers['content-length'] = '101'
  const share = makeShare(() => makeRoom(1_000), 'a')
  expect(await keepBody(cut, false, share)).toMatchObject({ code: 'request_timeout' })
})
