import { sleep, type Clock } from '../kernel/clock.ts'
import { COMMAND_RETRY_WAIT_MS, COMMAND_TRIES_MAX } from '../kernel/limits/holds.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Micros } from '../kernel/money.ts'
import type { UnderWay } from '../kernel/under-way.ts'
import type { Poster } from '../ledger/poster.ts'
import type { PostItem, PostOutcome, Receipt } from '../ledger/receipt.ts'
import type { Clearing } from './clearing.ts'
import type { CreditEngine, Settle, SettleReply } from './commands.ts'
import { finishPosted } from './finish.ts'
import type { SettleFinal, Settled } from './holds.ts'
import type { Loads } from './load.ts'
import { receiptText } from './receipt-text.ts'
import type { Renewable } from './renewals.ts'

/** What turns a hold into its charge. */
export interface SettlingParts {
  readonly engine: CreditEngine
  readonly poster: Poster
  readonly clock: Clock
  readonly log: Log
  /** posted: an answer completes when its charge is in Postgres. Source: design §2.9. */
  readonly durability: 'posted' | 'settled'
  readonly loads: Loads
  readonly clearing: Clearing
  /** Settles without an answer yet. */
  readonly confirming: UnderWay
  /** Receipts that are not posted and cleared yet. */
  readonly finishing: UnderWay
}

const SETTLED = Promise.resolve('posted' as const)

/** Settles and queues the receipt. A settle that was not confirmed is posted as unbacked. */
export function settle(
  parts: SettlingParts,
  hold: Pick<Renewable, 'ref' | 'day' | 'reservedAtMs'>,
  final: SettleFinal,
): Promise<Settled> {
  const { day, reservedAtMs } = hold
  const { micros, tokens } = final
  const receipt: Receipt = { ...final.draft, rev: 2, micros, day, reservedAtMs }
  const command = { ...hold.ref, micros, rev: receipt.rev, tokens, receipt: receiptText(receipt) }
  parts.confirming.begin()
  return confirm(parts, command).then((backed) => {
    parts.confirming.end()
    const item: PostItem = { receipt, unbacked: backed === null, answer: final.answer }
    const ticket = parts.poster.submit(item)
    finish(parts, item, ticket.outcome)
    return {
      availableMicros: backed,
      posted: parts.durability === 'settled' ? SETTLED : ticket.wait(),
    }
  })
}

/** Clears what was posted. */
function finish(parts: SettlingParts, item: PostItem, posted: Promise<PostOutcome>): void {
  parts.finishing.begin()
  posted
    .then((outcome) => finishPosted(parts, item, outcome, false))
    .then(
      () => {
        parts.finishing.end()
      },
      (error: unknown) => {
        const fields = { request_id: item.receipt.holdId, error: describeError(error) }
        parts.log.error(fields, 'a posted hold was not cleared; recovery will')
        parts.finishing.end()
      },
    )
}

/**
 * Available credits after the settle; null = gone, late, or no answer: post it all the same. Never
 * rejects.
 */
function confirm(parts: SettlingParts, command: Settle): Promise<Micros | null> {
  const first = parts.engine.settle(command)
  const goOn = (): Promise<Micros | null> => confirmFrom(parts, command, first)
  return first.then((reply) => (reply.kind === 'ok' ? reply.availableMicros : goOn()), goOn)
}

/** From a first try that did not settle, until there is an answer. */
async function confirmFrom(
  { engine, loads, clock, log }: SettlingParts,
  command: Settle,
  first: Promise<SettleReply>,
): Promise<Micros | null> {
  for (let round = 1; round <= COMMAND_TRIES_MAX; round++) {
    try {
      const reply = await (round === 1 ? first : engine.settle(command))
      if (reply.kind === 'ok') return reply.availableMicros
      if (reply.kind !== 'stale') return null
      if (reply.what === 'account') await loads.account(command.accountId, 'missing')
      else await loads.key(command.accountId, command.keyId, 'missing')
    } catch (error) {
      const fields = { request_id: command.holdId, round, error: describeError(error) }
      log.warn(fields, 'settle got no answer')
      if (round < COMMAND_TRIES_MAX) await sleep(clock, COMMAND_RETRY_WAIT_MS * round)
    }
  }
  return null
}
