import { z } from 'zod'
import { isRefusal, refuse } from '../../kernel/errors.ts'
import { viewCredits } from '../../kernel/money.ts'
import type { EntryView, GrantInput, LotView } from '../../ledger/books.ts'
import * as context from '../context.ts'
import type { AdminDeps, Operator } from '../context.ts'
import type { FieldRefusal } from '../../access/http/answers.ts'
import { isoOrNull, lotView, viewLot } from '../../access/http/balance.ts'
import * as fields from '../../access/http/fields.ts'
import { nothing, route, type Route } from '../../access/http/route.ts'

const { audit, noAccount, reloadQuietly, tooMuch } = context
const { amountFields, amountOf, amountView, checkAmount, moment, reference, text } = fields

/** The type of the references that operators give. */
const ADMIN = 'admin'

const grantBody = z
  .strictObject({
    ...amountFields,
    kind: z.enum(['promo', 'included', 'paid']),
    priority: z.int().min(-1_000_000).max(1_000_000).default(0),
    effective_at: moment.nullish(),
    expires_at: moment.nullish(),
    reason: text,
    /** Names the grant in your books; the same again is the same grant. */
    reference_id: reference.optional(),
  })
  .check(checkAmount)

const refuseField = (param: string, message: string): FieldRefusal => ({
  ...refuse('invalid_request', `${param}: ${message}`),
  param,
})

/** A request is told of the lot that it made, whatever became of that. */
const EXPIRED = refuseField('expires_at', 'must be later than now and than effective_at')

type GrantAsked = Omit<GrantInput, 'accountId' | 'referenceType'>

/** The grant that a body asks for, or what is wrong with it. */
function grantOf(
  body: z.output<typeof grantBody>,
  idempotencyKey: string | null,
): GrantAsked | FieldRefusal {
  const referenceId = body.reference_id ?? idempotencyKey
  if (referenceId === null) {
    return refuseField('reference_id', 'name the grant, or send an Idempotency-Key')
  }
  const micros = amountOf(body)
  if (micros <= 0) return refuseField('credits', 'must be more than zero')
  const [effectiveAtMs, expiresAtMs] = [body.effective_at ?? null, body.expires_at ?? null]
  const { kind, priority, reason } = body
  return { micros, kind, priority, effectiveAtMs, expiresAtMs, reason, referenceId }
}

const isOver = ({ effectiveAtMs, expiresAtMs }: GrantAsked, nowMs: number): boolean =>
  expiresAtMs !== null && expiresAtMs <= Math.max(nowMs, effectiveAtMs ?? nowMs)

/** Whether a lot that was there already is what is asked for now. */
const isSameGrant = (lot: LotView, asked: GrantAsked): boolean =>
  lot.grantedMicros === asked.micros &&
  lot.kind === asked.kind &&
  lot.expiresAtMs === asked.expiresAtMs

function grant(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/accounts/:id/grants',
    summary: 'Grant credits. The same reference_id again answers the same lot.',
    params: fields.idParams,
    query: nothing,
    body: grantBody,
    answer: lotView,
    async run({ params, body, idempotencyKey, who }) {
      const nowMs = deps.clock.now()
      const asked = grantOf(body, idempotencyKey)
      if (isRefusal(asked)) return asked
      const { id } = params
      const isKnown = async () => (await deps.books.lot(id, ADMIN, asked.referenceId)) !== null
      if (isOver(asked, nowMs) && !(await isKnown())) return EXPIRED
      const detail = { ...asked, account_id: params.id }
      await audit(deps, { actor: who.actor, action: 'grant', subject: params.id, detail })
      const input = { ...asked, accountId: params.id, referenceType: ADMIN }
      const granted = await deps.books.grant(input, nowMs)
      if (granted === null) return noAccount(params.id)
      if (isRefusal(granted)) return { ...tooMuch(granted), param: 'credits' }
      if (!granted.created && !isSameGrant(granted.lot, asked)) {
        const message = `${asked.referenceId} is a grant of another amount, kind or expiry.`
        return { ...refuse('conflict', message), param: 'reference_id' }
      }
      await reloadQuietly(deps, params.id)
      return { status: granted.created ? 201 : 200, body: viewLot(granted.lot) }
    },
  })
}

