import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Scenario } from './scenario.ts'
import { runTranscript } from './transcript.ts'

const folder = join(import.meta.dirname, 'scenarios')

describe('the scenarios', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.txt'))

  it.each(files)('%s', (file) => {
    const scenario = new Scenario()
    const { expected, actual } = runTranscript(join(folder, file), (command) => scenario.run(command))
    expect(actual).toBe(expected)
  })
})
