import type { ReceiptDraft } from '../../src/credits/holds.ts'
import { sleep } from '../../src/kernel/clock.ts'
import { micros } from '../../src/kernel/money.ts'
import { LEASE_MS, type SimAccount, type SimGateway, type Witness, type World } from './world.ts'

/** What a request meant to do and how far it came, to be judged afterwards. */
export interface Sent {
  readonly holdId: string
  readonly accountId: string
  readonly keyId: string
  readonly gateway: SimGateway
  readonly actual: number
  readonly want: number
  readonly least: number
  /** Metered so far, and the part of it that the credit state was told. */
  progress: number
  told: number
  /** The credit state took its charge, whoever heard of that. */
  taken: boolean
  /** It ended by its own word: charged, or free of charge. */
  fate: 'open' | 'refused' | 'released' | 'settling' | 'completed'
}

export const isOver = ({ fate, gateway }: Sent): boolean =>
  !gateway.actor.alive || fate === 'refused' || fate === 'released' || fate === 'completed'

/** Sends a request through a gateway, on the simulated clock. */
export function send(world: World, gateway: SimGateway, account: SimAccount): Sent {
  const { scheduler } = world
  const want = scheduler.between(10, 60)
  const sent: Sent = {
    holdId: world.ids.uuid(),
    accountId: account.id,
    keyId: account.keyIds[scheduler.below(account.keyIds.length)] ?? '',
    gateway,
    want,
    least: scheduler.chance(0.5) ? want : scheduler.between(1, want),
    actual: scheduler.between(3, 70),
    progress: 0,
    told: 0,
    taken: false,
    fate: 'open',
  }
  go(world, sent).catch((error: unknown) => {
    scheduler.log.push(`!!! request ${sent.holdId} threw ${String(error)}`)
    throw error
  })
  return sent
}

/** Notes what the credit state was told of requests: that must survive their gateway. */
export function listen(requests: readonly Sent[]): Witness {
  return (name, input, reply) => {
    if (!('holdId' in input) || !isOk(reply)) return
    const sent = requests.find(({ holdId }) => holdId === input.holdId)
    if (sent === undefined) return
    if (name === 'settle' && 'rev' in input && input.rev === 2) sent.taken = true
    if ('progressMicros' in input) sent.told = Math.max(sent.told, input.progressMicros)
  }
}

const isOk = (reply: unknown): boolean =>
  typeof reply === 'object' && reply !== null && 'kind' in reply && reply.kind === 'ok'

const draftOf = (world: World, { holdId, accountId, keyId }: Sent): ReceiptDraft => ({
  holdId,
  accountId,
  keyId,
  startedAtMs: world.scheduler.nowMs,
  protocol: 'openai-chat',
  endpoint: 'chat/completions',
  upstream: 'sim',
  model: 'm',
  stream: false,
  estimated: false,
  usage: { output_tokens: 1 },
  providerCostPicoUsd: '1',
  priceVersion: 'sim',
  httpStatus: 200,
  firstByteMs: null,
  durationMs: null,
})

async function go(world: World, sent: Sent): Promise<void> {
  const { scheduler } = world
  const { credits, clock } = sent.gateway
  const draft = draftOf(world, sent)
  const hold = await credits.holds.open({
    draft,
    wantMicros: micros(sent.want),
    leastMicros: micros(sent.least),
    tokens: 1,
    keySeq: 0,
  })
  if (!hold.ok) {
    sent.fate = 'refused'
    return
  }
  if (!(await hold.ensureFresh()) || scheduler.chance(0.2)) {
    await hold.release()
    sent.fate = 'released'
    return
  }
  hold.watch(() => ({ micros: micros(Math.max(1, sent.progress)), draft }))
  for (let part = scheduler.below(4); part > 0; part--) {
    await sleep(clock, scheduler.between(1, LEASE_MS))
    sent.progress = Math.min(sent.actual, sent.progress + scheduler.between(1, 20))
  }
  sent.fate = 'settling'
  const settled = await hold.settle({ draft, micros: micros(sent.actual), tokens: 1, answer: null })
  await settled.posted
  sent.fate = 'completed'
}
