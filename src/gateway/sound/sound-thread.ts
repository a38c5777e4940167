import { Worker } from 'node:worker_threads'
import type { Clock } from '../../kernel/clock.ts'
import { AUDIO_READ_MS_MAX, AUDIO_START_MS_MAX } from '../../kernel/limits-media.ts'
import type { SoundReading } from '../../protocols/protocol.ts'
import type { SoundMessage, SoundRequest } from './sound-worker.ts'

export const NOT_READ: SoundReading = { kind: 'not_read' }

/** Reads one file at a time. */
export interface SoundThread {
  /** Never rejects. Not to be called before the last call has ended. */
  read(file: Uint8Array): Promise<SoundReading>
  /** What is being read is not read. */
  stop(): Promise<void>
}

interface Listener {
  ready(): void
  answer(reading: SoundReading): void
}

function startWorker(
  url: URL,
  on: { heard: (message: SoundMessage) => void; gone: () => void },
): Worker {
  const worker = new Worker(url, { execArgv: [], env: {} })
  worker.unref()
  worker.on('message', on.heard)
  worker.on('error', on.gone)
  worker.on('exit', on.gone)
  return worker
}

const NOBODY: Listener = { ready: () => undefined, answer: () => undefined }

/**
 * A thread that starts with its first file and is replaced when it dies, or has had a file for
 * longer than AUDIO_READ_MS_MAX. Its start is no part of that: a busy machine takes seconds for it.
 */
export function makeSoundThread(clock: Clock, url: URL): SoundThread {
  let worker: Worker | null = null
  let isReady = false
  let listener = NOBODY

  function drop(failed: Worker): void {
    if (worker !== failed) return
    worker = null
    isReady = false
    listener.answer(NOT_READ)
    void failed.terminate()
  }

  function start(): Worker {
    const started = startWorker(url, {
      gone: () => {
        drop(started)
      },
      heard(message) {
        if (worker !== started) return
        if (message.kind === 'answer') listener.answer(message.reading)
        else {
          isReady = true
          listener.ready()
        }
      },
    })
    return started
  }

  return {
    read(file) {
      const current = (worker ??= start())
      return new Promise((resolve) => {
        const within = (ms: number): (() => void) =>
          clock.after(ms, () => {
            drop(current)
          })
        let cancel = isReady ? () => undefined : within(AUDIO_START_MS_MAX)
        const send = (): void => {
          cancel()
          cancel = within(AUDIO_READ_MS_MAX)
          // A copy: the body itself is still to be sent.
          const copy = new Uint8Array(file)
          current.postMessage({ file: copy } satisfies SoundRequest, [copy.buffer])
        }
        const answer = (reading: SoundReading): void => {
          cancel()
          listener = NOBODY
          resolve(reading)
        }
        listener = { ready: send, answer }
        if (isReady) send()
      })
    },
    async stop() {
      await worker?.terminate()
    },
  }
}
