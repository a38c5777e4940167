import { parentPort } from 'node:worker_threads'

/** A thread's program for tests: answers what it is given, dies of 'die', never ends 'hang'. */
parentPort?.on('message', (answer: string) => {
  if (answer === 'die') throw new Error('died')
  if (answer !== 'hang') parentPort?.postMessage({ kind: 'answer', answer })
})
parentPort?.postMessage({ kind: 'ready' })
