import { setTimeout as delay } from 'node:timers/promises'
import type { Customer } from '../../support/admin.ts'
import type { Gateway } from '../../support/gateway.ts'
import { until } from '../../support/until.ts'
import { costOf, JSON_MODEL, jobBody, STREAM_MODEL } from './jobs.ts'

/** What a client knows of its request in the end. */
export interface Outcome {
  /** complete: it has the whole answer. refused: an error came instead. broken: neither. */
  readonly end: 'complete' | 'refused' | 'broken'
  readonly requestId: string | null
  readonly status: number
  /** What it must have cost where it is complete, micros. */
  readonly micros: number
}

let jobs = 0

const isWhole = (stream: boolean, text: string): boolean =>
  stream ? text.endsWith('data: [DONE]\n\n') : text.endsWith('}')

/** A request under way. */
export interface Job {
  readonly number: number
  /** Known with the answer's headers; rejects where none came. */
  readonly requestId: Promise<string>
  /** Never rejects. */
  readonly ended: Promise<Outcome>
}

export function startJob(
  gateway: Gateway,
  apiKey: string,
  model: string,
  headers: Readonly<Record<string, string>> = {},
  signal: AbortSignal | null = null,
): Job {
  jobs += 1
  const number = jobs
  const asked = fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...headers },
    body: jobBody(model, number),
    signal,
  })
  const requestId = asked.then((response) => {
    const id = response.headers.get('x-farebox-request-id')
    if (id === null) throw new Error('no x-farebox-request-id')
    return id
  })
  requestId.catch(() => undefined) // for those who ask
  return { number, requestId, ended: readOutcome(asked, costOf(number)) }
}

async function readOutcome(asked: Promise<Response>, micros: number): Promise<Outcome> {
  let requestId: string | null = null
  let status = 0
  try {
    const response = await asked
    requestId = response.headers.get('x-farebox-request-id')
    status = response.status
    const text = await response.text()
    if (!response.ok) return { end: 'refused', requestId, status, micros: 0 }
    const stream = response.headers.get('content-type')?.startsWith('text/event-stream') === true
    return { end: isWhole(stream, text) ? 'complete' : 'broken', requestId, status, micros }
  } catch {
    return { end: 'broken', requestId, status, micros }
  }
}

export const runJob = (...args: Parameters<typeof startJob>): Promise<Outcome> =>
  startJob(...args).ended

export interface Load {
  readonly outcomes: readonly Outcome[]
  /** Resolves when so many more answers are complete. */
  more(count: number): Promise<void>
  /** No new requests; resolves when those under way have ended. */
  stop(): Promise<readonly Outcome[]>
}

export interface LoadOptions {
  /** Those to which requests go; may change while the load runs. */
  readonly gateways: readonly Gateway[]
  readonly customers: readonly Customer[]
  /** Requests at once. Half of them are streams. */
  readonly lanes: number
}

/** A client that was refused tries again after this. */
const BACKOFF_MS = 20

export function startLoad({ gateways, customers, lanes }: LoadOptions): Load {
  const outcomes: Outcome[] = []
  const state = { stopped: false }
  const complete = () => outcomes.filter(({ end }) => end === 'complete').length
  async function lane(index: number): Promise<void> {
    for (let turn = index; !state.stopped; turn += 1) {
      const gateway = gateways[turn % gateways.length]
      const customer = customers[index % customers.length]
      if (gateway === undefined || customer === undefined) throw new Error('nobody to ask')
      const model = (index + turn) % 2 === 0 ? JSON_MODEL : STREAM_MODEL
      const outcome = await runJob(gateway, customer.apiKey, model)
      outcomes.push(outcome)
      if (outcome.end !== 'complete') await delay(BACKOFF_MS)
    }
  }
  const running = Array.from({ length: lanes }, (_, index) => lane(index))
  return {
    outcomes,
    async more(count) {
      const goal = complete() + count
      await until(() => complete() >= goal)
    },
    async stop() {
      state.stopped = true
      await Promise.all(running)
      return outcomes
    },
  }
}
