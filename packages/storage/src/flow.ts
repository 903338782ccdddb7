import type { Done, IoError } from '@millrace/base'

/**
 * Runs `step` for every item, at most `limit` at once. After a failure nothing new begins, and `done` gets the first error once all
 * that had begun has ended. With no items `done` is called at once.
 */
export function eachLimited<T>(
  items: readonly T[],
  limit: number,
  step: (item: T, done: Done<void>) => void,
  done: Done<void>,
): void {
  const state: Progress = { next: 0, running: 0, failed: null, filling: false }
  const ended = (error: IoError | null): void => {
    state.failed ??= error
    state.running--
    if (!state.filling) fill()
  }
  // A loop, not recursion: a step that ends within its own call must not deepen the stack.
  const fill = (): void => {
    state.filling = true
    while (state.next < items.length && state.running < limit && state.failed === null) {
      state.running++
      step(items[state.next++] as T, ended)
    }
    state.filling = false
    if (state.running === 0 && (state.failed !== null || state.next === items.length)) done(state.failed)
  }
  fill()
}

interface Progress {
  next: number
  running: number
  failed: IoError | null
  filling: boolean
}

/** Runs the steps one after another; `done` gets the first error, after which nothing more runs. */
export function inOrder(steps: readonly ((done: Done<void>) => void)[], done: Done<void>): void {
  eachLimited(steps, 1, (step, ended) => step(ended), done)
}
