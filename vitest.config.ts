import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Processes, not threads: a test that crashes its worker takes no other file with it.
    pool: 'forks',
    // Two files at a time on two cores as well: half of the time is waiting for processes.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // For what hangs, not for what is slow: no machine may be too busy for these. A hook is longer
    // than a gateway's start may take, a test longer than what it waits for.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: 60_000, interval: 20 } },
    restoreMocks: true,
  },
})
