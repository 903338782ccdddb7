import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'

const folder = fileURLToPath(new URL('.', import.meta.url))

it('the program of the README runs, within faults, and loses nothing', async () => {
  const readme = readFileSync(join(folder, '../../README.md'), 'utf8')
  const program = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] as string
  const scratch = mkdtempSync(join(folder, 'readme-'))
  try {
    const file = join(scratch, 'program.ts')
    writeFileSync(file, `${program}\nexport default report\n`)
    const { default: report } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as {
      default: { violation: unknown; faults: Record<string, number>; counts: { acked: number } }
    }
    expect(report.violation).toBeNull()
    expect(report.counts.acked).toBe(100)
    expect(Object.keys(report.faults).length).toBeGreaterThan(2)
  } finally {
    rmSync(scratch, { recursive: true })
  }
}, 60_000)
