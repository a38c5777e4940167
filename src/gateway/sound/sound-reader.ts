import { Worker } from 'node:worker_threads'
import type { Clock } from '../../kernel/clock.ts'
import { AUDIO_QUEUE_MAX, AUDIO_READ_MS_MAX } from '../../kernel/limits-media.ts'
import type { SoundReader } from '../../protocols/protocol.ts'
import type { SoundAnswer, SoundRequest } from './sound-worker.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const WORKER_URL = new URL(`./sound-worker.${extension}`, import.meta.url)

export interface ClosableSoundReader extends SoundReader {
  close(): Promise<void>
}

/**
 * Reads how long a sound file is, in a thread of its own, one file after the other: a file made for
 * it can keep a parser busy for minutes. A thread that takes longer than AUDIO_READ_MS_MAX is
 * ended; past AUDIO_QUEUE_MAX waiting files nothing is read. Both mean null.
 */
export function makeSoundReader(deps: { readonly clock: Clock }): ClosableSoundReader {
  let worker: Worker | null = null
  let answered: (seconds: number | null) => void = () => undefined
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function drop(failed: Worker): void {
    if (worker !== failed) return
    worker = null
    answered(null)
    void failed.terminate()
  }

  function start(): Worker {
    const started = new Worker(WORKER_URL, { execArgv: [], env: {} })
    started.unref()
    started.on('message', ({ seconds }: SoundAnswer) => {
      if (worker === started) answered(seconds)
    })
    const gone = (): void => {
      drop(started)
    }
    started.on('error', gone)
    started.on('exit', gone)
    return started
  }

  async function read(file: Uint8Array): Promise<number | null> {
    const current = (worker ??= start())
    const answer = new Promise<number | null>((resolve) => {
      answered = resolve
    })
    const cancel = deps.clock.after(AUDIO_READ_MS_MAX, () => {
      drop(current)
    })
    // A copy: the body itself is still to be sent.
    const copy = new Uint8Array(file)
    current.postMessage({ file: copy } satisfies SoundRequest, [copy.buffer])
    return answer.finally(cancel)
  }

  return {
    seconds(file) {
      if (waiting >= AUDIO_QUEUE_MAX) return Promise.resolve(null)
      waiting += 1
      const mine = last
        .then(() => read(file))
        .finally(() => {
          waiting -= 1
        })
      last = mine.catch(() => null)
      return mine.catch(() => null)
    },
    async close() {
      await worker?.terminate()
    },
  }
}
