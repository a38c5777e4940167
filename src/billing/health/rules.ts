import {
  BILLING_COUNT_MIN,
  BILLING_HITS_MIN,
  BILLING_PROCESSING_MS_MAX,
  BILLING_USABLE_MS_MAX,
  BILLING_WINDOW_MS,
} from '../../kernel/limits/stripe.ts'
import type { Finding } from '../findings.ts'
import type { DeliveryResult } from '../hooks.ts'

/** What is counted: deliveries by result, work and payments, and of those what took too long. */
export type CountName =
  DeliveryResult | 'processed' | 'processed_late' | 'usable' | 'usable_late' | 'waiting'

export type Counts = Readonly<Partial<Record<CountName, number>>>

interface Rule {
  readonly kind: string
  readonly hits: readonly CountName[]
  /** Hits among them. Absent = one hit is enough. */
  readonly of?: readonly CountName[]
  /** Above this share of them, per cent. */
  readonly percent?: number
  /** Below so many hits, or of so many in all, a share says nothing. */
  readonly hitsMin?: number
  readonly countMin?: number
  readonly says: string
}

const ANSWERED: readonly CountName[] = ['stored', 'duplicate', 'ignored']

/** Source: design §7. That a payment could not be granted, or an event died, is told by itself. */
export const RULES: readonly Rule[] = [
  {
    kind: 'stripe_deliveries_unanswered',
    hits: ['not_stored', 'malformed'],
    of: [...ANSWERED, 'not_stored', 'malformed'],
    ...{ percent: 1, hitsMin: 2 },
    says: 'less than 99 % of what Stripe signed was stored and answered',
  },
  {
    kind: 'stripe_signature_failed',
    hits: ['bad_signature'],
    says: 'a delivery had no signature of ours: a wrong secret, or somebody who tries',
  },
  {
    kind: 'stripe_deliveries_repeated',
    hits: ['duplicate'],
    of: ANSWERED,
    ...{ percent: 5, hitsMin: BILLING_HITS_MIN, countMin: BILLING_COUNT_MIN },
    says: 'more than 5 % of deliveries came again: they are answered too late, or twice set up',
  },
  {
    kind: 'stripe_processing_late',
    hits: ['processed_late'],
    of: ['processed'],
    ...{ percent: 5, hitsMin: BILLING_HITS_MIN },
    says: `events took longer than ${BILLING_PROCESSING_MS_MAX / 1000} s to be worked off`,
  },
  {
    kind: 'stripe_events_waiting',
    hits: ['waiting'],
    says: 'events wait and nobody takes them up',
  },
  {
    kind: 'stripe_usable_late',
    hits: ['usable_late'],
    of: ['usable'],
    ...{ percent: 5, hitsMin: BILLING_HITS_MIN },
    says: `credits took longer than ${BILLING_USABLE_MS_MAX / 1000} s from payment to use`,
  },
]

/** What operators are to be told of, from what was counted within the window. */
export function judge(counts: Counts): Finding[] {
  const sum = (names: readonly CountName[]): number =>
    names.reduce((total, name) => total + (counts[name] ?? 0), 0)
  return RULES.flatMap(({ kind, hits: hit, of, percent = 0, hitsMin = 1, countMin = 1, says }) => {
    const hits = sum(hit)
    const total = of === undefined ? hits : sum(of)
    const isMet = hits >= hitsMin && total >= countMin && hits * 100 > total * percent
    if (!isMet) return []
    const evidence = { says, hits, of: total, window_s: BILLING_WINDOW_MS / 1000 }
    return [{ kind, severity: 'urgent', subject: 'webhooks', evidence } as const]
  })
}
