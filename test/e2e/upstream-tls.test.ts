import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificate, openssl } from '../support/certificate.ts'
import { startGateway, type Gateway } from '../support/gateway.ts'
import { freshDatabase, redisUrl, type FreshDatabase } from '../support/stores.ts'
import { chatAnswer } from './support/answers.ts'

if (openssl === null) console.log('TLS to upstreams was not tried: openssl is not installed')

/** An upstream as providers have it: TLS, with HTTP/2 offered. */
describe.skipIf(openssl === null)('an upstream over TLS', () => {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-upstream-'))
  const versions: string[] = []
  const gateways: Gateway[] = []
  let server: Http2SecureServer
  let database: FreshDatabase
  let cert: string
  let baseUrl: string

  beforeAll(async () => {
    const files = makeCertificate(dir)
    cert = files.cert
    const tls = { cert: readFileSync(cert), key: readFileSync(files.key) }
    server = createSecureServer({ ...tls, allowHTTP1: true }, (request, response) => {
      versions.push(request.httpVersion)
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(chatAnswer('m', 'Hello.', { input: 10, output: 5 })))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    baseUrl = `https://127.0.0.1:${String(port)}/v1`
    database = await freshDatabase()
  })
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.end()))
    await new Promise((resolve) => server.close(resolve))
    await database.drop()
    rmSync(dir, { recursive: true, force: true })
  })

  async function ask(env: Readonly<Record<string, string>>) {
    const openai = { protocol: 'openai', base_url: baseUrl, api_key: 'sk-operator' }
    const price = { input_usd_per_mtok: '1', output_usd_per_mtok: '1' }
    const gateway = await startGateway({
      ...{ databaseUrl: database.url, redisUrl: redisUrl(), env },
      config: { upstreams: { openai }, prices: [{ upstream: 'openai', model: '*', ...price }] },
    })
    gateways.push(gateway)
    const messages = [{ role: 'user', content: 'Hello' }]
    const { apiKey } = await gateway.admin.customer('10')
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', max_tokens: 9, messages }),
    })
    const body = await answer.text()
    return { status: answer.status, body, balance: await gateway.admin.balance(apiKey) }
  }

  it('is spoken to in HTTP/1.1, where nothing but the gateway can send a request again', async () => {
    const { status, balance } = await ask({ NODE_EXTRA_CA_CERTS: cert })
    expect(status).toBe(200)
    expect(versions).toEqual(['1.1'])
    expect(Number(balance.posted.credits)).toBeLessThan(10)
  })

  it('hears nothing where nobody vouches for it, and nothing is charged', async () => {
    versions.length = 0
    const { status, body, balance } = await ask({})
    expect(status).toBe(502)
    expect(body).not.toContain('sk-operator')
    expect(versions).toEqual([])
    expect(balance).toMatchObject({ posted: { credits: '10' }, held: { credits: '0' } })
  })
})
