import { z } from 'zod'

/**
 * Everything somebody is told of, and what the outbox keeps to say it. Amounts are credits as
 * decimal text. A `url` opens something: it is forgotten once it was sent. The link to a key is not
 * kept at all: it is made when it is sent.
 */
export const NOTICES = {
  claim_link: z.object({ claim_id: z.string(), round: z.int() }),
  credits_received: z.object({ credits: z.string(), available: z.string() }),
  low_balance: z.object({ available: z.string(), threshold: z.string() }),
  balance_exhausted: z.object({ available: z.string() }),
  payment_failed: z.object({
    rung: z.enum(['warned', 'reminded', 'downgraded', 'suspended']),
    url: z.url().nullable(),
  }),
  /** An invoice of a plan waits for the customer's bank. */
  payment_action_required: z.object({ url: z.url() }),
  trial_will_end: z.object({
    plan: z.string(),
    ends_at: z.string(),
    then: z.enum(['paid', 'canceled']),
  }),
  recharge_failed: z.object({ reason: z.string() }),
  authentication_required: z.object({ url: z.url() }),
  operator_alert: z.object({
    finding_id: z.string(),
    kind: z.string(),
    subject: z.string(),
    /** When it opened last. */
    first_seen: z.string(),
  }),
} as const

/** What a message of a link says: nothing that the outbox keeps. */
export const claimLinkSent = z.object({ url: z.url(), expires_at: z.string() })

export type NoticeKind = keyof typeof NOTICES
export type NoticeData<Kind extends NoticeKind> = z.infer<(typeof NOTICES)[Kind]>

export const isNoticeKind = (kind: string): kind is NoticeKind => Object.hasOwn(NOTICES, kind)

/** Something to be told once. */
export type Notice = {
  readonly [Kind in NoticeKind]: {
    readonly kind: Kind
    /** Names what happened, unique for good: "low_balance:<account>:<entry>". */
    readonly occasion: string
    /** Who it is about; null only where operators alone are told. */
    readonly accountId: string | null
    readonly data: NoticeData<Kind>
  }
}[NoticeKind]

export type Audience = 'customer' | 'operator'

/** Alerts are for operators; everything else is for the customer. */
export const audienceOf = (kind: NoticeKind): Audience =>
  kind === 'operator_alert' ? 'operator' : 'customer'
