import { z } from 'zod'
import type { Method } from '../../access/http/route.ts'
import { ADMIN_PREFIX } from '../../admin/plugin.ts'
import { describeError } from '../../kernel/log.ts'

/** What the server said no to. `message` is for people. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
}

/** Nobody answered at the URL. */
export class NoServerError extends Error {
  override readonly name = 'NoServerError'
}

/** The admin API of a running server. */
export interface AdminClient {
  /** Throws RefusedError, NoServerError. */
  send(method: Method, path: string, body?: object): Promise<unknown>
}

export interface ClientOptions {
  readonly url: string
  readonly token: string
  readonly fetch: typeof fetch
}

const refusal = z.object({ error: z.object({ message: z.string(), code: z.string() }) })

export function makeAdminClient({ url, token, fetch: call }: ClientOptions): AdminClient {
  return {
    async send(method, path, body) {
      const headers: Record<string, string> = { authorization: `Bearer ${token}` }
      if (body !== undefined) headers['content-type'] = 'application/json'
      const init = {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }
      let answer: Response
      try {
        answer = await call(new URL(`${ADMIN_PREFIX}${path}`, url), init)
      } catch (error) {
        const cause = error instanceof Error ? (error.cause ?? error) : error
        throw new NoServerError(`no server answers at ${url} (${describeError(cause)})`)
      }
      const text = await answer.text()
      const parsed: unknown = jsonOrNull(text)
      if (answer.ok) return parsed
      const told = refusal.safeParse(parsed)
      if (told.success)
        throw new RefusedError(`${told.data.error.message} (${told.data.error.code})`)
      throw new RefusedError(`the server answered ${answer.status}; is ${url} a Farebox?`)
    },
  }
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
