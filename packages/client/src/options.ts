import { MillraceError } from '@millrace/base'

/** Options over their defaults; what is given as undefined keeps its default. */
export function withDefaults<D extends object, O extends object>(defaults: D, options: O): D & O {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) } as D & O
}

/** Throws `MillraceError` CONFIG_INVALID for the first of these options that is no number of at least `least`. */
export function checkNumbers(
  options: Readonly<Record<string, unknown>>,
  least: number,
  names: readonly string[],
): void {
  for (const name of names) {
    const value = options[name]
    if (typeof value !== 'number' || !(value >= least))
      throw new MillraceError('CONFIG_INVALID', `${name} is ${String(value)}`, {
        fix: `Give a number of at least ${least}.`,
      })
  }
}

/** Throws `MillraceError` CONFIG_INVALID for a value that is not one of the choices. */
export function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (choices.includes(value)) return
  throw new MillraceError('CONFIG_INVALID', `${name} is ${String(value)}`, {
    fix: `Choose one of: ${choices.map(String).join(', ')}.`,
  })
}
