import { Worker } from 'node:worker_threads'
import type { Clock } from '../../kernel/clock.ts'
import { AUDIO_QUEUE_MAX, AUDIO_READ_MS_MAX } from '../../kernel/limits-media.ts'
import type { SoundReader, SoundReading } from '../../protocols/protocol.ts'
import type { SoundAnswer, SoundRequest } from './sound-worker.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const WORKER_URL = new URL(`./sound-worker.${extension}`, import.meta.url)

const NOT_READ: SoundReading = { kind: 'not_read' }

export interface ClosableSoundReader extends SoundReader {
  close(): Promise<void>
}

/**
 * Reads how long a sound file is, in a thread of its own, one file after the other: a file made for
 * it can keep a parser busy for minutes. A thread that takes longer than AUDIO_READ_MS_MAX is
 * ended; past AUDIO_QUEUE_MAX waiting files nothing is read. Neither says anything of the file
 * that waits.
 */
export function makeSoundReader(deps: { readonly clock: Clock }): ClosableSoundReader {
  let worker: Worker | null = null
  let answered: (reading: SoundReading) => void = () => undefined
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0

  function drop(failed: Worker): void {
    if (worker !== failed) return
    worker = null
    answered(NOT_READ)
    void failed.terminate()
  }

  function start(): Worker {
    const started = new Worker(WORKER_URL, { execArgv: [], env: {} })
    started.unref()
    started.on('message', ({ reading }: SoundAnswer) => {
      if (worker === started) answered(reading)
    })
    const gone = (): void => {
      drop(started)
    }
    started.on('error', gone)
    started.on('exit', gone)
    return started
  }

  async function read(file: Uint8Array): Promise<SoundReading> {
    const current = (worker ??= start())
    const answer = new Promise<SoundReading>((resolve) => {
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
      if (waiting >= AUDIO_QUEUE_MAX) return Promise.resolve(NOT_READ)
      waiting += 1
      const mine = last
        .then(() => read(file))
        .finally(() => {
          waiting -= 1
        })
      last = mine.catch(() => NOT_READ)
      return mine.catch(() => NOT_READ)
    },
    async close() {
      await worker?.terminate()
    },
  }
}
