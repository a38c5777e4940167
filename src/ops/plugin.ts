import type { FastifyInstance } from 'fastify'
import type { Health } from './health.ts'
import type { Metrics } from './metrics.ts'

export interface OpsPluginOptions {
  readonly health: Health
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>
  readonly version: string
}

/** Who watches a process may ask without wanting the body. */
const WATCHED = { exposeHeadRoute: true }

/** `/healthz` (the process runs), `/readyz` (send it requests?), `/metrics`. Source: design §8. */
export function opsPlugin(app: FastifyInstance, options: OpsPluginOptions): void {
  const { health, metrics, version } = options
  app.get('/healthz', WATCHED, async (_request, reply) => reply.send({ status: 'ok', version }))
  app.get('/readyz', WATCHED, async (_request, reply) => {
    const readiness = await health.ready()
    return reply.code(readiness.status === 'not_ready' ? 503 : 200).send(readiness)
  })
  app.get('/metrics', WATCHED, async (_request, reply) =>
    reply.header('content-type', metrics.contentType).send(await metrics.text()),
  )
}
