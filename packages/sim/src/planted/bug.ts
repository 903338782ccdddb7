/** One replacement in a source file; `find` must be there exactly once. */
export interface Patch {
  /** Below `packages/`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** A rule of the product, broken on purpose: the simulator must notice. */
export interface PlantedBug {
  readonly name: string
  readonly patches: readonly Patch[]
}

/** A bug of some patches; each is the file below `packages/`, what is there, and what takes its place. */
export function bug(
  name: string,
  ...patches: readonly (readonly [file: string, find: string, replace: string])[]
): PlantedBug {
  return { name, patches: patches.map(([file, find, replace]) => ({ file, find, replace })) }
}
