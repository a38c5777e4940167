import { chargeOf } from '../charges.ts'
import { emit } from '../events.ts'
import { invalid } from '../faults.ts'
import { child, int, intOr, mergeMetadata, pick, rows, text, textOr, type Obj } from '../json.ts'
import { listOf, matching, page } from '../paging.ts'
import { makeRefund } from '../refunds.ts'
import { route, type Call, type Route } from '../route.ts'
import { change, shape, type World } from '../world.ts'
import type { Biller } from './biller.ts'
import { intentOf, markPaid } from './collect.ts'
import { moveCustomerBalance } from './invoices.ts'
import { allLines } from './lines.ts'

interface Parts {
  readonly refund: number
  readonly credit: number
  readonly outside: number
}

function amountIn(world: World, invoice: Obj, input: Obj): number {
  const amount = intOr(input, 'amount')
  if (amount !== null) return amount
  return rows(input, 'lines').reduce((sum, asked) => {
    const line = allLines(world, invoice).find((one) => one.id === asked.invoice_line_item)
    const whole = line === undefined ? int(asked, 'unit_amount') : int(line, 'amount')
    return sum + (intOr(asked, 'amount') ?? whole)
  }, 0)
}

function linesOf(world: World, id: string, input: Obj, amount: number): Obj {
  const asked = rows(input, 'lines')
  const wanted: Obj[] = asked.length === 0 ? [{ amount }] : asked
  const lines = wanted.map((one) => {
    const line = textOr(one, 'invoice_line_item')
    const own = intOr(one, 'amount') ?? (asked.length < 2 ? amount : int(one, 'unit_amount'))
    return shape('credit_note_line_item', {
      id: world.id('cnli'),
      amount: own,
      quantity: 1,
      ...(line === null ? {} : { invoice_line_item: line }),
      type: line === null ? 'custom_line_item' : 'invoice_line_item',
    })
  })
  return listOf(lines, false, `/v1/credit_notes/${id}/lines`)
}

/** Where the money of a paid invoice's credit note goes: the parts must add up to it. */
function partsOf(input: Obj, amount: number): Parts {
  const parts = {
    refund: int(input, 'refund_amount'),
    credit: int(input, 'credit_amount'),
    outside: int(input, 'out_of_band_amount'),
  }
  if (parts.refund + parts.credit + parts.outside !== amount) {
    throw invalid('The sum of refund_amount, credit_amount and out_of_band_amount must be amount.')
  }
  return parts
}

function giveBack(biller: Biller, invoice: Obj, note: Obj, parts: Parts): void {
  const { world } = biller
  if (parts.refund > 0) {
    const intent = intentOf(world, invoice)
    const charge = intent === null ? null : chargeOf(world, text(intent, 'id'))
    if (charge === null) throw invalid('There is no charge to refund.', 'refund_amount')
    const refund = makeRefund(world, charge, { amount: parts.refund })
    note.refunds = [
      {
        amount_refunded: parts.refund,
        payment_record_refund: null,
        refund: text(refund, 'id'),
        type: 'refund',
      },
    ]
  }
  const customer = world.get('customer', text(invoice, 'customer'))
  if (parts.credit > 0) {
    const why = { type: 'credit_note', credit_note: text(note, 'id') }
    const moved = moveCustomerBalance(world, customer, -parts.credit, why)
    note.customer_balance_transaction = text(moved, 'id')
  }
  note.out_of_band_amount = parts.outside === 0 ? null : parts.outside
}

/** Before payment it lowers what is due; after it, money goes back. */
function create(biller: Biller, { input }: Call): Obj {
  const { world } = biller
  const invoice = world.get('invoice', text(input, 'invoice'), 'invoice')
  const isPaid = invoice.status === 'paid'
  if (!isPaid && invoice.status !== 'open') throw invalid('The invoice is not open or paid.')
  const amount = amountIn(world, invoice, input)
  const given = int(invoice, 'post_payment_credit_notes_amount')
  const left = isPaid ? int(invoice, 'amount_paid') - given : int(invoice, 'amount_remaining')
  if (amount < 1 || amount > left) throw invalid(`The amount may be up to ${left}.`, 'amount')
  const id = world.id('cn')
  const note = shape('credit_note', {
    id,
    created: world.now(),
    amount,
    effective_at: world.now(),
    invoice: text(invoice, 'id'),
    lines: linesOf(world, id, input, amount),
    metadata: mergeMetadata({}, input),
    number: `${text(invoice, 'number')}-CN-01`,
    pdf: `${world.base}/receipt`,
    post_payment_amount: isPaid ? amount : 0,
    pre_payment_amount: isPaid ? 0 : amount,
    status: 'issued',
    subtotal: amount,
    total: amount,
    type: isPaid ? 'post_payment' : 'pre_payment',
    ...pick(invoice, ['currency', 'customer']),
    ...pick(input, ['memo', 'reason']),
  })
  if (isPaid) giveBack(biller, invoice, note, partsOf(input, amount))
  world.keep('credit_note', note)
  change(
    invoice,
    isPaid
      ? { post_payment_credit_notes_amount: given + amount }
      : {
          pre_payment_credit_notes_amount: int(invoice, 'pre_payment_credit_notes_amount') + amount,
          amount_due: int(invoice, 'amount_due') - amount,
          amount_remaining: left - amount,
        },
  )
  const intent = isPaid ? null : intentOf(world, invoice)
  if (intent !== null) intent.amount = int(invoice, 'amount_due')
  emit(world, 'credit_note.created', note)
  if (!isPaid && int(invoice, 'amount_due') === 0) markPaid(biller, invoice, true)
  return note
}

function voidNote({ world }: Biller, note: Obj): Obj {
  const invoice = world.get('invoice', text(note, 'invoice'))
  if (note.status === 'void' || note.type !== 'pre_payment' || invoice.status !== 'open') {
    throw invalid('Only a credit note of an open invoice can be voided.')
  }
  const amount = int(note, 'amount')
  change(invoice, {
    pre_payment_credit_notes_amount: int(invoice, 'pre_payment_credit_notes_amount') - amount,
    amount_due: int(invoice, 'amount_due') + amount,
    amount_remaining: int(invoice, 'amount_remaining') + amount,
  })
  const intent = intentOf(world, invoice)
  if (intent !== null) intent.amount = int(invoice, 'amount_due')
  const previous = change(note, { status: 'void', voided_at: world.now() })
  emit(world, 'credit_note.voided', note, previous)
  return note
}

export function creditNoteRoutes(biller: Biller): Route[] {
  const { world } = biller
  const one = ({ path }: Call): Obj => world.get('credit_note', path.id ?? '')
  return [
    route('POST /v1/credit_notes', (call) => create(biller, call)),
    route('GET /v1/credit_notes', ({ input, url }) =>
      page(world.all('credit_note').filter(matching(input, ['customer', 'invoice'])), input, url),
    ),
    route('GET /v1/credit_notes/{id}', one),
    route('GET /v1/credit_notes/{id}/lines', (call) => child(one(call), 'lines')),
    route('POST /v1/credit_notes/{id}', (call) => {
      const note = one(call)
      const metadata = mergeMetadata(child(note, 'metadata'), call.input)
      const previous = change(note, { ...pick(call.input, ['memo']), metadata })
      emit(world, 'credit_note.updated', note, previous)
      return note
    }),
    route('POST /v1/credit_notes/{id}/void', (call) => voidNote(biller, one(call))),
  ]
}
