import { z } from 'zod'

/** What the inbox keeps of an event, whichever way it came. */
export interface IncomingEvent {
  readonly id: string
  /** As snapshot events call it: "invoice.paid", also where it came as "v1.invoice.paid". */
  readonly type: string
  /** What to look at; null = the event names nothing. */
  readonly objectId: string | null
  /** A connected account, whose money is not ours; null = our own. */
  readonly stripeAccount: string | null
  readonly apiVersion: string | null
  readonly livemode: boolean
  readonly isThin: boolean
  readonly occurredAtMs: number
}

const id = z.string().regex(/^[A-Za-z0-9_]{1,255}$/)
const type = z.string().regex(/^[\x21-\x7e]{1,255}$/)
/** Operators name some objects themselves (coupons, old plans), with any character. */
const maybeId = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/)
  .nullish()
  .catch(null)

/** End of the year 9999: what every store can write as a time. */
const SECONDS_MAX = 253_402_300_799

/** Summaries of entitlements have no id: there is one of each customer. */
const OF_CUSTOMER = 'entitlements.active_entitlement_summary'

function namedBy(
  it:
    | { id?: string | null | undefined; object?: string | null | undefined; customer?: unknown }
    | undefined,
): string | null {
  if (it?.object === OF_CUSTOMER) return typeof it.customer === 'string' ? it.customer : null
  return it?.id ?? null
}

const snapshotEvent = z
  .object({
    id,
    object: z.literal('event'),
    type,
    created: z.number().min(0).max(SECONDS_MAX),
    livemode: z.boolean(),
    account: maybeId,
    api_version: z
      .string()
      .regex(/^[\x21-\x7e]{1,64}$/)
      .nullish()
      .catch(null),
    data: z
      .object({ object: z.looseObject({ id: maybeId, object: maybeId, customer: maybeId }) })
      .optional(),
  })
  .transform((event): IncomingEvent => ({
    id: event.id,
    type: event.type,
    objectId: namedBy(event.data?.object),
    stripeAccount: event.account ?? null,
    apiVersion: event.api_version ?? null,
    livemode: event.livemode,
    isThin: false,
    occurredAtMs: event.created * 1000,
  }))

const thinEvent = z
  .object({
    id,
    object: z.literal('v2.core.event'),
    type,
    created: z.iso.datetime({ offset: true }),
    livemode: z.boolean(),
    context: maybeId,
    related_object: z.object({ id: maybeId }).nullish().catch(null),
  })
  .transform((event): IncomingEvent => ({
    id: event.id,
    type: snapshotName(event.type),
    objectId: event.related_object?.id ?? null,
    stripeAccount: event.context ?? null,
    apiVersion: null,
    livemode: event.livemode,
    isThin: true,
    occurredAtMs: Date.parse(event.created),
  }))

/** These exist as thin events only and keep their names. Source: stripe.md §3. */
const THIN_ONLY = 'v1.billing.meter.'

function snapshotName(name: string): string {
  return name.startsWith(THIN_ONLY) ? name : name.replace(/^v1\./, '')
}

const anyEvent = z.union([snapshotEvent, thinEvent])

/** Reads a snapshot or thin event. null = it is neither; unknown types are events too. */
export function readEvent(text: string): IncomingEvent | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  return anyEvent.safeParse(parsed).data ?? null
}
