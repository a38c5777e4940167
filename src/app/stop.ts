import type { FastifyInstance } from 'fastify'
import { sleep, type Clock } from '../kernel/clock.ts'
import { CLOSE_IDLE_MS, SHUTDOWN_POST_MS_MAX } from '../kernel/limits/processes.ts'
import { describeError, type Log } from '../kernel/log.ts'
import type { Loops } from '../ops/loops.ts'
import type { Tokenizer } from '../pricing/tokenizer.ts'
import type { Billing } from './billing.ts'
import type { Core } from './credits.ts'
import type { ConfiguredGateway } from './gateway.ts'
import type { Notify } from './notify.ts'
import type { Prices } from './prices.ts'
import type { UsageOut } from './reporting.ts'
import type { Stores } from './stores.ts'

/** What has to end with the process. */
interface Stopping {
  readonly core: Core
  readonly billing: Billing | null
  readonly usage: UsageOut
  readonly notify: Notify
  readonly prices: Prices
  readonly stores: Stores
  readonly tokenizer: Tokenizer
  readonly loops: Loops
  readonly state: { draining: boolean }
  readonly clock: Clock
  readonly log: Log
}

/**
 * Stops listening and resolves when the last connection is gone. Clients keep a connection alive
 * after an answer that was under way, so those that fall idle later are closed as they do.
 */
async function closeServer(server: FastifyInstance, clock: Clock): Promise<void> {
  const closed = server.close().then(() => 'closed' as const)
  for (;;) {
    server.server.closeIdleConnections()
    if ((await Promise.race([closed, sleep(clock, CLOSE_IDLE_MS)])) === 'closed') return
  }
}

/**
 * Stops accepting, finishes, posts, clears and closes. Answers receipts left unposted.
 * Source: design §3 (every way out of a request ends its hold).
 */
export async function stopInOrder(
  parts: Stopping,
  server: FastifyInstance,
  gateway: ConfiguredGateway,
  deadlineMs: number,
): Promise<number> {
  const { core, log } = parts
  parts.state.draining = true
  // A client that left may have a request that goes on: both must end.
  const closed = closeServer(server, parts.clock)
  const finished = closed.then(() => gateway.deps.running.idle())
  const late = new Promise<'late'>((resolve) => {
    parts.clock.after(deadlineMs, () => {
      resolve('late')
    })
  })
  if ((await Promise.race([finished, late])) === 'late') {
    log.warn({ open: gateway.deps.running.count }, 'requests still open at the deadline are cut')
    server.server.closeAllConnections()
    await gateway.cut()
    await Promise.race([finished, sleep(parts.clock, SHUTDOWN_POST_MS_MAX)])
  }
  await core.credits.confirmed()
  const left = await core.poster.drain(SHUTDOWN_POST_MS_MAX)
  if (left === 0) await core.credits.settledAll()
  await parts.loops.stop()
  // An event that hangs at Stripe is taken over when its lease ends.
  await Promise.race([parts.billing?.idle(), sleep(parts.clock, SHUTDOWN_POST_MS_MAX)])
  await Promise.race([
    parts.usage.reporting?.reporter.idle(),
    sleep(parts.clock, SHUTDOWN_POST_MS_MAX),
  ])
  await parts.notify.sender.idle()
  await parts.prices.record().catch((error: unknown) => {
    log.warn({ error: describeError(error) }, 'price versions were not recorded')
  })
  await gateway.cut()
  await parts.tokenizer.close()
  core.credits.recovery.tell()
  await parts.stores.close()
  return left
}
