import type { Obj } from './json.ts'

/** One call of the API, parsed. */
export interface Call {
  /** Values of the `{names}` in the route's path. */
  readonly path: Readonly<Record<string, string>>
  readonly input: Obj
  /** As asked for, without query: the `url` of a list. */
  readonly url: string
}

/** An operation, named as in Stripe's OpenAPI document: `POST /v1/refunds/{id}`. */
export interface Route {
  readonly name: string
  run(call: Call): Obj
}

export const route = (name: string, run: (call: Call) => Obj): Route => ({ name, run })

export interface Found {
  readonly route: Route
  readonly path: Readonly<Record<string, string>>
}

/** Finds routes by method and path; fixed parts win over `{names}`. */
export function makeRouter(
  routes: readonly Route[],
): (method: string, path: string) => Found | null {
  const known = routes
    .map((entry) => {
      const [method = '', pattern = ''] = entry.name.split(' ')
      return { entry, method, parts: pattern.split('/') }
    })
    .sort((a, b) => names(a.parts) - names(b.parts))
  return (method, path) => {
    const asked = path.split('/').map((part) => decodeURIComponent(part))
    for (const { entry, method: wanted, parts } of known) {
      if (wanted !== method || parts.length !== asked.length) continue
      const values = match(parts, asked)
      if (values !== null) return { route: entry, path: values }
    }
    return null
  }
}

const names = (parts: readonly string[]): number =>
  parts.filter((part) => part.startsWith('{')).length

function match(parts: readonly string[], asked: readonly string[]): Record<string, string> | null {
  const values: Record<string, string> = {}
  for (const [index, part] of parts.entries()) {
    const value = asked[index] ?? ''
    if (part.startsWith('{')) values[part.slice(1, -1)] = value
    else if (part !== value) return null
  }
  return values
}
