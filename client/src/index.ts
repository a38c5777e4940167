import { makeSend, type FareboxOptions } from './transport.ts'
import type {
  Access,
  AccessQuestion,
  Balance,
  Checkout,
  Hold,
  NewCheckout,
  NewHold,
  Price,
  Receipt,
  Subject,
} from './types.ts'

export { FareboxError } from './errors.ts'
export type { FareboxOptions } from './transport.ts'
export type * from './types.ts'

/** What any call takes beside its own fields. */
export interface CallOptions {
  signal?: AbortSignal
}

/** What makes a call that changes something the same call when it is repeated. */
export interface KeyedOptions extends CallOptions {
  /** Default: a random one, which covers only this call's own tries. */
  idempotencyKey?: string
}

export interface Farebox {
  access: {
    /** Needs a backend key. An unknown subject is not an error: `allowed` is false. */
    check(question: AccessQuestion, options?: CallOptions): Promise<Access>
  }
  balance(subject?: Subject, options?: CallOptions): Promise<Balance>
  receipt(requestId: string, subject?: Subject, options?: CallOptions): Promise<Receipt>
  holds: {
    /** Throws FareboxError with status 402 where the credits are not there. */
    open(hold: NewHold, options?: KeyedOptions): Promise<Hold>
    read(holdId: string, options?: CallOptions): Promise<Hold>
    /** Prolongs it; `progress` is what it cost so far, charged should it lapse. */
    heartbeat(holdId: string, progress?: Price, options?: CallOptions): Promise<Hold>
    /** Charges once, however often it is called. */
    settle(holdId: string, cost: Price, options?: CallOptions): Promise<Hold>
    release(holdId: string, options?: CallOptions): Promise<Hold>
    /**
     * Opens a hold, runs `work`, settles for what it answers. Heartbeats go on while it runs;
     * `report` tells what it cost so far, which is what is charged when it throws (nothing told:
     * nothing charged). Where the last settle fails, settle the hold again: late, but once.
     */
    run<T>(
      hold: NewHold,
      work: (hold: Hold, report: (progress: Price) => void) => Promise<{ cost: Price; value: T }>,
      options?: KeyedOptions,
    ): Promise<{ value: T; hold: Hold }>
  }
  checkout: {
    create(checkout: NewCheckout, options?: KeyedOptions): Promise<Checkout>
    /** Looks at Stripe itself; poll it from the success page. */
    read(id: string, options?: CallOptions): Promise<Checkout>
  }
  /** A link to Stripe's customer portal. */
  portal(where: Subject & { returnUrl: string }, options?: CallOptions): Promise<{ url: string }>
}

const given = (fields: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

const priced = (price: Price | undefined): Record<string, unknown> =>
  given({ credits: price?.credits, units: price?.units })

/**
 * A client of one gateway.
 *
 * @example
 * const farebox = createFarebox({ baseUrl: 'https://ai.example.com', apiKey: process.env.KEY })
 * const { allowed, reason } = await farebox.access.check({ subjectRef: user.id, model: 'gpt-5' })
 */
export function createFarebox(options: FareboxOptions): Farebox {
  const send = makeSend(options)
  // What the gateway answers is described by its OpenAPI; a newer one may say more, never less.
  const ask = <T>(call: Parameters<typeof send>[0]): Promise<T> => send(call) as Promise<T>
  const holdPath = (id: string, verb = ''): string =>
    `/farebox/v1/holds/${encodeURIComponent(id)}${verb}`
  const keyOf = ({ idempotencyKey = crypto.randomUUID() }: KeyedOptions): string => idempotencyKey

  const holds: Farebox['holds'] = {
    open: (hold, opts = {}) =>
      ask({
        ...{ method: 'POST', path: '/farebox/v1/holds', idempotencyKey: keyOf(opts) },
        body: given({
          ...{ subject_ref: hold.subjectRef, credits: hold.credits, units: hold.units },
          ...{ price: hold.price, ttl_seconds: hold.ttlSeconds, metadata: hold.metadata },
        }),
        signal: opts.signal,
      }),
    read: (id, { signal } = {}) => ask({ method: 'GET', path: holdPath(id), signal }),
    heartbeat: (id, progress, { signal } = {}) =>
      ask({
        ...{ method: 'POST', path: holdPath(id, '/heartbeat'), isRepeatable: true, signal },
        body: priced(progress),
      }),
    settle: (id, cost, { signal } = {}) =>
      ask({
        ...{ method: 'POST', path: holdPath(id, '/settle'), isRepeatable: true, signal },
        body: priced(cost),
      }),
    release: (id, { signal } = {}) =>
      ask({ method: 'POST', path: holdPath(id, '/release'), isRepeatable: true, signal }),
    async run(wanted, work, opts = {}) {
      const hold = await holds.open(wanted, opts)
      let progress: Price | undefined
      const beat = setInterval(
        () => {
          // A lost heartbeat is made good by the next; the lease spans three.
          holds.heartbeat(hold.hold_id, progress).catch(() => undefined)
        },
        (hold.ttl_seconds * 1_000) / 3,
      )
      const run = async (): ReturnType<typeof work> =>
        work(hold, (soFar) => {
          progress = soFar
        })
      const done = await run()
        .catch(async (error: unknown) => {
          // What was used up so far is owed, also where the work failed.
          const end =
            progress === undefined
              ? holds.release(hold.hold_id)
              : holds.settle(hold.hold_id, progress)
          await end.catch(() => undefined)
          throw error
        })
        .finally(() => {
          clearInterval(beat)
        })
      return { value: done.value, hold: await holds.settle(hold.hold_id, done.cost) }
    },
  }

  return {
    holds,
    access: {
      check: ({ subjectRef, feature, model, credits }, { signal } = {}) =>
        ask({
          ...{ method: 'POST', path: '/v1/access/check', isRepeatable: true, signal },
          body: given({ subject_ref: subjectRef, feature, model, credits }),
        }),
    },
    balance: ({ subjectRef } = {}, { signal } = {}) =>
      ask({ method: 'GET', path: '/farebox/v1/balance', subjectRef, signal }),
    receipt: (id, { subjectRef } = {}, { signal } = {}) =>
      ask({
        ...{ method: 'GET', path: `/farebox/v1/receipts/${encodeURIComponent(id)}` },
        ...{ subjectRef, signal },
      }),
    checkout: {
      create: (wanted, opts = {}) =>
        ask({
          ...{ method: 'POST', path: '/farebox/v1/checkout', idempotencyKey: keyOf(opts) },
          body: given({
            ...{ subject_ref: wanted.subjectRef, pack: wanted.pack, plan: wanted.plan },
            ...{ interval: wanted.interval, price: wanted.price },
            ...{ success_url: wanted.successUrl, cancel_url: wanted.cancelUrl },
            ...{ name: wanted.name, email: wanted.email },
          }),
          signal: opts.signal,
        }),
      read: (id, { signal } = {}) =>
        ask({ method: 'GET', path: `/farebox/v1/checkout/${encodeURIComponent(id)}`, signal }),
    },
    portal: ({ subjectRef, returnUrl }, { signal } = {}) =>
      ask({
        ...{ method: 'POST', path: '/farebox/v1/portal', signal },
        body: given({ subject_ref: subjectRef, return_url: returnUrl }),
      }),
  }
}
