import { once } from 'node:events'
import { createServer, IncomingMessage } from 'node:http'
import { connect, Socket, type AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { takeBody } from '../../src/gateway/take-body.ts'
import { BODY_PIECE_BYTES, LOOP_BYTES_MAX } from '../../src/kernel/limits/requests.ts'
import type { Refusal } from '../../src/kernel/errors.ts'
import { makeRoom, makeShare, type Room } from '../../src/kernel/room.ts'
import { until } from '../support/until.ts'

const ROOM_BYTES = 1024 * 1024

let room: Room
let taken: (Buffer | Refusal)[]
const open: Socket[] = []
const server = createServer((request: IncomingMessage) => {
  const share = makeShare(() => room, request.headers.host ?? '')
  takeBody(request, { share, bytesMax: 32_000_000 }, (body) => taken.push(body))
})
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => {
  for (const socket of open) socket.destroy()
  server.close()
})
beforeEach(() => {
  room = makeRoom(ROOM_BYTES)
  taken = []
})

/** Begins a request of `owner` with what it says of its length, and with `text` behind its head. */
function begin(owner: string, length: string, text = ''): Socket {
  const { port } = server.address() as AddressInfo
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  open.push(socket)
  socket.write(`POST / HTTP/1.1\r\nhost: ${owner}\r\n${length}\r\n\r\n${text}`)
  return socket
}

const pieces = (count: number): string => '1\r\na\r\n'.repeat(count)

it('a short body that comes in one piece takes no room', async () => {
  begin('a', 'content-length: 1000', 'a'.repeat(1_000))
  await until(() => taken.length === 1)
  expect(taken).toEqual([Buffer.from('a'.repeat(1_000))])
  expect(room.taken).toBe(0)
})

it('one that is waited for takes as much as has come, and keeps it', async () => {
  const socket = begin('a', 'content-length: 5', 'ab')
  await until(() => room.taken > 0)
  expect(room.taken).toBe(2 + BODY_PIECE_BYTES)
  socket.write('cde')
  await until(() => taken.length === 1)
  expect(taken).toEqual([Buffer.from('abcde')])
  expect(room.taken).toBe(5 + 2 * BODY_PIECE_BYTES)
})

it('a large one takes its bytes, whatever it declares', async () => {
  const bytes = LOOP_BYTES_MAX + 1
  const socket = begin('a', 'content-length: 30000000', 'a'.repeat(bytes))
  await until(() => room.taken > bytes)
  expect(room.taken).toBeLessThan(2 * bytes)
  socket.destroy()
  await until(() => taken.length === 1)
  expect(taken).toMatchObject([{ code: 'request_timeout' }])
})

it('one whose client left before it was asked for is told of, too', async () => {
  const request = new IncomingMessage(new Socket())
  request.headers['content-length'] = '100'
  request.destroy()
  await setImmediate() // its error has been told by then
  takeBody(request, { share: makeShare(() => room, 'a'), bytesMax: 100 }, (body) =>
    taken.push(body),
  )
  await until(() => taken.length === 1)
  expect(taken).toMatchObject([{ code: 'request_timeout' }])
})

it('pieces of a byte each take what they cost', async () => {
  begin('a', 'transfer-encoding: chunked', pieces(1_000))
  await until(() => room.taken >= 1_000 * BODY_PIECE_BYTES)
})

it('beyond the room of its account, or of all, it is refused', async () => {
  const most = ROOM_BYTES / 2 - BODY_PIECE_BYTES
  expect(room.take('a', most)).toBeNull()
  begin('a', 'transfer-encoding: chunked', pieces(1_000))
  await until(() => taken.length === 1)
  expect(taken).toMatchObject([{ code: 'rate_limit_exceeded', message: /of this account/ }])
  const before = room.taken
  begin('b', 'transfer-encoding: chunked', pieces(1))
  await until(() => room.taken > before)
  for (let owner = 0; ROOM_BYTES - room.taken > BODY_PIECE_BYTES; owner += 1) {
    room.take(String(owner), Math.ceil((ROOM_BYTES - room.taken) / 2))
  }
  begin('c', 'transfer-encoding: chunked', pieces(1))
  await until(() => taken.length === 2)
  expect(taken[1]).toMatchObject({ code: 'gateway_unavailable' })
})
