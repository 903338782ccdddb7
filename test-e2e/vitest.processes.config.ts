import { defineConfig } from 'vitest/config'

/** The suites that start real processes. One file after the other, because they print times. */
export default defineConfig({
  test: {
    include: ['test-e2e/test/**/*.test.ts'],
    exclude: ['test-e2e/test/containers.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
})
