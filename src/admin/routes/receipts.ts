import { z } from 'zod'
import { isRefusal, refuse } from '../../kernel/errors.ts'
import { viewCredits } from '../../kernel/money.ts'
import { audit, reloadQuietly, tooMuch, type AdminDeps, type Operator } from '../context.ts'
import * as fields from '../../access/http/fields.ts'
import { findReceipt, receiptView } from '../../access/http/receipts.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const receiptParams = z.object({ id: fields.holdId })

const NO_RECEIPT =
  'There is no receipt with this id: it is unknown, or the request ended without a charge.'

function readReceipt(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/receipts/:id',
    summary: 'The receipt of one request; with account_id also of one that is still in flight.',
    params: receiptParams,
    query: z.strictObject({ account_id: fields.accountId.optional() }),
    body: nothing,
    answer: receiptView,
    async run({ params, query }) {
      const body = await findReceipt(deps, params.id, query.account_id ?? null, true)
      return body === null ? refuse('not_found', NO_RECEIPT) : { status: 200, body }
    },
  })
}

const reversalView = z.object({
  request_id: z.string(),
  account_id: z.string(),
  reversed: fields.amountView,
  created: z.boolean(),
})

function reverseReceipt(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/receipts/:id/reverse',
    summary: 'Give back exactly what a receipt took, once.',
    params: receiptParams,
    query: nothing,
    body: z.strictObject({ reason: fields.text }),
    answer: reversalView,
    async run({ params: { id }, body: { reason }, who }) {
      const receipt = await deps.books.receipt(id, null)
      if (receipt === null) return refuse('not_found', NO_RECEIPT)
      const { accountId } = receipt
      await audit(deps, {
        actor: who.actor,
        action: 'receipt.reverse',
        subject: id,
        detail: { reason, account_id: accountId },
      })
      const reversed = await deps.books.reverse(id, reason, deps.clock.now())
      if (reversed === null) return refuse('not_found', NO_RECEIPT)
      if (isRefusal(reversed)) return tooMuch(reversed, 'conflict')
      await reloadQuietly(deps, accountId)
      const { created, micros } = reversed
      return {
        status: created ? 201 : 200,
        body: { request_id: id, account_id: accountId, reversed: viewCredits(micros), created },
      }
    },
  })
}

export const receiptRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  readReceipt(deps),
  reverseReceipt(deps),
]
