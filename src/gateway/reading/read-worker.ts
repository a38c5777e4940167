import { parentPort } from 'node:worker_threads'
import type { ThreadMessage } from '../../kernel/thread.ts'
import { readApart, type ReadAnswer, type ReadTask } from './read-apart.ts'

const tell = (message: ThreadMessage<ReadAnswer>, transfer: ArrayBuffer[] = []): void => {
  parentPort?.postMessage(message, transfer)
}

parentPort?.on('message', (task: ReadTask) => {
  const answer = readApart(task)
  const moved = answer.kind === 'text' ? [answer.texts.bytes.buffer] : []
  tell({ kind: 'answer', answer }, moved)
})
tell({ kind: 'ready' })
