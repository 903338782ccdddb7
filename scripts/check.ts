// The one check: types, lint, format, layers, the tests, then whole clusters under faults. Every step runs even when
// an earlier one failed, so that one run tells everything. `--all` is what `npm test` runs; without it the same steps run.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)

interface Step {
  readonly name: string
  readonly run: () => Promise<boolean>
}

function command(file: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
    child.on('error', () => resolve(false))
    child.on('exit', (code) => resolve(code === 0))
  })
}

async function types(): Promise<boolean> {
  const projects = readdirSync(join(root, 'packages'))
    .map((name) => join(root, 'packages', name, 'tsconfig.json'))
    .filter((path) => existsSync(path))
  let good = true
  for (const project of [...projects, join(root, 'tsconfig.json')])
    good = (await command(bin('tsc'), ['-p', project])) && good
  return good
}

/** Fixed seeds: what is not the change's fault does not fail it. Fresh ones run where changes land. */
function simulation(): Promise<boolean> {
  return command(process.execPath, [join(root, 'packages', 'sim', 'src', 'cli.ts'), '--first', '1', '--seeds', '20'])
}

const steps: readonly Step[] = [
  { name: 'types', run: types },
  { name: 'lint', run: () => command(bin('oxlint'), ['--type-aware', '--deny-warnings']) },
  { name: 'format', run: () => command(bin('oxfmt'), ['--check', '.']) },
  { name: 'layers', run: () => command(process.execPath, [join(root, 'scripts', 'layers.ts')]) },
  { name: 'tests', run: () => command(bin('vitest'), ['run']) },
  { name: 'simulation', run: simulation },
]

const failed: string[] = []
for (const step of steps) {
  const started = Date.now()
  process.stdout.write(`\n== ${step.name}\n`)
  const good = await step.run()
  process.stdout.write(
    `== ${step.name}: ${good ? 'good' : 'FAILED'} (${((Date.now() - started) / 1000).toFixed(1)} s)\n`,
  )
  if (!good) failed.push(step.name)
}
process.stdout.write(failed.length === 0 ? '\nEverything holds.\n' : `\nFailed: ${failed.join(', ')}\n`)
process.exitCode = failed.length === 0 ? 0 : 1
