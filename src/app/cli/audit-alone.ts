import { Worker } from 'node:worker_threads'
import { AUDIT_YOUNG_MB } from '../../kernel/limits/books.ts'

const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
const THREAD = new URL(`./audit-thread.${extension}`, import.meta.url)

/**
 * Runs `farebox audit` in a thread of its own, because a thread can be given a small space for
 * young objects: rows are garbage at once, and what lies about between two collections would
 * otherwise take more memory than the audit itself. Resolves with the exit code.
 */
export function auditInThread(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(THREAD, {
      workerData: args,
      resourceLimits: { maxYoungGenerationSizeMb: AUDIT_YOUNG_MB },
    })
    worker.on('error', reject)
    worker.on('exit', resolve)
  })
}
