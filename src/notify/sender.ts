import type { Clock } from '../kernel/clock.ts'
import {
  NOTIFICATIONS_AT_ONCE_MAX,
  NOTIFICATION_RETRY_MS_MAX,
  NOTIFICATION_RETRY_MS_MIN,
  NOTIFICATION_TRIES_MAX,
} from '../kernel/limits/notify.ts'
import { describeError, type Log } from '../kernel/log.ts'
import { backoffMs, makeWorkPool, type WorkPool } from '../kernel/work-pool.ts'
import type { NotifyConfig } from './config.ts'
import { makeMailer, type Mailer } from './mail.ts'
import {
  EMAIL,
  webhookChannel,
  type Channels,
  type Claimed,
  type Ending,
  type Outbox,
} from './outbox.ts'
import { claimLinkSent, NOTICES } from './notice.ts'
import { GoneError, post } from './webhook.ts'

/** What opens the page of a key; `url` is a secret until it was used. */
export interface SentLink {
  readonly url: string
  readonly expiresAtMs: number
}

export interface SenderDeps {
  readonly outbox: Outbox
  readonly config: () => NotifyConfig
  readonly clock: Clock
  /** Even in [0, 1). */
  readonly random: () => number
  readonly log: Log
  /** Makes a link to a key, to be sent; null = it was claimed, or there is a newer link. */
  readonly claimLink: (claimId: string, round: number) => Promise<SentLink | null>
  readonly onSent: (channel: 'email' | 'webhook', result: Ending['state']) => void
}

/** Keeps one connection's settings until the configuration names others. */
function makeMailers(): (config: NotifyConfig) => Mailer | null {
  let kept: { url: string; from: string; mailer: Mailer } | null = null
  return ({ smtp_url: url, from }) => {
    if (url === undefined || from === undefined) return null
    if (kept?.url === url && kept.from === from) return kept.mailer
    kept?.mailer.close()
    kept = { url, from, mailer: makeMailer(url, from) }
    return kept.mailer
  }
}

/** The message as it is sent: a link to a key is made for this one try. null = none is due. */
async function readyOf(
  { claimLink }: Pick<SenderDeps, 'claimLink'>,
  claimed: Claimed,
): Promise<Claimed | null> {
  if (claimed.kind !== 'claim_link') return claimed
  const { claim_id: id, round } = NOTICES.claim_link.parse(claimed.data)
  const link = await claimLink(id, round)
  if (link === null) return null
  const { url, expiresAtMs } = link
  const data = claimLinkSent.parse({ url, expires_at: new Date(expiresAtMs).toISOString() })
  return { ...claimed, data }
}

const NO_LINK = 'the key was claimed, or there is a newer link'
const skipped = (note: string): Ending => ({ state: 'skipped', note })
const SENT: Ending = { state: 'sent' }

function failed({ clock, random, log }: SenderDeps, claimed: Claimed, error: unknown): Ending {
  const note = describeError(error)
  const isDead = error instanceof GoneError || claimed.attempts >= NOTIFICATION_TRIES_MAX
  const { id, kind, attempts } = claimed
  log.warn({ notification_id: id, kind, attempts, error: note }, 'notification not delivered')
  if (isDead) return { state: 'dead', note }
  const bounds = { minMs: NOTIFICATION_RETRY_MS_MIN, maxMs: NOTIFICATION_RETRY_MS_MAX }
  return {
    state: 'pending',
    note,
    againAtMs: clock.now() + backoffMs(attempts, random(), bounds),
  }
}

/**
 * One queue for each channel, and one for those that are not configured any more: a receiver that
 * hangs holds up nothing but its own.
 */
function makeQueues(
  config: () => NotifyConfig,
  makePool: (channels: () => Channels) => WorkPool,
): WorkPool {
  const pools = new Map<string, WorkPool>()
  const others = makePool(() => ({ names: [...pools.keys()], isOthers: true }))
  function all(): readonly WorkPool[] {
    for (const name of [EMAIL, ...config().webhooks.map(({ id }) => webhookChannel(id))]) {
      if (pools.has(name)) continue
      const pool = makePool(() => ({ names: [name], isOthers: false }))
      pools.set(name, pool)
    }
    return [...pools.values(), others]
  }
  const each = (run: (pool: WorkPool) => Promise<void>) => async (): Promise<void> => {
    await Promise.all(all().map(run))
  }
  return {
    tick: each((pool) => pool.tick()),
    idle: each((pool) => pool.idle()),
    drain: each((pool) => pool.drain()),
  }
}

/**
 * Delivers what is due, NOTIFICATIONS_AT_ONCE_MAX at a time of a channel, with pauses that grow;
 * what was refused NOTIFICATION_TRIES_MAX times is given up and kept for an operator to send again.
 */
export function makeSender(deps: SenderDeps): WorkPool {
  const { outbox, clock, log } = deps
  const mailerOf = makeMailers()

  async function mail(claimed: Claimed): Promise<Ending> {
    const config = deps.config()
    const mailer = mailerOf(config)
    const to = claimed.audience === 'operator' ? (config.operator_email ?? null) : claimed.email
    if (mailer === null) return skipped('mail is not configured any more')
    if (to === null) return skipped('no address is known')
    const ready = await readyOf(deps, claimed)
    if (ready === null) return skipped(NO_LINK)
    await mailer.send(ready, to)
    return SENT
  }

  async function call(claimed: Claimed, id: string): Promise<Ending> {
    const webhook = deps.config().webhooks.find((one) => one.id === id)
    if (webhook === undefined) return skipped('the webhook is not configured any more')
    const ready = await readyOf(deps, claimed)
    if (ready === null) return skipped(NO_LINK)
    await post(webhook, ready, clock.now())
    return SENT
  }

  async function work(claimed: Claimed): Promise<void> {
    const [channel, id] = claimed.channel.split(':', 2)
    const ending = await (id === undefined ? mail(claimed) : call(claimed, id)).catch(
      (error: unknown) => failed(deps, claimed, error),
    )
    deps.onSent(channel === 'email' ? 'email' : 'webhook', ending.state)
    try {
      await outbox.finish(claimed, ending, clock.now())
    } catch (error) {
      const fields = { notification_id: claimed.id, error: describeError(error) }
      log.error(fields, 'notification left to its lease: it may be delivered twice')
    }
  }

  return makeQueues(deps.config, (channels) =>
    makeWorkPool({
      max: NOTIFICATIONS_AT_ONCE_MAX,
      claim: (room) => outbox.claim(clock.now(), room, channels()),
      work,
    }),
  )
}
