import { createServer, type Server } from 'node:http'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { createFarebox, type Farebox, FareboxError } from '../../client/src/index.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'

const created = z.object({ id: z.string(), key: z.string() })
const hasPort = z.object({ port: z.number() })

describe('farebox-client', () => {
  let gateway: Gateway
  let backend: string
  let farebox: Farebox
  let front: Server
  let frontUrl: string
  /** What happens to the next calls on their way; empty = nothing. */
  let fates: ('lost before' | 'lost after' | 'busy')[] = []
  const calls: string[] = []

  beforeAll(async () => {
    gateway = await startGateway({
      config: { subjects: { create: true, starter_credits: '10' }, holds: { lease_ms: 3_000 } },
    })
    const answer = await gateway.admin.call('POST', '/admin/v1/backend-keys', { name: 'server' })
    backend = created.parse(await answer.json()).key
    front = createServer((request, response) => {
      void (async () => {
        const chunks: Buffer[] = []
        for await (const chunk of request) chunks.push(z.instanceof(Buffer).parse(chunk))
        const fate = fates.shift()
        calls.push(`${request.method ?? ''} ${request.url ?? ''}`)
        if (fate === 'lost before') return request.socket.destroy()
        if (fate === 'busy') {
          const error = { message: 'busy', code: 'gateway_unavailable' }
          return response.writeHead(503, { 'retry-after': '0' }).end(JSON.stringify({ error }))
        }
        const headers = Object.entries(request.headers).flatMap(([name, value]) =>
          typeof value === 'string' && name !== 'host' && name !== 'connection'
            ? [[name, value] as [string, string]]
            : [],
        )
        const got = await fetch(`${gateway.url}${request.url ?? ''}`, {
          method: request.method ?? 'GET',
          headers: headers.filter(([name]) => name !== 'content-length'),
          ...(chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }),
        })
        const body = await got.text()
        if (fate === 'lost after') return request.socket.destroy()
        return response.writeHead(got.status).end(body)
      })()
    })
    front.listen(0, '127.0.0.1')
    await once(front, 'listening')
    frontUrl = `http://127.0.0.1:${hasPort.parse(front.address()).port}`
    farebox = createFarebox({ baseUrl: `${frontUrl}/`, apiKey: backend })
  })
  afterEach(() => {
    fates = []
    calls.length = 0
  })
  afterAll(async () => {
    front.close()
    await gateway.end()
  })

  it('needs no package', () => {
    const file = join(import.meta.dirname, '../../client/package.json')
    const manifest = z.looseObject({}).parse(JSON.parse(readFileSync(file, 'utf8')))
    expect(Object.keys(manifest)).not.toContain('dependencies')
  })

  it('opens a hold once, whatever is lost on the way', async () => {
    fates = ['lost after', 'lost before']
    const hold = await farebox.holds.open({ subjectRef: 'ada', credits: '4' })
    expect(calls).toHaveLength(3)
    expect(hold).toMatchObject({ status: 'held', held: { credits: '4' } })
    const balance = await farebox.balance({ subjectRef: 'ada' })
    expect([balance.available?.credits, balance.held?.credits]).toEqual(['6', '4'])

    fates = ['lost after']
    const settled = await farebox.holds.settle(hold.hold_id, { credits: '1.5' })
    expect(settled).toMatchObject({ status: 'settled', cost: { credits: '1.5' } })
    const after = await farebox.balance({ subjectRef: 'ada' })
    expect([after.available?.credits, after.held?.credits]).toEqual(['8.5', '0'])
    const receipt = await farebox.receipt(hold.hold_id, { subjectRef: 'ada' })
    expect(receipt.cost.credits).toBe('1.5')
  })

  it('runs work under a hold and charges what it answers', async () => {
    const ran = await farebox.holds.run({ subjectRef: 'bob', credits: '3' }, (hold) =>
      Promise.resolve({ cost: { credits: '2' }, value: hold.account_id }),
    )
    expect(ran.hold).toMatchObject({ status: 'settled', account_id: ran.value })
    expect((await farebox.balance({ subjectRef: 'bob' })).available?.credits).toBe('8')
  })

  it('releases when the work fails, or charges what it reported', async () => {
    const failing = (progress?: string) =>
      farebox.holds.run({ subjectRef: 'eve', credits: '3' }, (_hold, report) => {
        if (progress !== undefined) report({ credits: progress })
        return Promise.reject(new Error('the GPU melted'))
      })
    await expect(failing()).rejects.toThrow('the GPU melted')
    expect((await farebox.balance({ subjectRef: 'eve' })).available?.credits).toBe('10')
    await expect(failing('1.25')).rejects.toThrow('the GPU melted')
    const { available, held } = await farebox.balance({ subjectRef: 'eve' })
    expect([available?.credits, held?.credits]).toEqual(['8.75', '0'])
  })

  it('ends a hold also where the work throws before it answers a promise', async () => {
    const throwing = () =>
      farebox.holds.run({ subjectRef: 'kim', credits: '3' }, () => {
        throw new Error('not even begun')
      })
    await expect(throwing()).rejects.toThrow('not even begun')
    const { available, held } = await farebox.balance({ subjectRef: 'kim' })
    expect([available?.credits, held?.credits]).toEqual(['10', '0'])
  })

  it('keeps a hold alive for longer than its ttl', async () => {
    const ran = await farebox.holds.run(
      { subjectRef: 'zoe', credits: '1', ttlSeconds: 5 },
      async (hold) => {
        const until = Date.parse(hold.expires_at)
        let now = hold
        while (Date.parse(now.expires_at) <= until) now = await farebox.holds.read(hold.hold_id)
        return { cost: { credits: '1' }, value: now.status }
      },
    )
    expect(ran.value).toBe('held')
    expect(ran.hold.late).toBe(false)
  })

  it('tells refusals by code, and asks once where asking again changes nothing', async () => {
    const refused = await farebox.holds.open({ subjectRef: 'ada', credits: '5000' }).catch(identity)
    expect(refused).toBeInstanceOf(FareboxError)
    expect(refused).toMatchObject({ status: 402, code: 'insufficient_quota' })
    expect(calls).toHaveLength(1)
    await expect(farebox.holds.open({ subjectRef: 'ada', credits: '1,5' })).rejects.toMatchObject({
      ...{ status: 400, param: 'credits' },
    })
    await expect(
      createFarebox({ baseUrl: frontUrl, apiKey: 'fbk_test_wrong' }).balance({ subjectRef: 'ada' }),
    ).rejects.toMatchObject({ status: 401, code: 'invalid_api_key' })
  })

  it('waits for a busy gateway, and gives up in the end', async () => {
    fates = ['busy', 'busy']
    expect((await farebox.balance({ subjectRef: 'ada' })).account_id).toMatch(/^acct_/)
    expect(calls).toHaveLength(3)
    fates = ['busy', 'busy', 'busy', 'busy']
    await expect(farebox.balance({ subjectRef: 'ada' })).rejects.toMatchObject({ status: 503 })
    expect(fates).toHaveLength(1)
  })

  it('stops at an abort and at a wrong address', async () => {
    const abort = new AbortController()
    fates = ['lost before', 'lost before', 'lost before']
    const asked = farebox.balance({ subjectRef: 'ada' }, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
    const nobody = createFarebox({ baseUrl: 'http://127.0.0.1:9', apiKey: backend, retries: 0 })
    await expect(nobody.balance()).rejects.toMatchObject({ status: 0, code: 'unreachable' })
  })
})

const identity = (value: unknown): unknown => value
