import type { Obj } from './json.ts'

/** An answer that is an error, in the shape of Stripe's error body. */
export class ApiFault extends Error {
  readonly status: number
  readonly body: Obj
  /** Thrown before the endpoint ran: an idempotency key does not remember it. */
  readonly before: boolean

  constructor(status: number, error: Obj, before = false) {
    super(typeof error.message === 'string' ? error.message : 'error')
    this.status = status
    this.body = { error }
    this.before = before
  }
}

export function invalid(message: string, param?: string, code?: string): ApiFault {
  return new ApiFault(400, {
    type: 'invalid_request_error',
    message,
    ...(param === undefined ? {} : { param }),
    ...(code === undefined ? {} : { code, doc_url: docUrl(code) }),
  })
}

export const missing = (kind: string, id: string, param = 'id'): ApiFault =>
  new ApiFault(404, {
    type: 'invalid_request_error',
    code: 'resource_missing',
    doc_url: docUrl('resource_missing'),
    message: `No such ${kind}: '${id}'`,
    param,
  })

export const refused = (status: number, type: string, message: string, code?: string): ApiFault =>
  new ApiFault(status, { type, message, ...(code === undefined ? {} : { code }) }, true)

export const docUrl = (code: string): string =>
  `https://docs.stripe.com/error-codes#${code.replaceAll('_', '-')}`
