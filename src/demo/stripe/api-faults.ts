import { flag, int, intOr, textOr, type Obj } from './json.ts'

/** What goes wrong with a call of the API. */
export type Trouble = 'error' | 'rate_limit' | 'timeout' | 'reset' | 'slow' | 'locked' | 'garbage'
const TROUBLES: readonly Trouble[] = [
  ...(['error', 'rate_limit', 'timeout', 'reset', 'slow', 'locked', 'garbage'] as const),
]

export interface ApiTrouble {
  readonly kind: Trouble
  /** `POST /v1/refunds`, a prefix of it, or empty for every call. */
  readonly operation: string
  /** The effect happens first, then the trouble. */
  readonly after: boolean
  readonly status: number
  readonly ms: number
  /** After the effect: the idempotency key remembers the true answer, not the trouble's. */
  readonly remembers: boolean
  times: number
}

export interface ApiTroubles {
  add(input: Obj): boolean
  /** Takes the first that fits, counting it down. */
  take(operation: string): ApiTrouble | null
  clear(): void
  readonly left: readonly ApiTrouble[]
}

const SLOW_MS = 500

export function makeApiTroubles(): ApiTroubles {
  const left: ApiTrouble[] = []
  return {
    left,
    add(input) {
      const kind = TROUBLES.find((known) => known === input.kind)
      if (kind === undefined) return false
      left.push({
        kind,
        operation: textOr(input, 'operation') ?? '',
        after: flag(input, 'after'),
        status: intOr(input, 'status') ?? (kind === 'rate_limit' ? 429 : 500),
        ms: intOr(input, 'ms') ?? SLOW_MS,
        remembers: input.remembers === undefined ? kind !== 'error' : flag(input, 'remembers'),
        times: Math.max(1, int(input, 'times')),
      })
      return true
    },
    take(operation) {
      const found = left.find((trouble) => operation.startsWith(trouble.operation))
      if (found === undefined) return null
      found.times -= 1
      if (found.times <= 0) left.splice(left.indexOf(found), 1)
      return found
    },
    clear() {
      left.length = 0
    },
  }
}
