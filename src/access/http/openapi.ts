import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Route } from './route.ts'

/** Routes below one prefix, which one kind of token opens. */
export interface DocumentedSurface {
  readonly prefix: string
  readonly security: 'admin' | 'client'
  readonly routes: readonly Pick<Route<never>, 'method' | 'path' | 'summary' | 'schemas'>[]
}

type Json = Record<string, unknown>

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const entries = Object.entries(z.toJSONSchema(schema, { io, unrepresentable: 'any' }))
  return Object.fromEntries(entries.filter(([name]) => name !== '$schema'))
}

function parametersOf(schema: z.ZodType | null, place: 'path' | 'query'): Json[] {
  if (schema === null) return []
  const { properties = {}, required = [] } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
  })
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === 'path' || required.includes(name),
    schema: property,
  }))
}

const jsonContent = (schema: Json): Json => ({ content: { 'application/json': { schema } } })

/** Said, as a document that says nothing of it tells clients that they may leave it out. */
const requestBodyOf = (body: z.ZodType): Json => ({
  required: !body.safeParse(undefined).success,
  ...jsonContent(jsonSchema(body, 'input')),
})

function operationOf(surface: DocumentedSurface, one: DocumentedSurface['routes'][number]): Json {
  const { params, query, body, answer } = one.schemas
  const idempotency = {
    name: 'Idempotency-Key',
    in: 'header',
    required: false,
    schema: { type: 'string', maxLength: 255 },
  }
  return {
    summary: one.summary,
    security: [{ [surface.security]: [] }],
    parameters: [
      ...parametersOf(params, 'path'),
      ...parametersOf(query, 'query'),
      ...(one.method === 'POST' ? [idempotency] : []),
    ],
    ...(body === null ? {} : { requestBody: requestBodyOf(body) }),
    responses: {
      200: { description: 'Done.', ...jsonContent(jsonSchema(answer, 'input')) },
      ...(one.method === 'POST'
        ? { 201: { description: 'Created.', ...jsonContent(jsonSchema(answer, 'input')) } }
        : {}),
      default: { description: 'Refused.', ...jsonContent({ $ref: '#/components/schemas/Error' }) },
    },
  }
}

const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string(),
  }),
})

/** The OpenAPI 3.1 document of everything that was registered. Source: design §8. */
function openApiDocument(version: string, surfaces: readonly DocumentedSurface[]): Json {
  const paths: Record<string, Json> = {}
  for (const surface of surfaces) {
    for (const one of surface.routes) {
      const path = `${surface.prefix}${one.path}`.replaceAll(/:(\w+)/g, '{$1}')
      paths[path] = { ...paths[path], [one.method.toLowerCase()]: operationOf(surface, one) }
    }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Farebox', version },
    paths,
    components: {
      schemas: { Error: jsonSchema(errorSchema, 'output') },
      securitySchemes: {
        admin: { type: 'http', scheme: 'bearer', description: 'FAREBOX_ADMIN_TOKEN' },
        client: { type: 'http', scheme: 'bearer', description: 'A key: fb_…' },
      },
    },
  }
}

/** `GET /openapi.json`, public: it tells what this program is, not what it holds. */
export function openApiPlugin(
  app: FastifyInstance,
  options: { readonly version: string; readonly surfaces: readonly DocumentedSurface[] },
): void {
  const document = openApiDocument(options.version, options.surfaces)
  app.get('/openapi.json', async (_request, reply) => reply.send(document))
}
