import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Stripe from 'stripe'
import { z } from 'zod'

const FILE = fileURLToPath(new URL('../../src/demo/stripe.ts', import.meta.url))
const ready = z.object({ port: z.int(), webhook_secret: z.string() })

/** The Stripe simulator as a process of its own, with the demo's prices. */
export interface StripeProcess {
  readonly url: string
  readonly webhookSecret: string
  readonly stripe: Stripe
  control(name: string, input?: object): Promise<unknown>
  stop(): Promise<void>
}

export async function startStripeProcess(): Promise<StripeProcess> {
  const child = spawn(process.execPath, [FILE, '--demo-shop'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [line] = z.tuple([z.string()]).parse(await once(createInterface(child.stdout), 'line'))
  const { port, webhook_secret: webhookSecret } = ready.parse(JSON.parse(line))
  const url = `http://127.0.0.1:${port}`
  const server = { host: '127.0.0.1', port, protocol: 'http' } as const
  return {
    url,
    webhookSecret,
    stripe: new Stripe('sk_test_x', { ...server, telemetry: false, maxNetworkRetries: 0 }),
    async control(name, input = {}) {
      const asked = { method: 'POST', body: JSON.stringify(input) }
      const answer = await fetch(`${url}/_control/${name}`, asked)
      const body: unknown = await answer.json()
      if (!answer.ok) throw new Error(`${name}: ${JSON.stringify(body)}`)
      return body
    },
    async stop() {
      const gone = once(child, 'exit')
      child.stdin.end()
      await gone
    },
  }
}
