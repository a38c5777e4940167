import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { makeCertificate, openssl } from '../support/certificate.ts'
import { startGateway, untilReady, type Gateway } from '../support/gateway.ts'
import {
  freePort,
  startPostgres,
  startRedis,
  unprivileged,
  type PostgresServer,
  type RedisServer,
} from '../support/servers.ts'

if (openssl === null) console.log('TLS to the stores was not tried: openssl is not installed')

/** A certificate, and a copy of its key for whoever runs Postgres. */
function makeFiles(dir: string) {
  const { cert, key } = makeCertificate(dir)
  const serverKey = join(dir, 'pg.pem')
  copyFileSync(key, serverKey)
  chmodSync(serverKey, 0o600)
  chmodSync(dir, 0o755)
  const owner = unprivileged()
  if (owner !== undefined) chownSync(serverKey, owner.uid, owner.gid)
  return { cert, key, serverKey }
}

const PASSWORD = 's3cret-of-farebox'

describe.skipIf(openssl === null)('stores over TLS', () => {
  const dir = mkdtempSync(join(tmpdir(), 'farebox-tls-'))
  const gateways: Gateway[] = []
  let redis: RedisServer
  let postgres: PostgresServer
  let files: ReturnType<typeof makeFiles>
  let tlsPort: number
  beforeAll(async () => {
    files = makeFiles(dir)
    const { cert, key, serverKey } = files
    const tls = ['ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${serverKey}`]
    postgres = await startPostgres(tls)
    tlsPort = await freePort()
    const secure = ['--tls-port', String(tlsPort), '--tls-auth-clients', 'no']
    const by = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert]
    const rights = ['on', `>${PASSWORD}`, '~fb:*', '&*', '+@all', '-flushall', '-config', '-keys']
    redis = await startRedis({ args: [...secure, ...by, '--user', 'farebox', ...rights] })
  })
  afterAll(async () => {
    await Promise.all(gateways.map((gateway) => gateway.end('SIGKILL')))
    await redis.stop()
    await postgres.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  const start = async (password: string, isTrusting: boolean): Promise<Gateway> => {
    const trust = isTrusting ? `&sslrootcert=${files.cert}` : ''
    const gateway = await startGateway({
      databaseUrl: `${postgres.url}?sslmode=verify-full${trust}`,
      redisUrl: `rediss://farebox:${password}@127.0.0.1:${tlsPort}`,
      env: isTrusting ? { NODE_EXTRA_CA_CERTS: files.cert } : {},
    })
    gateways.push(gateway)
    return gateway
  }

  it('as an ACL user: holds, settles and posts, every connection encrypted', async () => {
    const gateway = await start(PASSWORD, true)
    await untilReady(gateway)
    const { url, admin } = gateway
    const { apiKey } = await admin.customer('10')
    const call = async (path: string, credits: string) => {
      const answer = await fetch(`${url}/farebox/v1/holds${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ credits }),
      })
      expect(answer.ok).toBe(true)
      return z.looseObject({ hold_id: z.string() }).parse(await answer.json())
    }
    const { hold_id: id } = await call('', '4')
    await call(`/${id}/settle`, '1.5')
    expect((await admin.balance(apiKey)).posted.credits).toBe('8.5')
    const answer = await admin.call('POST', '/admin/v1/verify', {})
    expect(await answer.json()).toMatchObject({ ok: true, breaches_total: 0 })
  })

  it('is not ready with another password, and does not start where nobody vouches', async () => {
    const { url } = await start('wrong', true)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    await expect(start(PASSWORD, false)).rejects.toThrow(/certificate/)
  })
})
