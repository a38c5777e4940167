import Stripe from 'stripe'
import { STRIPE_CALL_MS_MAX } from '../kernel/limits/stripe.ts'

export interface StripeOptions {
  readonly secretKey: string
  /** Another server than Stripe's own, such as the simulator; null = Stripe. */
  readonly apiBase: string | null
  /** Refuses everything but GET before it is sent. Default false. */
  readonly isReadOnly?: boolean
}

/** A client of Node's that reads and never writes, whoever is given it. */
function readingClient(): Stripe.HttpClient {
  const client = Stripe.createNodeHttpClient()
  return {
    getClientName: () => client.getClientName(),
    makeRequest(host, port, path, method, ...rest) {
      if (method === 'GET') return client.makeRequest(host, port, path, method, ...rest)
      return Promise.reject(new Error(`${method} ${path} was refused: only reads are allowed here`))
    },
  }
}

/**
 * The client that all of billing shares. Repeats what is safe to repeat twice; 429 and longer
 * outages are its callers' to repeat. Source: stripe-node 23 (telemetry writes a file).
 */
export function makeStripe({ secretKey, apiBase, isReadOnly = false }: StripeOptions): Stripe {
  const common = {
    ...{ timeout: STRIPE_CALL_MS_MAX, maxNetworkRetries: 2, telemetry: false },
    ...(isReadOnly ? { httpClient: readingClient() } : {}),
  }
  if (apiBase === null) return new Stripe(secretKey, common)
  const { hostname, port, protocol } = new URL(apiBase)
  const isPlain = protocol === 'http:'
  const ownPort = port === '' ? (isPlain ? '80' : '443') : port
  const base = { host: hostname, port: ownPort, protocol: isPlain ? 'http' : 'https' } as const
  return new Stripe(secretKey, { ...common, ...base })
}

/** The id of what Stripe names by id or, expanded, whole. */
export function idOf(value: string | { readonly id: string } | null | undefined): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'string' ? value : value.id
}
