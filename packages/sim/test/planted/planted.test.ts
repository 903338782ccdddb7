import { stripTypeScriptTypes } from 'node:module'
import { describe, expect, it } from 'vitest'
import { PLANTED_BUGS } from '../../src/planted/bugs.ts'
import { patched } from '../../src/planted/patched.ts'
import { type Finding, patchedFiles, searchPlanted } from '../../src/planted/search.ts'

describe('planted bugs', () => {
  it('are many, each with a name of its own', () => {
    expect(PLANTED_BUGS.length).toBeGreaterThanOrEqual(30)
    expect(new Set(PLANTED_BUGS.map(({ name }) => name)).size).toBe(PLANTED_BUGS.length)
  })

  it.each(PLANTED_BUGS)('apply to the source as it is, and parse: $name', (bug) => {
    for (const source of patchedFiles(bug).values()) expect(() => stripTypeScriptTypes(source)).not.toThrow()
  })

  it('fail where the product has changed under them', () => {
    const patch = { file: 'a.ts', find: 'x', replace: 'y' }
    expect(patched('one x', [patch])).toBe('one y')
    expect(() => patched('none', [patch])).toThrow('does not apply any more: a.ts')
    expect(() => patched('x and x', [patch])).toThrow('does not apply any more: a.ts')
  })

  it('are found by a seed that breaks nothing without them', async () => {
    const only = 'acks=all is answered when the leader has written'
    const told: Finding[] = []
    const tell = (finding: Finding): void => void told.push(finding)
    const findings = await searchPlanted({ first: 1, mostSeeds: 5, jobs: 1, only, tell, progress: () => {} })
    expect(findings).toEqual(told)
    expect(findings.map(({ bug, invariant }) => [bug, invariant])).toEqual([[only, 'AckedIsCommitted']])
    expect(findings[0]?.seed).toBe(findings[0]?.seeds)
  }, 120_000)
})
