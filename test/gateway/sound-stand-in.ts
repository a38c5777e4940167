import { parentPort } from 'node:worker_threads'

/** A reader's thread for tests: a file that begins with a zero is never read to its end. */
parentPort?.on('message', ({ file }: { file: Uint8Array }) => {
  const answer = { kind: 'read', seconds: file.length, isExact: true }
  if (file[0] !== 0) parentPort?.postMessage({ kind: 'answer', answer })
})
parentPort?.postMessage({ kind: 'ready' })
