import { z } from 'zod'
import { until } from './until.ts'

const amount = z.object({ micros: z.number(), credits: z.string() })
const account = z.object({ id: z.string(), balance: z.looseObject({}) })
const key = z.object({ id: z.string(), key: z.string() })
const balance = z.object({
  account_id: z.string(),
  available: amount,
  held: amount,
  posted: amount,
  debt: amount,
  overage: amount,
  lots: z.array(z.looseObject({ id: z.string(), kind: z.string(), remaining: amount })),
})
const receipt = z.looseObject({
  request_id: z.string(),
  status: z.enum(['posted', 'settled', 'held', 'released']),
  model: z.string(),
  stream: z.boolean(),
  estimated: z.boolean(),
  late: z.boolean().optional(),
  usage: z.record(z.string(), z.unknown()),
  cost: amount,
  entries: z.array(z.looseObject({ lot_id: z.string().nullable(), micros: z.number() })),
})

export type Balance = z.infer<typeof balance>
export type Receipt = z.infer<typeof receipt>

/** The operator's side, as the tests use it: every body is checked. */
export interface Admin {
  createAccount(name?: string): Promise<string>
  grant(accountId: string, credits: string, reference?: string): Promise<void>
  createKey(
    accountId: string,
    limits?: Record<string, unknown>,
  ): Promise<{ id: string; key: string }>
  /** An account with credits and one key. */
  customer(credits: string, limits?: Record<string, unknown>): Promise<Customer>
  balance(apiKey: string): Promise<Balance>
  receipt(requestId: string): Promise<Receipt>
  call(method: string, path: string, body?: unknown): Promise<Response>
}

export interface Customer {
  readonly accountId: string
  readonly keyId: string
  readonly apiKey: string
}

export function makeAdmin(url: string, token: string): Admin {
  const call: Admin['call'] = (method, path, body) =>
    fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  /** Says it again where nothing was done, as a machine that does much else may answer. */
  const read = (method: string, path: string, body?: unknown): Promise<unknown> =>
    until(async () => {
      const response = await call(method, path, body)
      const text = await response.text()
      if (response.status === 503 && text.includes('nothing was done')) return null
      if (response.ok) return { answer: JSON.parse(text) as unknown }
      return { failed: `${method} ${path}: ${response.status} ${text}` }
    }).then((told) => {
      if ('failed' in told) throw new Error(told.failed)
      return told.answer
    })
  const admin: Admin = {
    call,
    async createAccount(name = 'Test') {
      return account.parse(await read('POST', '/admin/v1/accounts', { name })).id
    },
    async grant(accountId, credits, reference = crypto.randomUUID()) {
      const body = { credits, kind: 'paid', reason: 'test', reference_id: reference }
      await read('POST', `/admin/v1/accounts/${accountId}/grants`, body)
    },
    async createKey(accountId, limits = {}) {
      const body = { name: 'test', ...limits }
      return key.parse(await read('POST', `/admin/v1/accounts/${accountId}/keys`, body))
    },
    async customer(credits, limits) {
      const accountId = await admin.createAccount()
      if (credits !== '0') await admin.grant(accountId, credits)
      const created = await admin.createKey(accountId, limits)
      return { accountId, keyId: created.id, apiKey: created.key }
    },
    async balance(apiKey) {
      const headers = { authorization: `Bearer ${apiKey}` }
      const response = await fetch(`${url}/farebox/v1/balance`, { headers })
      return balance.parse(await response.json())
    },
    async receipt(requestId) {
      return receipt.parse(await read('GET', `/admin/v1/receipts/${requestId}`))
    },
  }
  return admin
}
