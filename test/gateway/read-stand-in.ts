import { parentPort } from 'node:worker_threads'

/** A thread that reads bodies, for tests: it never ends. */
parentPort?.on('message', () => undefined)
parentPort?.postMessage({ kind: 'ready' })
