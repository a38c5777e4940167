import { serveStripe } from './stripe/server.ts'
import { openDemoShop } from './stripe/shop.ts'

/**
 * The Stripe simulator: a process of its own that speaks enough of Stripe's API for stripe-node.
 * `--port n` (default: a free one), `--seed n`, `--at unix-seconds` (the clock stands there until
 * moved), `--key sk_test_…` (refused where it is a live one), `--demo-shop` (prices and an endpoint
 * of the demo). Prints `{"port":n,"webhook_secret":…}` when it listens and ends when its standard
 * input closes. What it can do and how to steer it: stripe/readme.md.
 */
function valueOf(name: string): string | null {
  const at = process.argv.indexOf(name)
  return at < 0 ? null : (process.argv[at + 1] ?? null)
}

function numberOf(name: string): number | null {
  const value = Number(valueOf(name) ?? Number.NaN)
  return Number.isSafeInteger(value) && value >= 0 ? value : null
}

if (/^(sk|rk)_live_/.test(valueOf('--key') ?? '')) {
  process.stderr.write('The Stripe simulator does not start beside a live key.\n')
  process.exit(1)
}
const { simulator } = await serveStripe({
  port: numberOf('--port') ?? 0,
  seed: numberOf('--seed') ?? Date.now() % 1_000_000_007,
  frozenAtS: numberOf('--at'),
  wallMs: Date.now,
})
const isShop = process.argv.includes('--demo-shop')
const ready = {
  port: Number(new URL(simulator.world.base).port),
  webhook_secret: isShop ? openDemoShop(simulator.world) : null,
}
process.stdout.write(`${JSON.stringify(ready)}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
// Who started this is gone before it heard the port.
process.stdout.on('error', () => process.exit(0))
