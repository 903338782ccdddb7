import type { OutcomeBuilder } from './outcome.ts'

/** When something happens, and where what is decided goes. */
export interface Turn {
  readonly nowMs: number
  readonly out: OutcomeBuilder
}
