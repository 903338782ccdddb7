import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Calls `use` with the paths of temporary files that have these contents, by name. */
export async function withFiles<N extends string, T>(
  contents: Readonly<Record<N, string>>,
  use: (paths: Readonly<Record<N, string>>) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
  try {
    const paths = Object.entries<string>(contents).map(([name, text]) => {
      const path = join(folder, `${name}.json`)
      writeFileSync(path, text)
      return [name, path] as const
    })
    return await use(Object.fromEntries(paths) as Record<N, string>)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
