import { Violation } from '../seams.ts'

/** Throws the violation of `invariant` unless it holds. The text is made only then. */
export function demand(holds: boolean, invariant: string, detail: () => string): asserts holds {
  if (!holds) throw new Violation(invariant, detail())
}
