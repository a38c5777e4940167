import type { CreditEngine } from '../../credits/commands.ts'
import type { ReceiptDraft } from '../../credits/holds.ts'
import type { Loads } from '../../credits/load.ts'
import { receiptText } from '../../credits/receipt-text.ts'
import { COMMAND_TRIES_MAX } from '../../kernel/limits/holds.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import { maxMicros, type Micros } from '../../kernel/money.ts'
import type { WorkHold } from './rows.ts'

interface BeatDeps {
  readonly engine: Pick<CreditEngine, 'renew'>
  readonly credits: { readonly loads: Loads }
  readonly log: Log
}

/**
 * Renews a hold in the credit engine. One that the engine lost is put back: its row says that it
 * has not lapsed. gone: it was ended there. away: no answer.
 */
export async function beatOnce(
  { engine, credits: { loads }, log }: BeatDeps,
  work: Pick<WorkHold, 'id' | 'accountId' | 'keyId' | 'day' | 'reservedAtMs' | 'micros'>,
  beat: { progressMicros: Micros; draft: ReceiptDraft; ttlMs: number },
): Promise<'ok' | 'gone' | 'away'> {
  const { id: holdId, accountId, keyId, day, reservedAtMs } = work
  const command = {
    ...{ accountId, keyId, holdId, day, reservedAtMs, tokens: 0, owner: 'work' },
    micros: maxMicros(work.micros, beat.progressMicros),
    progressMicros: beat.progressMicros,
    leaseMs: beat.ttlMs,
    draft: receiptText(beat.draft),
  }
  const load = async (reason: 'missing' | 'drift'): Promise<void> => {
    await loads.account(accountId, reason)
    await loads.key(accountId, keyId, reason)
  }
  for (let round = 1; round <= COMMAND_TRIES_MAX; round++) {
    try {
      const reply = await engine.renew(command)
      if (reply.kind === 'gone') return 'gone'
      if (reply.kind === 'ok') {
        if (reply.putBack) await load('drift')
        return 'ok'
      }
      await load('missing')
    } catch (error) {
      const fields = { request_id: holdId, round, error: describeError(error) }
      log.warn(fields, 'a heartbeat got no answer')
    }
  }
  return 'away'
}
