import { serveStripe } from './stripe/server.ts'

/**
 * The Stripe simulator: a process of its own that speaks enough of Stripe's API for stripe-node.
 * `--port n` (default: a free one), `--seed n`, `--at unix-seconds` (the clock stands there until
 * moved), `--key sk_test_…` (refused where it is a live one). Prints `{"port":n}` when it listens
 * and ends when its standard input closes. What it can do and how to steer it: stripe/README.md.
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
process.stdout.write(`${JSON.stringify({ port: Number(new URL(simulator.world.base).port) })}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
