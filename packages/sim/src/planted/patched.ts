import type { Patch } from './bug.ts'

/** Applies the patches of one file. Throws when a patch does not apply exactly once: the product has changed under it. */
export function patched(source: string, patches: readonly Patch[]): string {
  return patches.reduce((text, { file, find, replace }) => {
    const [before, after, ...more] = text.split(find)
    if (before === undefined || after === undefined || more.length > 0)
      throw new Error(`a planted bug does not apply any more: ${file} must hold exactly once: ${find}`)
    return before + replace + after
  }, source)
}
