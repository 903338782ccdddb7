import { describe, expect, it } from 'vitest'
import { PLANTED } from '../../src/cores/raft/planted.ts'
import { Storm } from '../../src/cores/raft/storm.ts'
import { CORES, runCores, tellCores, type Core } from '../../src/cores/run-cores.ts'

const create = PLANTED['messages do not wait for the write that they vouch for'] as NonNullable<
  (typeof PLANTED)[string]
>
const BROKEN: Readonly<Record<string, Core>> = {
  ...CORES,
  raft: (seed, trace) => new Storm({ seed, create, ...(trace && { trace }) }).run().events,
}

describe('the cores alone', () => {
  it('print seeds, events and their rate for each core', () => {
    const lines: string[] = []
    expect(runCores({ first: 1, count: 3, seconds: null, json: false }, (line) => lines.push(line))).toBe(true)
    expect(lines[1]).toMatch(/^raft: 3 seeds, [\d,]+ events, [\d,]+ events per second of one processor, 0 violations$/)
    expect(lines[2]).toMatch(/^replication: 3 seeds, [\d,]+ events, .* 0 violations$/)
  })

  it('fail at a violation, with the command that repeats it, and stop after ten of one core', () => {
    const lines: string[] = []
    const say = (line: string): void => void lines.push(line)
    expect(runCores({ first: 5, count: 12, seconds: null, json: false }, say, BROKEN)).toBe(false)
    expect(lines[1]).toMatch(
      /^\nraft, seed 5: invariant: .* speaks of term 2, .*\n {2}npm run sim -- --cores --seed 5$/,
    )
    expect(lines.at(-2)).toMatch(/^raft: 10 seeds, .* 10 violations$/)
    expect(lines.at(-1)).toMatch(/^replication: 12 seeds, .* 0 violations$/)
  })

  it('print the same as JSON', () => {
    const lines: unknown[] = []
    const say = (line: string): void => void lines.push(JSON.parse(line))
    expect(runCores({ first: 5, count: 1, seconds: null, json: true }, say, BROKEN)).toBe(false)
    expect(lines).toEqual([
      { core: 'raft', seed: 5, violation: expect.stringContaining('speaks of term 2') },
      [
        expect.objectContaining({ core: 'raft', seeds: 1, failures: [lines[0]] }),
        expect.objectContaining({ core: 'replication', seeds: 1, failures: [], events: expect.any(Number) }),
      ],
    ])
  })

  it('tell the end of a story that broke something', () => {
    const lines: string[] = []
    const say = (line: string): void => void lines.push(line)
    expect(tellCores(5, 4, say, BROKEN)).toBe(false)
    expect(lines.length).toBeLessThanOrEqual(6)
    expect(lines.at(-2)).toContain('raft, seed 5: invariant: ')
    expect(lines.at(-1)).toMatch(/^replication, seed 5: \d+ events, nothing broke$/)
    expect(tellCores(5, 4, say)).toBe(true)
  })
})
