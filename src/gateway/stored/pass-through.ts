import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { refuse } from '../../kernel/errors.ts'
import { discard } from '../call.ts'
import { makeClientSide } from '../answers/client-side.ts'
import type { GatewayDeps } from '../context.ts'
import { dispatch, upstreamFailure } from '../forward.ts'
import { clientHeaders, upstreamHeaders } from '../headers.ts'
import { countFree, refuseRequest } from '../reply.ts'
import { tellFault } from '../settle.ts'
import type { Upstream } from '../upstreams.ts'

/** How it is refused and counted. */
export const STORED = { name: 'openai-stored-responses', family: 'openai' } as const

/** A free call of a provider on a client's behalf. */
export interface FreeCall {
  readonly upstream: Upstream
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  /** Raw, without "?" and without `key`. */
  readonly query: string
  readonly headers: IncomingHttpHeaders
  readonly requestId: string
  readonly out: ServerResponse
}

const OPERATOR_TROUBLE = new Set([401, 402, 403])
const NOT_AVAILABLE = refuse(
  'upstream_unavailable',
  'The model provider is not available here right now.',
)

/** Headers that speak of a body, which is not sent on. */
const withoutBody = (headers: IncomingHttpHeaders): IncomingHttpHeaders => ({
  ...headers,
  'content-type': undefined,
})

/**
 * Calls and passes the answer on as it comes. Resolves with the upstream's status when the answer
 * has ended, null where none came. Never rejects.
 */
export function passThrough(deps: GatewayDeps, call: FreeCall): Promise<number | null> {
  const { upstream, out, requestId } = call
  const ended = deps.running.begin()
  const query = call.query === '' ? '' : `?${call.query}`
  const options = {
    origin: upstream.origin,
    path: `${upstream.basePath}${call.path}${query}`,
    method: call.method,
    headers: upstreamHeaders(
      withoutBody(call.headers),
      upstream.ownHeaders,
      upstream.ownHeaderNames,
    ),
    body: null,
  }
  const tell = tellFault(deps, requestId)
  return new Promise<number | null>((resolve) => {
    const passed = (status: number): void => {
      countFree(deps, STORED.name, upstream.name, status)
      resolve(status)
    }
    dispatch(upstream.dispatcher, options, {
      refused(failure) {
        refuseRequest(deps, { id: requestId, protocol: STORED, out }, upstreamFailure(failure))
        resolve(null)
      },
      faulty: tell,
      broken(fault) {
        tell(fault)
        out.destroy()
        countFree(deps, STORED.name, upstream.name, 500)
        resolve(null)
      },
      open(status, headers, flow) {
        if (OPERATOR_TROUBLE.has(status)) {
          refuseRequest(deps, { id: requestId, protocol: STORED, out }, NOT_AVAILABLE)
          resolve(null)
          return discard(deps.clock, flow)
        }
        const client = makeClientSide(out, flow, deps.clock, () => {
          flow.abort()
        })
        if (!client.gone) out.writeHead(status, clientHeaders(headers, requestId, 'x-request-id'))
        return {
          data(chunk) {
            client.write([chunk])
          },
          end() {
            client.end()
            passed(status)
          },
          fail() {
            out.destroy()
            passed(status)
          },
        }
      },
    })
  }).finally(ended)
}
