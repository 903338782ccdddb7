import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ContractCase } from '../src/index.ts'

/** Runs the cases of a contract as tests. */
export function holdTo(what: string, cases: readonly ContractCase[]): void {
  describe(`The contract of ${what}`, () => {
    test.for(cases)('$name', async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })
}

/** A folder that is empty, and how to take it away. */
export function temporaryFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'millrace-host-'))
  return { path, remove: () => rmSync(path, { recursive: true }) }
}
