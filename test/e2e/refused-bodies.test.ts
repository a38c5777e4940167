import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { untilReady } from '../support/gateway.ts'
import { until } from '../support/until.ts'
import { openRaw, parseAnswer, type RawClient } from './support/raw.ts'
import { PATHS, startWorld, type World } from './support/world.ts'

/** Bodies that go on behind their refusal. */
const MB = 1024 * 1024
const PIECE = Buffer.alloc(MB, ' ')
/** What is on its way is not read: buffers of both ends. */
const SOCKETS_MB = 32

let world: World
beforeAll(async () => {
  world = await startWorld({ embedded: true })
})
afterAll(() => world.end())

/** Sends until all is sent or the gateway hangs up; answers how much went, in MB. */
async function send(client: RawClient, mb: number): Promise<number> {
  const { socket } = client
  for (let sent = 0; sent < mb; sent++) {
    if (socket.destroyed) return sent
    if (!socket.write(PIECE)) await until(() => socket.writableLength < MB || socket.destroyed)
  }
  return mb
}

const head = (key: string, length: string): string =>
  `POST ${PATHS.openai} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n` +
  `content-type: application/json\r\n${length}\r\n\r\n`

describe('a body of which nothing is wanted', () => {
  it.each([
    ['no key of ours', 401, `content-length: ${1_000 * MB}`],
    ['larger than any may be', 413, `content-length: ${1_000 * MB}`],
  ])('%s: is read to a limit, then cut off', async (why, status, length) => {
    const { apiKey } = await world.customer('1')
    const client = openRaw(world.gateway)
    client.write(head(status === 401 ? 'fb_wrong' : apiKey, length))
    await until(() => client.received().includes('\r\n\r\n'))
    expect([why, parseAnswer(client.received()).status]).toEqual([why, status])
    const mb = await send(client, 1_000)
    expect(mb).toBeGreaterThan(40)
    expect(mb).toBeLessThan(64 + SOCKETS_MB)
    expect(client.socket.destroyed).toBe(true)
  })

  it('may be sent whole by a client that reads its answer behind it, and others follow', async () => {
    const client = openRaw(world.gateway)
    client.write(head('fb_wrong', `content-length: ${40 * MB}`))
    expect(await send(client, 40)).toBe(40)
    client.write(head('fb_wrong', 'content-length: 2') + '{}')
    await until(() => client.received().split('HTTP/1.1 401').length === 3)
    client.socket.destroy()
  })

  it('leaves the process well', () => untilReady(world.gateway))
})
