import { Worker, type ResourceLimits, type Transferable } from 'node:worker_threads'
import type { Clock } from './clock.ts'

/** What a thread's program says: once that it takes work now, then one answer for each task. */
export type ThreadMessage<Answer> =
  { readonly kind: 'ready' } | { readonly kind: 'answer'; readonly answer: Answer }

/** What is sent to a thread, and what of it moves there instead of being copied. */
export interface ThreadTask {
  readonly message: unknown
  readonly transfer: readonly Transferable[]
}

/** Makes a task when its turn has come. One that cannot be made is not done. */
export type Prepare = () => ThreadTask | Promise<ThreadTask>

export interface ThreadOptions {
  readonly clock: Clock
  /** The thread's program. */
  readonly url: URL
  /** Past these it is replaced. Its start is no part of its work: a busy machine takes seconds. */
  readonly startMsMax: number
  readonly workMsMax: number
  /** Past them it ends and is replaced. Absent = the runtime's own. */
  readonly limits?: ResourceLimits
}

/** Does one task at a time. */
export interface Thread<Answer> {
  /** null = not done. Never rejects. Not to be called before the last call has ended. */
  run(prepare: Prepare): Promise<Answer | null>
  /** What is under way is not done. */
  stop(): Promise<void>
}

interface Listener<Answer> {
  ready(): void
  answer(answer: Answer | null): void
}

function startWorker<Answer>(
  { url, limits }: ThreadOptions,
  on: { heard: (message: ThreadMessage<Answer>) => void; gone: () => void },
): Worker {
  const worker = new Worker(url, {
    execArgv: [],
    env: {},
    ...(limits === undefined ? {} : { resourceLimits: limits }),
  })
  worker.unref()
  worker.on('message', on.heard)
  worker.on('error', on.gone)
  worker.on('exit', on.gone)
  return worker
}

/** Sends a task: at once, where nothing has to be waited for. */
async function hand(worker: Worker, prepare: Prepare): Promise<void> {
  const prepared = prepare()
  const { message, transfer } = prepared instanceof Promise ? await prepared : prepared
  worker.postMessage(message, transfer)
}

/** null = a machine without memory or processes to spare starts no thread. */
function startOrNull(start: () => Worker): Worker | null {
  try {
    return start()
  } catch {
    return null
  }
}

const nothing = (): undefined => undefined
const NOBODY = { ready: nothing, answer: nothing }

/**
 * A thread that starts with its first task and is replaced when it dies, or takes longer than it
 * may.
 */
export function makeThread<Answer>(options: ThreadOptions): Thread<Answer> {
  const { clock, startMsMax, workMsMax } = options
  let worker: Worker | null = null
  let isReady = false
  let listener: Listener<Answer> = NOBODY

  function drop(failed: Worker): void {
    if (worker !== failed) return
    worker = null
    isReady = false
    listener.answer(null)
    void failed.terminate()
  }

  function start(): Worker {
    const started = startWorker<Answer>(options, {
      gone: () => {
        drop(started)
      },
      heard(message) {
        if (worker !== started) return
        if (message.kind === 'answer') listener.answer(message.answer)
        else {
          isReady = true
          listener.ready()
        }
      },
    })
    return started
  }

  return {
    run(prepare) {
      const current = (worker ??= startOrNull(start))
      if (current === null) return Promise.resolve(null)
      return new Promise((resolve) => {
        const within = (ms: number): (() => void) =>
          clock.after(ms, () => {
            drop(current)
          })
        let cancel = isReady ? nothing : within(startMsMax)
        const send = (): void => {
          cancel()
          cancel = within(workMsMax)
          hand(current, prepare).catch(() => {
            if (worker === current) answer(null)
          })
        }
        const answer = (given: Answer | null): void => {
          cancel()
          listener = NOBODY
          resolve(given)
        }
        listener = { ready: send, answer }
        if (isReady) send()
      })
    },
    stop: async () => worker?.terminate().then(nothing),
  }
}
