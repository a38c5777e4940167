import type { IncomingMessage } from 'node:http'
import { refuse, type Refusal } from '../../kernel/errors.ts'
import { FORM_MEMORY_BYTES, FORM_READ_BYTES } from '../../kernel/limits/forms.ts'
import { describeError, type Log } from '../../kernel/log.ts'
import type { FormScan } from '../../protocols/form-scan.ts'
import type { Form, FormPart } from '../../protocols/form.ts'
import { readOn } from '../read-on.ts'
import { NoRoomForForms, type FormStore } from './store.ts'

/** A form on its way: read and kept as it comes, and sent on from where it is kept. */
export interface Upload {
  /** Length of the whole body; null = not told, and it is not over. */
  readonly bytes: number | null
  readonly isOver: boolean
  /** Resolves when FORM_MEMORY_BYTES have come, or it is over. */
  readonly begun: Promise<void>
  /** The form once it is whole, or why it is none. Never rejects. */
  readonly over: Promise<Form | Refusal>
  /** Bytes that have come. */
  readonly received: number
  /** Its parts so far. */
  soFar(): Form
  /** A copy of a part's bytes, all of which have come. */
  bytesOf(part: FormPart): Promise<Uint8Array<ArrayBuffer>>
  /**
   * The body from its beginning, as it comes, save its end: that comes when `gate` lets it, which
   * is asked once the form is whole. Fails where it does not, or there is no form, and tells why.
   */
  send(
    gate: () => Promise<Refusal | null>,
    stopped: (refusal: Refusal) => void,
  ): AsyncGenerator<Buffer>
  /** It is needed no more. What still comes is read and forgotten: an answer is to be sent. */
  close(): void
}

class Stopped extends Error {
  override readonly name = 'Stopped'
}

export interface UploadParts {
  readonly request: IncomingMessage
  readonly scan: FormScan
  readonly store: FormStore
  readonly bytesMax: number
  readonly log: Log
  /** It is too long to be read to its end: the connection cannot be used again. */
  readonly cutOff: () => void
}

const BROKEN = refuse('request_timeout', 'The body ended before its declared length.')
const ENDED = refuse('internal_error', 'The request has ended.')
const FULL = refuse('gateway_unavailable', 'Too many forms are under way. Try again.')
const SHARE_FULL = refuse(
  'rate_limit_exceeded',
  'Too many forms of this account are under way. Try again when some have ended.',
)
const UNKEPT = refuse('gateway_unavailable', 'The form cannot be kept right now. Try again.')

export const tooLarge = (bytesMax: number): Refusal =>
  refuse('request_too_large', `Forms may have up to ${bytesMax} bytes here.`)

/** Length that a request declares; null = it does not. */
export function declaredBytes({ headers }: Pick<IncomingMessage, 'headers'>): number | null {
  const { 'content-length': length, 'transfer-encoding': coding } = headers
  return length === undefined || coding !== undefined ? null : Number(length)
}

/** Wakes who waits for the next piece of news. */
function makeNews() {
  let next = Promise.withResolvers<undefined>()
  return {
    next: (): Promise<undefined> => next.promise,
    tell(): void {
      next.resolve(undefined)
      next = Promise.withResolvers()
    },
  }
}

/** How far an upload has come; it is concluded once. */
class Progress {
  end: Form | Refusal | null = null
  received = 0
  readonly begun = Promise.withResolvers<undefined>()
  readonly over = Promise.withResolvers<Form | Refusal>()
  readonly news = makeNews()

  conclude(end: Form | Refusal): void {
    if (this.end !== null) return
    this.end = end
    this.over.resolve(end)
    this.begun.resolve(undefined)
    this.news.tell()
  }

  /** Takes one chunk. Never rejects. */
  async take({ scan, store, log }: UploadParts, chunk: Buffer): Promise<void> {
    const refusal = scan.push(chunk)
    if (refusal !== null) {
      this.conclude(refusal)
      return
    }
    try {
      store.countRead(scan.keptBytes)
      await store.append(chunk)
    } catch (error) {
      if (this.end === null) this.conclude(unkept(log, error))
    }
    if (store.bytes > FORM_MEMORY_BYTES) this.begun.resolve(undefined)
    this.news.tell()
  }
}

/** Begins to read a form. The request is paused where the store takes its time. */
export function receiveForm(parts: UploadParts): Upload {
  const { request, scan, store } = parts
  const progress = new Progress()
  read(parts, progress)
    .then((refusal) => {
      progress.conclude(refusal ?? scan.end())
    })
    .catch(() => {
      progress.conclude(BROKEN)
    })
  return {
    get bytes() {
      return progress.end?.ok === true ? store.bytes : declaredBytes(request)
    },
    get isOver() {
      return progress.end !== null
    },
    begun: progress.begun.promise,
    over: progress.over.promise,
    get received() {
      return progress.received
    },
    soFar: () => scan.soFar(),
    bytesOf: (part) => bytesOf(store, part),
    send: (gate, stopped) => send({ store, progress, endBytes: scan.endBytes, gate, stopped }),
    close() {
      progress.conclude(ENDED)
      scan.forget()
      store.close().catch((error: unknown) => {
        parts.log.warn({ error: describeError(error) }, 'the file of a form was not closed')
      })
    },
  }
}

function unkept(log: Log, error: unknown): Refusal {
  if (error instanceof NoRoomForForms) return error.of === 'own' ? SHARE_FULL : FULL
  log.error({ error: describeError(error) }, 'a form could not be kept')
  return UNKEPT
}

/**
 * Reads a request to its end: its connection stays good, whatever became of the form. null = all of
 * it was read.
 */
async function read(parts: UploadParts, progress: Progress): Promise<Refusal | null> {
  const { request, bytesMax, cutOff } = parts
  const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
  for await (const chunk of chunks) {
    progress.received += chunk.length
    if (progress.received > bytesMax) {
      cutOff()
      readOn(request)
      return tooLarge(bytesMax)
    }
    if (progress.end === null) await progress.take(parts, chunk)
  }
  return null
}

async function bytesOf(
  store: FormStore,
  part: Pick<FormPart, 'at' | 'bytes'>,
): Promise<Uint8Array<ArrayBuffer>> {
  const copy = new Uint8Array(part.bytes)
  for (let done = 0; done < part.bytes;) {
    const bytesMax = Math.min(FORM_READ_BYTES, part.bytes - done)
    const chunk = await store.read(part.at + done, bytesMax)
    copy.set(chunk, done)
    done += chunk.length
  }
  return copy
}

interface Way {
  readonly store: FormStore
  readonly progress: Progress
  /** What is kept back until the gate opens. */
  readonly endBytes: number
  readonly gate: () => Promise<Refusal | null>
  readonly stopped: (refusal: Refusal) => void
}

async function* send(way: Way): AsyncGenerator<Buffer> {
  const { store, progress, endBytes, gate } = way
  const stop = (refusal: Refusal): never => {
    way.stopped(refusal)
    throw new Stopped(refusal.message)
  }
  let at = 0
  let mayEnd = false
  for (;;) {
    const { end } = progress
    if (end?.ok === false) stop(end)
    if (end !== null && !mayEnd) {
      const refusal = await gate()
      if (refusal !== null) stop(refusal)
      mayEnd = true
    }
    const until = mayEnd ? store.bytes : store.bytes - endBytes
    if (at < until) {
      const chunk = await store.read(at, Math.min(FORM_READ_BYTES, until - at))
      at += chunk.length
      yield chunk
    } else if (mayEnd) return
    else await progress.news.next()
  }
}