const adjustBody = z
  .strictObject({ ...amountFields, reason: text, reference_id: reference.optional() })
  .check(checkAmount)

const adjustmentView = amountView.extend({
  account_id: z.string(),
  reference_id: z.string(),
  created: z.boolean(),
})

function adjust(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'POST',
    path: '/accounts/:id/adjustments',
    summary: 'Move credits by hand, up or down (a negative amount).',
    params: fields.idParams,
    query: nothing,
    body: adjustBody,
    answer: adjustmentView,
    async run({ params, body, idempotencyKey, who }) {
      const referenceId = body.reference_id ?? idempotencyKey
      if (referenceId === null) {
        return refuseField('reference_id', 'name the adjustment, or send an Idempotency-Key')
      }
      const micros = amountOf(body)
      if (micros === 0) return refuseField('credits', 'must not be zero')
      const asked = { micros, reason: body.reason, referenceId }
      await audit(deps, { actor: who.actor, action: 'adjust', subject: params.id, detail: asked })
      const input = { ...asked, accountId: params.id }
      const adjusted = await deps.books.adjust(input, deps.clock.now())
      if (adjusted === null) return noAccount(params.id)
      if (isRefusal(adjusted)) return { ...tooMuch(adjusted), param: 'credits' }
      if (!adjusted.created && adjusted.micros !== micros) {
        const message = `reference_id ${referenceId} is an adjustment by another amount.`
        return { ...refuse('conflict', message), param: 'reference_id' }
      }
      await reloadQuietly(deps, params.id)
      const { created } = adjusted
      return {
        status: created ? 201 : 200,
        body: {
          account_id: params.id,
          reference_id: referenceId,
          created,
          ...viewCredits(adjusted.micros),
        },
      }
    },
  })
}

const entryView = z.object({
  seq: z.int(),
  lot_id: z.string().nullable(),
  line: z.enum(['lot', 'debt', 'overage']),
  movement_type: z.string(),
  amount: amountView,
  reason: z.string().nullable(),
  reference_type: z.string(),
  reference_id: z.string(),
  op_id: z.string(),
  created_at: z.string().nullable(),
})

const viewEntry = (entry: EntryView): z.infer<typeof entryView> => ({
  seq: entry.seq,
  lot_id: entry.lotId,
  line: entry.line,
  movement_type: entry.movementType,
  amount: viewCredits(entry.micros),
  reason: entry.reason,
  reference_type: entry.referenceType,
  reference_id: entry.referenceId,
  op_id: entry.opId,
  created_at: isoOrNull(entry.createdAtMs),
})

const ledgerQuery = z.strictObject({
  cursor: z.coerce.number().int().positive().optional(),
  limit: fields.pageLimit,
})

function ledger(deps: AdminDeps): Route<Operator> {
  return route({
    method: 'GET',
    path: '/accounts/:id/ledger',
    summary: 'Movements of an account, newest first.',
    params: fields.idParams,
    query: ledgerQuery,
    body: nothing,
    answer: fields.pageOf(entryView),
    async run({ params, query }) {
      const { cursor = null, limit } = query
      const rows = await deps.books.entries(params.id, cursor, limit + 1)
      if (rows.length === 0 && (await deps.accounts.read(params.id)) === null) {
        return noAccount(params.id)
      }
      const body = fields.page(rows, limit, viewEntry, (entry) => String(entry.seq))
      return { status: 200, body }
    },
  })
}

export const moneyRoutes = (deps: AdminDeps): readonly Route<Operator>[] => [
  grant(deps),
  adjust(deps),
  ledger(deps),
]
