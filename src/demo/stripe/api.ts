import type { ApiTroubles, ApiTrouble } from './api-faults.ts'
import { stampRequest } from './events.ts'
import { expand, type Includes } from './expand.ts'
import { ApiFault, refused } from './faults.ts'
import { parseForm } from './form.ts'
import { inUse, makeIdempotency, type Answer } from './idempotency.ts'
import { canonical, parseObject, texts, type Obj } from './json.ts'
import { checkParameters } from './parameters.ts'
import { makeRouter, type Found, type Route } from './route.ts'
import { API_VERSION, type World } from './world.ts'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly authorization: string
  readonly version: string | null
  readonly idempotencyKey: string | null
  readonly body: string
}

export interface Answered extends Answer {
  readonly requestId: string
  readonly replayed: boolean
  /** The OpenAPI path of the operation, for validation; null where none was found. */
  readonly operation: string | null
  readonly input: Obj
  /** What the caller is to see in place of the answer. */
  readonly trouble: ApiTrouble | null
}

export interface ApiOptions {
  readonly world: World
  readonly routes: readonly Route[]
  readonly includes: Includes
  readonly troubles: ApiTroubles
  /** Waits, for the fault `slow`. */
  readonly wait: (ms: number) => Promise<void>
}

function run(
  options: ApiOptions,
  found: Found,
  input: Obj,
  path: string,
  asked: Asked,
  id: string,
): Answer {
  try {
    const made = found.route.run({ path: found.path, input, url: path })
    return {
      status: 200,
      body: expand(options.world, options.includes, made, texts(input, 'expand')),
    }
  } catch (error) {
    if (!(error instanceof ApiFault)) throw error
    return { status: error.status, body: structuredClone(error.body) }
  } finally {
    stampRequest(options.world, id, asked.idempotencyKey)
  }
}

/** One call after the other, as Stripe's API answers it, without the HTTP side. */
export function makeApi(options: ApiOptions): (asked: Asked) => Promise<Answered> {
  const { world, troubles } = options
  const find = makeRouter(options.routes)
  const idempotency = makeIdempotency(world.now)

  async function answer(asked: Asked, requestId: string): Promise<Answered> {
    const [path = '', query = ''] = asked.url.split('?')
    authorize(asked)
    const found = find(asked.method, path)
    if (found === null) {
      const message = `Unrecognized request URL (${asked.method}: ${path}).`
      throw refused(404, 'invalid_request_error', message)
    }
    const operation = found.route.name
    const scope = path.startsWith('/v2/') ? 'v2' : 'v1'
    const input = inputOf(asked, query, scope)
    const trouble = troubles.take(operation)
    const rest = { requestId, operation, input, trouble }
    if (trouble !== null && !trouble.after) {
      if (trouble.kind === 'slow') await options.wait(trouble.ms)
      else if (trouble.kind === 'locked') throw inUse(asked.idempotencyKey ?? 'none')
      else return { ...rest, ...troubleBody(trouble), replayed: false }
    }
    checkParameters(operation, input)
    const key = asked.method === 'POST' ? asked.idempotencyKey : null
    const fingerprint = `${asked.method} ${path} ${canonical(input)}`
    const kept = key === null ? null : idempotency.begin(scope, key, fingerprint)
    if (kept !== null) return { ...rest, ...kept, replayed: true }
    if (trouble?.after === true && trouble.kind === 'slow') await options.wait(trouble.ms)
    const made = run(options, found, input, path, asked, requestId)
    const shown = trouble?.kind === 'error' && trouble.after ? troubleBody(trouble) : made
    if (key !== null) {
      const failed = scope === 'v2' && made.status >= 400
      if (failed) idempotency.forget(scope, key)
      else idempotency.finish(scope, key, trouble?.remembers === false ? shown : made)
    }
    return { ...rest, ...shown, replayed: false }
  }

  return async (asked) => {
    const requestId = world.id('req')
    try {
      return await answer(asked, requestId)
    } catch (error) {
      if (!(error instanceof ApiFault)) throw error
      const { status, body } = error
      const rest = { operation: null, input: {}, trouble: null, replayed: false }
      return { status, body, requestId, ...rest }
    }
  }
}

function troubleBody(trouble: ApiTrouble): Answer {
  if (trouble.kind === 'rate_limit') {
    const message = 'Request rate limit exceeded.'
    const error = { type: 'invalid_request_error', code: 'rate_limit', message }
    return { status: 429, body: { error } }
  }
  const message = 'The simulator was asked to fail.'
  return { status: trouble.status, body: { error: { type: 'api_error', message } } }
}

function inputOf(asked: Asked, query: string, scope: 'v1' | 'v2'): Obj {
  if (asked.method !== 'POST') return parseForm(query)
  if (scope === 'v1') return parseForm(asked.body)
  const parsed = parseObject(asked.body === '' ? '{}' : asked.body)
  if (parsed === null) throw refused(400, 'invalid_request_error', 'The body is not JSON.')
  return parsed
}

/** Test keys only: this server must never see a live one. */
function authorize(asked: Asked): void {
  if (/^Bearer (sk|rk)_live_/.test(asked.authorization)) {
    throw refused(401, 'invalid_request_error', 'This is a simulator. It takes no live keys.')
  }
  if (!/^Bearer (sk|rk)_test_./.test(asked.authorization)) {
    const message = 'You did not provide an API key, or it is no test key (sk_test_…).'
    throw refused(401, 'invalid_request_error', message)
  }
  if (asked.version !== null && asked.version !== API_VERSION) {
    const message = `This simulator speaks ${API_VERSION} only, not ${asked.version}.`
    throw refused(400, 'invalid_request_error', message)
  }
}
