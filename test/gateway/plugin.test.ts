import { expect, test } from 'vitest'
import { makeServer } from '../../src/app/server.ts'
import type { HttpDeps } from '../../src/gateway/http/exchange.ts'
import { gatewayPlugin } from '../../src/gateway/plugin.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { makeIds } from '../../src/kernel/ids.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { only } from '../support/only.ts'

test('a fault while a caller is looked up costs that request, not the process', async () => {
  const counted: number[] = []
  const server = makeServer({
    ids: makeIds(systemClock),
    log: silentLog,
    hooks: {
      requestDone({ status }) {
        counted.push(status)
      },
    },
    isDraining: () => false,
  })
  const authenticator = {
    authenticate() {
      throw new Error('a fault of ours')
    },
  }
  const deps = only<HttpDeps>({ clock: systemClock, log: silentLog, authenticator })
  const options = { deps, protocols: [], pathProtocols: [], models: () => [] }
  server.register(async (below) => {
    gatewayPlugin(below, options)
    await Promise.resolve()
  })
  const url = await server.listen({ host: '127.0.0.1', port: 0 })
  const answer = await fetch(`${url}/v1/models`, { headers: { authorization: 'Bearer fb_a' } })
  expect(answer.status).toBe(500)
  expect(await answer.text()).not.toContain('a fault of ours')
  expect(counted).toEqual([500])
  await server.close()
})
