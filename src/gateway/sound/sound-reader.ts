import type { Clock } from '../../kernel/clock.ts'
import {
  AUDIO_QUEUE_MAX,
  AUDIO_READ_MS_MAX,
  AUDIO_START_MS_MAX,
  AUDIO_THREADS,
  AUDIO_WAIT_MS_MAX,
} from '../../kernel/limits/forms.ts'
import { programFile } from '../../kernel/program-file.ts'
import { makeThreadPool } from '../../kernel/thread-pool.ts'
import type { ThreadTask } from '../../kernel/thread.ts'
import type { SoundReader, SoundReading } from '../../protocols/protocol.ts'
import type { SoundRequest } from './sound-worker.ts'

const WORKER_URL = programFile('./sound-worker', import.meta.url)
const NOT_READ: SoundReading = { kind: 'not_read' }

export interface ClosableSoundReader extends SoundReader {
  close(): Promise<void>
}

export interface SoundReaderDeps {
  readonly clock: Clock
  /** The threads' program. */
  readonly workerUrl?: URL
}

/** Of a copy that the thread takes over: the body itself is still to be sent. */
const taskOf = (copy: Uint8Array<ArrayBuffer>): ThreadTask => ({
  message: { file: copy } satisfies SoundRequest,
  transfer: [copy.buffer],
})

/**
 * Reads how long a sound file is, in AUDIO_THREADS threads: a file made for it can keep a parser
 * busy for minutes, and then others go on beside it until it is given up. A file that waits for
 * longer than AUDIO_WAIT_MS_MAX, or comes while its owner has its share of AUDIO_QUEUE_MAX, is not
 * read, which says nothing of it.
 */
export function makeSoundReader({ clock, workerUrl }: SoundReaderDeps): ClosableSoundReader {
  const pool = makeThreadPool<SoundReading>({
    clock,
    url: workerUrl ?? WORKER_URL,
    threads: AUDIO_THREADS,
    openMax: AUDIO_QUEUE_MAX,
    waitMsMax: AUDIO_WAIT_MS_MAX,
    startMsMax: AUDIO_START_MS_MAX,
    workMsMax: AUDIO_READ_MS_MAX,
  })
  return {
    async seconds(file, owner) {
      const done = await pool.run({
        owner,
        prepare: () =>
          file instanceof Uint8Array ? taskOf(new Uint8Array(file)) : file().then(taskOf),
      })
      return done.ok ? done.answer : NOT_READ
    },
    close: () => pool.close(),
  }
}
