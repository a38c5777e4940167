import { int, intOr, texts, textOr, type Obj } from './json.ts'

/** What goes wrong with a delivery. */
const KINDS = [
  ...(['duplicate', 'drop', 'delay', 'reorder', 'last', 'concurrent'] as const),
  ...(['bad_signature', 'before_answer'] as const),
] as const
export type WebhookTroubleKind = (typeof KINDS)[number]

export interface WebhookTrouble {
  readonly kind: WebhookTroubleKind
  /** Event types it is for; empty: all. */
  readonly types: readonly string[]
  readonly copies: number
  readonly seconds: number
  readonly order: string
  times: number
}

export interface WebhookTroubles {
  /** While true nothing is sent; `release` sends. */
  holding: boolean
  add(input: Obj): boolean
  peek(type: string): WebhookTrouble | null
  take(type: string): WebhookTrouble | null
  clear(): void
  readonly left: readonly WebhookTrouble[]
}

export function makeWebhookTroubles(): WebhookTroubles {
  const left: WebhookTrouble[] = []
  const fits = (type: string) => (trouble: WebhookTrouble) =>
    trouble.types.length === 0 || trouble.types.includes(type)
  return {
    holding: false,
    left,
    add(input) {
      const kind = KINDS.find((known) => known === input.kind)
      if (kind === undefined) return false
      left.push({
        kind,
        types: texts(input, 'types'),
        copies: Math.max(2, int(input, 'copies')),
        seconds: int(input, 'seconds'),
        order: textOr(input, 'order') ?? 'shuffle',
        times: intOr(input, 'times') ?? 1,
      })
      return true
    },
    peek: (type) => left.find(fits(type)) ?? null,
    take(type) {
      const found = left.find(fits(type))
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
