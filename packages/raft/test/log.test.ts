import { describe, expect, it } from 'vitest'
import { EntryTail, type Entry } from '../src/index.ts'
import { RaftLog } from '../src/log.ts'
import { seeded } from './random.ts'
import { bytes } from '../src/model/voters-codec.ts'

function entry(index: number, term: number): Entry {
  return { index, term, kind: 'data', payload: bytes(`entry ${index}`) }
}

function emptyLog(maxTailBytes = 1_000_000): RaftLog {
  return new RaftLog(
    {
      hardState: null,
      firstIndex: 1,
      lastIndex: 0,
      terms: [],
      snapshotIndex: 0,
      snapshotTerm: 0,
      voters: [],
      voterEntries: [],
      mayVote: true,
    },
    maxTailBytes,
  )
}

describe('the log', () => {
  it('knows the term at every index through appends, truncations, trims and restarts', () => {
    const random = seeded(11)
    for (let run = 0; run < 50; run++) {
      const log = emptyLog(random(3) * 500)
      const terms = new Map<number, number>([[0, 0]])
      let token = 0
      for (let at = 0; at < 200; at++) {
        const what = random(10)
        if (what < 6) {
          const next = entry(log.lastIndex + 1, log.lastTerm + (random(4) === 0 ? 1 : 0) + (log.lastTerm === 0 ? 1 : 0))
          log.append(next)
          terms.set(next.index, next.term)
        } else if (what === 6 && log.lastIndex > log.snapshotIndex) {
          log.truncate(log.snapshotIndex + 1 + random(log.lastIndex - log.snapshotIndex))
        } else if (what === 7) {
          const index = log.snapshotIndex + random(log.durableIndex - log.snapshotIndex + 1)
          log.snapshotTaken(index, terms.get(index) as number, Math.max(0, index - random(5)))
        } else if (what === 8 && random(5) === 0) {
          const index = log.lastIndex + 1 + random(5)
          terms.set(index, log.lastTerm + 1)
          log.restart(index, log.lastTerm + 1)
        } else if (log.takeWrite(token + 1, null) !== null) log.persisted(++token - random(2))
        for (let index = Math.max(log.firstIndex, 1); index <= log.lastIndex; index++)
          expect(log.term(index)).toBe(terms.get(index))
        expect(log.term(log.lastIndex + 1)).toBeNull()
        expect(log.durableIndex).toBeLessThanOrEqual(log.lastIndex)
      }
    }
  })

  it('names the place where it may agree with another log', () => {
    const log = emptyLog()
    for (const [index, term] of [1, 1, 2, 2, 2, 5, 5].entries()) log.append(entry(index + 1, term))
    expect(log.agreement(7, 5)).toEqual({ index: 7, term: 5 })
    expect(log.agreement(7, 4)).toEqual({ index: 5, term: 2 })
    expect(log.agreement(4, 9)).toEqual({ index: 4, term: 2 })
    expect(log.agreement(99, 1)).toEqual({ index: 2, term: 1 })
    expect(log.agreement(7, 0)).toEqual({ index: 0, term: 0 })
  })

  it('does not call an index durable that was cut while its write was under way', () => {
    const log = emptyLog()
    for (let index = 1; index <= 5; index++) log.append(entry(index, 1))
    expect(log.takeWrite(1, null)?.append?.length).toBe(5)
    log.truncate(3)
    log.append(entry(3, 2))
    const second = log.takeWrite(2, null)
    expect([second?.truncateFrom, second?.append?.length]).toEqual([3, 1])
    log.persisted(1)
    expect(log.durableIndex).toBe(2)
    log.persisted(2)
    expect(log.durableIndex).toBe(3)
  })

  it('hands out each entry to the store once', () => {
    const log = emptyLog()
    log.append(entry(1, 1))
    log.append(entry(2, 1))
    expect(log.takeWrite(1, null)?.append?.map(({ index }) => index)).toEqual([1, 2])
    expect(log.takeWrite(2, null)).toBeNull()
    log.append(entry(3, 1))
    log.truncate(3)
    log.append(entry(3, 4))
    expect(log.takeWrite(2, null)).toEqual({ token: 2, append: [entry(3, 4)] })
  })

  it('stops at what would cut a snapshot', () => {
    const log = emptyLog()
    for (let index = 1; index <= 5; index++) log.append(entry(index, 1))
    log.takeWrite(1, null)
    log.persisted(1)
    log.snapshotTaken(3, 1, 3)
    expect(() => log.truncate(3)).toThrow('would cut the snapshot')
    expect([log.firstIndex, log.term(3), log.term(2)]).toEqual([4, 1, null])
  })
})

describe('the tail', () => {
  it('gives entries by index and forgets the oldest first', () => {
    const tail = new EntryTail()
    for (let index = 10; index < 300; index++) tail.push(entry(index, 1))
    const half = tail.bytes / 2
    tail.shrinkTo(half, 200)
    expect(tail.bytes).toBeLessThanOrEqual(half)
    expect(tail.get(tail.firstIndex)?.index).toBe(tail.firstIndex)
    expect(tail.get(tail.firstIndex - 1)).toBeNull()
    expect(tail.slice(250, 260, 1e9)?.map(({ index }) => index)).toEqual(
      Array.from({ length: 11 }, (_, at) => 250 + at),
    )
    tail.shrinkTo(0, 298)
    expect([tail.firstIndex, tail.length]).toEqual([299, 1])
    tail.truncateFrom(299)
    expect([tail.firstIndex, tail.length, tail.bytes]).toEqual([0, 0, 0])
  })

  it('gives at least one entry, however large, and null for what it does not hold', () => {
    const tail = new EntryTail()
    tail.push(entry(5, 1))
    tail.push(entry(6, 1))
    expect(tail.slice(5, 6, 1)?.length).toBe(1)
    expect(tail.slice(4, 6, 1000)).toBeNull()
    expect(tail.slice(7, 9, 1000)).toBeNull()
    expect(() => tail.push(entry(9, 1))).toThrow('does not follow')
  })
})
