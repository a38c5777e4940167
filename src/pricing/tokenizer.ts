import { Worker } from 'node:worker_threads'
import type { Clock } from '../kernel/clock.ts'
import {
  TOKENIZER_QUEUE_CHARS_MAX,
  TOKENIZER_QUEUE_MAX,
  TOKENIZER_SLICE_CHARS_MAX,
  TOKENIZER_SLICE_MS_MAX,
  TOKENIZER_START_MS_MAX,
  TOKENIZER_WAIT_MS_MAX,
} from '../kernel/limits/models.ts'
import { programFile } from '../kernel/program-file.ts'
import { encodingFor } from './encodings.ts'
import { runEnd } from './token-runs.ts'
import type { SliceAnswer, SliceRequest } from './tokenizer-worker.ts'

/** Counts tokens in a thread of its own, never on the event loop. Source: design §2. */
export interface Tokenizer {
  /**
   * Tokens of all texts together in the vocabulary of `model`, or null where it took longer than
   * the wait allows, too much is waiting, or the tokenizer is closed: then use `estimateTokens`.
   * Never rejects.
   */
  count(texts: readonly string[], model: string): Promise<number | null>
  /** Ends the thread; counts that wait answer null. */
  close(): Promise<void>
}

export interface TokenizerOptions {
  readonly clock: Clock
  /** Longest a count may take, its waiting included. Default TOKENIZER_WAIT_MS_MAX. */
  readonly waitMsMax?: number
  /** The same while the thread starts. Default TOKENIZER_START_MS_MAX. */
  readonly startMsMax?: number
  /** Longest one slice may take before its thread is replaced. */
  readonly sliceMsMax?: number
  /** The thread's program. */
  readonly workerUrl?: URL
}

interface Job {
  readonly texts: readonly string[]
  readonly model: string
  readonly chars: number
  textIndex: number
  from: number
  tokens: number
  done: boolean
  readonly settle: (tokens: number | null) => void
}

const WORKER_URL = programFile('./tokenizer-worker', import.meta.url)

/** Takes the next slice off a job; null = all of it was taken. Ends at a run's end. */
function nextSlice(job: Job): string | null {
  for (;;) {
    const text = job.texts[job.textIndex]
    if (text === undefined) return null
    if (job.from < text.length) {
      const to = runEnd(text, job.from, TOKENIZER_SLICE_CHARS_MAX)
      const slice = text.slice(job.from, to)
      job.from = to
      return slice
    }
    job.textIndex += 1
    job.from = 0
  }
}

/** One thread that is replaced when it is stuck or dies. At most one slice is with it. */
function makeThread(url: URL, clock: Clock, sliceMsMax: number) {
  let worker: Worker | null = null
  let hasAnswered = false
  let awaited: { id: number; answer: (tokens: number | null) => void } | null = null
  let lastId = 0

  function answer(id: number, tokens: number | null): void {
    if (awaited?.id !== id) return
    const { answer: give } = awaited
    awaited = null
    give(tokens)
  }

  function drop(failed: Worker): Promise<number> {
    if (worker === failed) {
      worker = null
      hasAnswered = false
      if (awaited !== null) answer(awaited.id, null)
    }
    return failed.terminate()
  }

  function start(): Worker {
    const started = new Worker(url, { execArgv: [], env: {} })
    started.unref()
    started.on('message', ({ id, tokens }: SliceAnswer) => {
      if (worker === started) hasAnswered = true
      answer(id, tokens)
    })
    const gone = (): void => {
      void drop(started)
    }
    started.on('error', gone)
    started.on('exit', gone)
    return started
  }

  return {
    /** Whether it runs and knows a vocabulary: what it is slow at then is the text. */
    isWarm: () => hasAnswered,
    /** Tokens of one slice; null = the thread failed or was too slow, and is replaced. */
    async count(slice: Omit<SliceRequest, 'id'>): Promise<number | null> {
      const current = (worker ??= start())
      const id = ++lastId
      const result = new Promise<number | null>((resolve) => {
        awaited = { id, answer: resolve }
      })
      const cancel = clock.after(sliceMsMax, () => {
        if (awaited?.id === id) void drop(current)
      })
      current.postMessage({ ...slice, id } satisfies SliceRequest)
      const tokens = await result
      cancel()
      return tokens
    },
    stop: async (): Promise<void> => {
      if (worker !== null) await drop(worker)
    },
  }
}

/** Jobs that wait for their next turn, and how much text all unfinished ones hold. */
function makeQueue(clock: Clock) {
  const waiting: Job[] = []
  let chars = 0

  function finish(job: Job, tokens: number | null): void {
    if (job.done) return
    job.done = true
    chars -= job.chars
    const at = waiting.indexOf(job)
    if (at >= 0) waiting.splice(at, 1)
    job.settle(tokens)
  }

  return {
    finish,
    next: () => waiting.shift(),
    again: (job: Job): void => {
      waiting.push(job)
    },
    isFull: (size: number) =>
      waiting.length >= TOKENIZER_QUEUE_MAX || chars + size > TOKENIZER_QUEUE_CHARS_MAX,
    add(job: Pick<Job, 'texts' | 'model' | 'chars'>, waitMsMax: number): Promise<number | null> {
      return new Promise((resolve) => {
        const cancel = clock.after(waitMsMax, () => {
          finish(added, null)
        })
        const settle = (tokens: number | null): void => {
          cancel()
          resolve(tokens)
        }
        const start = { textIndex: 0, from: 0, tokens: 0, done: false }
        const added: Job = { ...job, ...start, settle }
        waiting.push(added)
        chars += job.chars
      })
    },
    abandon(): void {
      for (const job of [...waiting]) finish(job, null)
    },
  }
}

/**
 * Makes a tokenizer; its thread starts with the first count. Counts take turns slice by slice, so
 * that a long text does not hold up short ones.
 */
export function makeTokenizer(options: TokenizerOptions): Tokenizer {
  const { clock, waitMsMax = TOKENIZER_WAIT_MS_MAX, sliceMsMax = TOKENIZER_SLICE_MS_MAX } = options
  const { startMsMax = TOKENIZER_START_MS_MAX } = options
  const thread = makeThread(options.workerUrl ?? WORKER_URL, clock, sliceMsMax)
  const queue = makeQueue(clock)
  let running: Promise<void> | null = null
  let closed = false

  async function turn(job: Job): Promise<void> {
    const text = nextSlice(job)
    if (text === null) {
      queue.finish(job, job.tokens)
      return
    }
    const tokens = await thread.count({ text, encoding: encodingFor(job.model) })
    if (job.done) return
    if (tokens === null) queue.finish(job, null)
    else {
      job.tokens += tokens
      queue.again(job)
    }
  }

  async function run(): Promise<void> {
    for (let job = queue.next(); job !== undefined; job = queue.next()) await turn(job)
    running = null
  }

  return {
    count(texts, model) {
      const size = texts.reduce((sum, text) => sum + text.length, 0)
      if (size === 0) return Promise.resolve(0)
      if (closed || queue.isFull(size)) return Promise.resolve(null)
      const waitMs = thread.isWarm() ? waitMsMax : Math.max(waitMsMax, startMsMax)
      const result = queue.add({ texts, model, chars: size }, waitMs)
      running ??= run()
      return result
    },
    async close() {
      closed = true
      queue.abandon()
      await thread.stop()
      await running
    },
  }
}
