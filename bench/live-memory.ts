import { writeFileSync } from 'node:fs'

/**
 * Loaded into a gateway by the bench: at SIGUSR2 it collects and writes what is left, in bytes, to
 * the file named by BENCH_MEMORY_FILE. Resident memory also holds what was not collected yet.
 */
process.on('SIGUSR2', () => {
  globalThis.gc?.()
  globalThis.gc?.() // what finalizers let go
  const { heapUsed, external } = process.memoryUsage()
  writeFileSync(process.env.BENCH_MEMORY_FILE ?? '', String(heapUsed + external))
})
