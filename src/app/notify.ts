import type { EntitleDeps } from '../access/plans/entitle.ts'
import type { PlanNotice } from '../access/plans/notices.ts'
import type { Config } from '../config.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Ids } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import type { WorkPool } from '../kernel/work-pool.ts'
import type { PostingLedgerOptions } from '../ledger/posting-ledger.ts'
import { makeAlerts } from '../notify/alerts.ts'
import { balanceNotices } from '../notify/balance-notices.ts'
import type { Notice } from '../notify/notice.ts'
import { makeOutbox, type Outbox } from '../notify/outbox.ts'
import { makeSender, type SenderDeps } from '../notify/sender.ts'
import type { NotifyMetrics } from '../ops/notify-metrics.ts'
import type { Db } from '../store/db.ts'

/** Everything that tells customers and operators. */
export interface Notify {
  readonly outbox: Outbox
  readonly sender: WorkPool
  /** Notes urgent findings that nobody was told of. */
  alert(): Promise<void>
  /** What a posting writes when a balance falls below a mark. */
  readonly alongside: NonNullable<PostingLedgerOptions['alongside']>
  /** Tells a customer of a rung of the grace ladder, or of the end of a trial. */
  readonly tellPlan: EntitleDeps['tell']
  configure(config: Config): void
}

function planNotice(told: PlanNotice): Notice {
  const { occasion, accountId } = told
  if (told.kind === 'payment_failed') {
    const { rung, url } = told
    return { kind: told.kind, occasion, accountId, data: { rung, url } }
  }
  const { plan, then, endsAtMs } = told
  const data = { plan, ends_at: new Date(endsAtMs).toISOString(), then }
  return { kind: told.kind, occasion, accountId, data }
}

export function makeNotify(parts: {
  readonly config: Config
  readonly db: Db
  readonly clock: Clock
  readonly ids: Ids
  readonly log: Log
  readonly metrics: NotifyMetrics
  readonly claimLink: SenderDeps['claimLink']
}): Notify {
  const { db, clock, ids, log, metrics } = parts
  let config = parts.config.notify
  const outbox = makeOutbox({ db, ids, config: () => config })
  const alert = makeAlerts({ db, outbox })
  const sender = makeSender({
    outbox,
    config: () => config,
    clock,
    random: Math.random,
    log,
    claimLink: parts.claimLink,
    onSent: (...sent) => {
      metrics.notified(...sent)
    },
  })
  return {
    outbox,
    sender,
    alert: () => alert(clock.now()),
    alongside: (postings, nowMs) =>
      balanceNotices(postings, config).flatMap((notice) => outbox.balanceStatements(notice, nowMs)),
    async tellPlan(tx, notice, nowMs) {
      await outbox.add(planNotice(notice), nowMs, tx)
    },
    configure(next) {
      config = next.notify
    },
  }
}
