import type { Clock } from '../../kernel/clock.ts'
import { AUDIO_QUEUE_MAX, AUDIO_THREADS, AUDIO_WAIT_MS_MAX } from '../../kernel/limits-media.ts'
import type { SoundReader, SoundReading } from '../../protocols/protocol.ts'
import { makeSoundThread, NOT_READ, type SoundThread } from './sound-thread.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const WORKER_URL = new URL(`./sound-worker.${extension}`, import.meta.url)

export interface ClosableSoundReader extends SoundReader {
  close(): Promise<void>
}

export interface SoundReaderDeps {
  readonly clock: Clock
  /** The threads' program. */
  readonly workerUrl?: URL
}

interface Waiting {
  readonly file: Uint8Array
  /** Ends its waiting. */
  readonly take: () => void
  readonly settle: (reading: SoundReading) => void
}

/**
 * Reads how long a sound file is, in AUDIO_THREADS threads: a file made for it can keep a parser
 * busy for minutes, and then others go on beside it until it is given up. A file that waits for
 * longer than AUDIO_WAIT_MS_MAX, or comes while AUDIO_QUEUE_MAX are open, is not read, which says
 * nothing of it.
 */
export function makeSoundReader({ clock, workerUrl }: SoundReaderDeps): ClosableSoundReader {
  const idle = Array.from({ length: AUDIO_THREADS }, () =>
    makeSoundThread(clock, workerUrl ?? WORKER_URL),
  )
  const threads = [...idle]
  let waiting: Waiting[] = []
  let open = 0
  let isClosed = false

  async function work(thread: SoundThread, { file, settle }: Waiting): Promise<void> {
    settle(await thread.read(file))
    idle.unshift(thread) // the one that has started already
    takeNext()
  }

  function takeNext(): void {
    const next = idle.length === 0 ? undefined : waiting.shift()
    const thread = next === undefined ? undefined : idle.shift()
    if (next === undefined || thread === undefined) return
    next.take()
    void work(thread, next)
  }

  return {
    seconds(file) {
      if (isClosed || open >= AUDIO_QUEUE_MAX) return Promise.resolve(NOT_READ)
      open += 1
      return new Promise((resolve) => {
        const settle = (reading: SoundReading): void => {
          open -= 1
          resolve(reading)
        }
        const cancel = clock.after(AUDIO_WAIT_MS_MAX, () => {
          waiting = waiting.filter((each) => each !== mine)
          settle(NOT_READ)
        })
        const mine: Waiting = { file, take: cancel, settle }
        waiting.push(mine)
        takeNext()
      })
    },
    async close() {
      isClosed = true
      for (const { take, settle } of waiting.splice(0)) {
        take()
        settle(NOT_READ)
      }
      await Promise.all(threads.map((thread) => thread.stop()))
    },
  }
}
