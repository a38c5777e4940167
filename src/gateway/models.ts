import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { allowsModel } from '../access/allowed.ts'
import { isRefusal, refuse, type Refusal } from '../kernel/errors.ts'
import type { GatewayDeps } from './context.ts'
import { countFree, endWith } from './reply.ts'

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

/** The same model as Google's SDK reads it. */
const geminiView = (model: { id: string }): Record<string, unknown> => ({
  name: `models/${model.id}`,
  baseModelId: model.id,
  version: model.id,
  displayName: model.id,
  supportedGenerationMethods: ['generateContent', 'streamGenerateContent', 'countTokens'],
})

const OPENAI = { name: 'models', family: 'openai' } as const
const GEMINI = { name: 'models', family: 'gemini' } as const

type Listed = ReturnType<ModelList>

const requestedModel = (all: Listed, id: string): Listed[number] | Refusal =>
  all.find((model) => model.id === id) ??
  refuse('model_not_found', `The model '${id.slice(0, 128)}' does not exist here or has no price.`)

/**
 * `GET /v1/models` and `/v1/models/:id`: what this key may use. Free of charge. Google's SDK asks
 * under /v1 too, so those whose upstream speaks Gemini are there in its shape as well.
 */
export function registerModels(app: FastifyInstance, deps: GatewayDeps, list: ModelList): void {
  const allowed = ({ caller }: FastifyRequest): Listed =>
    list().filter((model) => caller == null || allowsModel(caller, model.id))
  const geminis = (models: Listed): Listed => {
    const speaking = deps.upstreams().all.filter(({ protocol }) => protocol === 'gemini')
    return models.filter(({ upstream }) => speaking.some(({ name }) => name === upstream))
  }
  const send = (request: FastifyRequest, reply: FastifyReply, body: unknown): void => {
    reply.header('x-farebox-request-id', request.id)
    void reply.send(body)
    countFree(deps, 'models', 'none', 200)
  }
  app.get('/v1/models', (request, reply) => {
    const models = allowed(request)
    const data = models.map(view)
    const ends = { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null }
    const ours = { object: 'list', data, has_more: false, ...ends }
    send(request, reply, { ...ours, models: geminis(models).map(geminiView) })
  })
  app.get('/v1beta/models', (request, reply) => {
    send(request, reply, { models: geminis(allowed(request)).map(geminiView) })
  })
  app.get<{ Params: { '*': string } }>('/v1/models/*', (request, reply) => {
    const models = allowed(request)
    const found = requestedModel(models, request.params['*'])
    if (isRefusal(found)) endWith(deps, request, reply, OPENAI, found)
    else {
      const isGemini = geminis([found]).length > 0
      send(request, reply, { ...view(found), ...(isGemini ? geminiView(found) : {}) })
    }
  })
  app.get<{ Params: { '*': string } }>('/v1beta/models/*', (request, reply) => {
    const found = requestedModel(geminis(allowed(request)), request.params['*'])
    if (isRefusal(found)) endWith(deps, request, reply, GEMINI, found)
    else send(request, reply, geminiView(found))
  })
}
