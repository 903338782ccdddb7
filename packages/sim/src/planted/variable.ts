import { fileURLToPath } from 'node:url'

/** Names the bug that `plant.ts` plants. */
export const BUG_VARIABLE = 'MILLRACE_PLANTED_BUG'

/** What a process is started with so that the bug is planted before anything is loaded. */
export function plantArguments(): string[] {
  return ['--import', fileURLToPath(new URL('plant.ts', import.meta.url))]
}
