// Loaded with --import in front of a run: the source of the product is changed as it is read, by the bug that MILLRACE_PLANTED_BUG names.
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { PLANTED_BUGS } from './bugs.ts'
import { patched } from './patched.ts'
import { BUG_VARIABLE } from './variable.ts'

function plant(name: string): void {
  const bug = PLANTED_BUGS.find((one) => one.name === name)
  if (bug === undefined) throw new Error(`there is no planted bug "${name}"`)
  const packages = fileURLToPath(new URL('../../../', import.meta.url))
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.startsWith('file:')) return loaded
      const path = fileURLToPath(url)
      const patches = bug.patches.filter(({ file }) => path === packages + file)
      if (patches.length === 0) return loaded
      const source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString('utf8')
      return { ...loaded, source: patched(source, patches) }
    },
  })
}

const name = process.env[BUG_VARIABLE]
if (name !== undefined && name !== '') plant(name)
