import type { FastifyInstance } from 'fastify'
import { refuse } from '../kernel/errors.ts'
import { matchesAny } from '../kernel/glob.ts'
import type { GatewayDeps } from './context.ts'
import { endWith } from './reply.ts'

/** Models that have an upstream and a price, by name, sorted. */
export type ModelList = () => readonly { readonly id: string; readonly upstream: string }[]

/** One shape that both families' SDKs read: OpenAI's list with Anthropic's fields beside it. */
const view = (model: { id: string; upstream: string }): Record<string, unknown> => ({
  id: model.id,
  object: 'model',
  type: 'model',
  created: 0,
  created_at: '1970-01-01T00:00:00Z',
  owned_by: model.upstream,
  display_name: model.id,
})

/** `GET /v1/models` and `/v1/models/:id`: what this key may use. Free of charge. */
export function registerModels(app: FastifyInstance, deps: GatewayDeps, list: ModelList): void {
  const allowed = (globs: readonly string[] | null): ReturnType<ModelList> =>
    list().filter((model) => matchesAny(globs, model.id))
  app.get('/v1/models', (request, reply) => {
    const data = allowed(request.caller?.models ?? null).map(view)
    reply.header('x-farebox-request-id', request.id)
    void reply.send({
      object: 'list',
      data,
      has_more: false,
      first_id: data[0]?.id ?? null,
      last_id: data.at(-1)?.id ?? null,
    })
  })
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request, reply) => {
    const id = request.params['*']
    const found = allowed(request.caller?.models ?? null).find((model) => model.id === id)
    if (found === undefined) {
      deps.log.debug({ request_id: request.id }, 'unknown model asked for')
      const message = `The model '${id.slice(0, 128)}' does not exist here or has no price.`
      endWith(request, reply, 'openai', refuse('model_not_found', message))
      return
    }
    reply.header('x-farebox-request-id', request.id)
    void reply.send(view(found))
  })
}
