import type { ReplicaInspection } from '@millrace/broker'
import { encodeBatch, setBaseOffset } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { ReplicaMirror } from '../../src/invariants/replica-mirror.ts'

type Log = ReplicaInspection['log']

function batchAt(offset: number): Uint8Array {
  const batch = encodeBatch([{ key: null, value: new Uint8Array(9), timestamp: 1 }])
  setBaseOffset(batch, 0, offset)
  return batch
}

/** A log of one segment, which holds one record. */
function logOf(offset: number): { log: Log; content: Uint8Array } {
  const content = batchAt(offset)
  const segments = [{ baseOffset: offset, size: content.length, logPath: `${offset}` }]
  const inspection = { segments, unwritten: [], epochs: { entries: [] } }
  const log = {
    logStart: offset,
    endOffset: offset + 1,
    durableEnd: offset + 1,
    generation: 0,
    quarantined: null,
    inspection,
  }
  return { log: log as unknown as Log, content }
}

describe('the mirror of a log', () => {
  it('begins anew where everything that it saw was deleted, and more that it never saw', () => {
    const [first, second] = [logOf(0), logOf(5)]
    const files = new Map([
      ['0', first.content],
      ['5', second.content],
    ])
    const mirror = new ReplicaMirror(1, 'd', {
      peek: (_node, path, at, into) => {
        const content = files.get(path) as Uint8Array
        into.set(content.subarray(at, at + into.length))
        return Math.min(into.length, content.length - at)
      },
      damaged: () => false,
      wipes: () => 0,
    })
    mirror.follow(first.log)
    // The same log later.
    Object.assign(first.log, second.log)
    expect(mirror.next(first.log)).toBe('cut')
    expect(mirror.follow(first.log)?.end).toBe(1)
    expect([mirror.problem, mirror.list.length, mirror.list.end]).toEqual([null, 1, 6])
  })
})
