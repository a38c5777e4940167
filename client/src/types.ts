/** Credits: `micros` exact (1 credit = 1 000 000), `credits` the same as a decimal. */
export interface Amount {
  micros: number
  credits: string
}

/** Who is meant: needed with a backend key, left out with a client key. */
export interface Subject {
  subjectRef?: string
}

/** Credits, as a decimal like "1.25"; or units of a price, such as `{ seconds: 60 }`. */
export type Price =
  { credits: string; units?: never } | { units: Readonly<Record<string, number>>; credits?: never }

export interface AccessQuestion {
  subjectRef: string
  feature?: string
  model?: string
  /** Whether this many could be spent now, as a decimal. */
  credits?: string
}

export interface Access {
  subject_ref: string
  allowed: boolean
  /** Why, such as "allowed", "payment_pending", "insufficient_credits". More may come. */
  reason: string
  plan: unknown
  entitlements: unknown
  balance: unknown
  as_of: string
}

export interface Lot {
  id: string
  kind: 'promo' | 'included' | 'paid'
  remaining: Amount
  expires_at: string | null
  priority: number
}

export interface Balance {
  account_id: string
  /** null while Redis cannot be asked. */
  available: Amount | null
  held: Amount | null
  posted: Amount
  debt: Amount
  overage: Amount
  lots: Lot[]
}

export interface Receipt {
  request_id: string
  status: 'posted' | 'settled' | 'held'
  account_id: string
  key_id: string
  model: string | null
  estimated: boolean | null
  late: boolean
  usage: Record<string, unknown>
  cost: Amount
  reversed: Amount
  provider_cost_usd?: string | null
  started_at: string | null
}

export interface NewHold extends Subject {
  /** What is set aside: credits, or units with the price that they are counted by. */
  credits?: string
  units?: Readonly<Record<string, number>>
  price?: { upstream: string; model: string }
  /** Seconds until it lapses without a heartbeat. Default 300. */
  ttlSeconds?: number
  metadata?: Readonly<Record<string, string>>
}

export interface Hold {
  hold_id: string
  account_id: string
  status: 'held' | 'lapsed' | 'settled' | 'released'
  held: Amount
  progress: Amount
  /** What was charged; null until it is settled. */
  cost: Amount | null
  late: boolean
  ttl_seconds: number
  expires_at: string
  metadata: Record<string, string>
}

export interface NewCheckout extends Subject {
  pack?: string
  plan?: string
  /** Of a plan with several prices, which: by how often it is billed, or by Stripe's id. */
  interval?: 'day' | 'week' | 'month' | 'year'
  price?: string
  successUrl: string
  cancelUrl: string
  name?: string
  email?: string
}

export interface Checkout {
  id: string
  /** "granted" is the only proof of purchase; a redirect to the success page is none. */
  state: 'pending' | 'granted' | 'failed'
  failure: string | null
  item: { kind: 'pack' | 'plan'; id: string; price: string }
  account_id: string
  session_id: string | null
  /** Where the buyer pays; null once it is over. */
  url: string | null
  expires_at: string | null
}
