import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts'],
    testTimeout: 30_000,
    pool: 'forks',
    // Many tests wait for processes, sockets and timeouts; one at a time would leave two cores idle.
    maxWorkers: Math.max(2, availableParallelism()),
  },
})
