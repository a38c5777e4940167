import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../kernel/clock.ts'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { COUNTED_TEXT_BYTES_MAX } from '../../kernel/limits/models.ts'
import {
  LOOP_BYTES_MAX,
  LOOP_BYTES_SURE,
  LOOP_VALUES_MAX,
  READS_OPEN_MAX,
  READ_HEAP_MB_MAX,
  READ_MS_MAX,
  READ_START_MS_MAX,
  READ_TEXT_TURN_BYTES,
  READ_THREADS,
  READ_WAIT_MS_MAX,
} from '../../kernel/limits/requests.ts'
import { programFile } from '../../kernel/program-file.ts'
import { shared } from '../../kernel/shared-bytes.ts'
import { makeThreadPool, type Done, type ThreadPool } from '../../kernel/thread-pool.ts'
import { shapeOf } from '../../protocols/json-scan.ts'
import type { MeterReport, Protocol, RequestView } from '../../protocols/protocol.ts'
import type { JsonPath } from '../http/units.ts'
import type { CountTask, PackedTexts, ProtocolTask, ReadAnswer } from './read-apart.ts'

const WORKER_URL = programFile('./read-worker', import.meta.url)

const BUSY = refuse(
  'gateway_unavailable',
  'Too many large bodies are being read right now. Try again.',
)
const LOST = refuse('gateway_unavailable', 'The body could not be read. Try again.')

const BEYOND_MEMORY = { ok: false, reason: 'busy' } as const

/** Whose body it is, and whether the digest is wanted that names a repeated request. */
export interface ReadFor {
  readonly owner: string
  readonly digest: boolean
}

/** Reads bodies that would keep the event loop busy, in threads. Nothing here rejects. */
export interface BodyReader {
  /** As `protocol.readBytes` reads it; what was not read is refused with 503. */
  view(protocol: Protocol, raw: Buffer, read: ReadFor): Promise<RequestView | Refusal>
  /** As `protocol.meterAnswer` meters it; null = it was not read. */
  meter(protocol: Protocol, body: Buffer): Promise<MeterReport | null>
  /** As `countAt` of an answer; null = there is no count, or it was not read. */
  count(body: Buffer, at: JsonPath): Promise<number | null>
  /** What is under way is not read. */
  close(): Promise<void>
}

/**
 * Whether reading `raw` would take the event loop more than a few milliseconds: by its size, or by
 * how much is in it.
 */
export function isHeavy(raw: Buffer): boolean {
  if (raw.length <= LOOP_BYTES_SURE) return false
  if (raw.length > LOOP_BYTES_MAX) return true
  const { values, nodes } = shapeOf(raw)
  return Math.max(values, nodes) > LOOP_VALUES_MAX
}

/** The strings again, a turn of the event loop for each piece of them. */
async function unpacked({ bytes, ends }: PackedTexts): Promise<string[]> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const texts: string[] = []
  let from = 0
  let turnFrom = 0
  for (const end of ends) {
    texts.push(all.toString('utf8', from, end))
    from = end
    if (from - turnFrom < READ_TEXT_TURN_BYTES) continue
    turnFrom = from
    await setImmediate()
  }
  return texts
}

export interface BodyReaderDeps {
  readonly clock: Clock
  /** The threads' program. */
  readonly workerUrl?: URL
}

const threadsOf = ({ clock, workerUrl }: BodyReaderDeps): ThreadPool<ReadAnswer> =>
  makeThreadPool<ReadAnswer>({
    clock,
    url: workerUrl ?? WORKER_URL,
    threads: READ_THREADS,
    limits: { maxOldGenerationSizeMb: READ_HEAP_MB_MAX },
    openMax: READS_OPEN_MAX,
    waitMsMax: READ_WAIT_MS_MAX,
    startMsMax: READ_START_MS_MAX,
    workMsMax: READ_MS_MAX,
  })

export function makeBodyReader(deps: BodyReaderDeps): BodyReader {
  const pool = threadsOf(deps)

  /** `owner` null = an answer: its request is paid for, and holds credits until it is read. */
  function run(
    kind: ProtocolTask['kind'],
    { path }: Protocol,
    raw: Buffer,
    { owner, digest }: { readonly owner: string | null; readonly digest: boolean },
  ): Promise<Done<ReadAnswer>> {
    const bytes = shared(raw)
    if (bytes === null) return Promise.resolve(BEYOND_MEMORY)
    const task: ProtocolTask = { kind, path, bytes, digest }
    const prepare = () => ({ message: task, transfer: [] })
    return pool.run(owner === null ? { prepare, urgent: true } : { prepare, owner })
  }

  /** The text of a body once more: seldom needed, and as large as the body. */
  async function textOf(protocol: Protocol, raw: Buffer, owner: string): Promise<string[] | null> {
    const done = await run('text', protocol, raw, { owner, digest: false })
    return done.ok && done.answer.kind === 'text' ? unpacked(done.answer.texts) : null
  }

  return {
    async view(protocol, raw, { owner, digest }) {
      const done = await run('view', protocol, raw, { owner, digest })
      if (!done.ok) return done.reason === 'busy' ? BUSY : LOST
      if (done.answer.kind !== 'view') return LOST
      const { view } = done.answer
      if (!view.ok) return view
      const isCountable = (view.inputTextBytes ?? Infinity) <= COUNTED_TEXT_BYTES_MAX
      return {
        ...view,
        inputText: () => (isCountable ? textOf(protocol, raw, owner) : Promise.resolve<null>(null)),
      }
    },
    async meter(protocol, body) {
      const done = await run('answer', protocol, body, { owner: null, digest: false })
      if (!done.ok || done.answer.kind !== 'answer') return null
      const { report, produced } = done.answer
      return { ...report, produced: () => produced }
    },
    async count(body, at) {
      const bytes = shared(body)
      if (bytes === null) return null
      const task: CountTask = { kind: 'count', at, bytes }
      const done = await pool.run({
        prepare: () => ({ message: task, transfer: [] }),
        urgent: true,
      })
      return done.ok && done.answer.kind === 'count' ? done.answer.count : null
    },
    close: () => pool.close(),
  }
}
