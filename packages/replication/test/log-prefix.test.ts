import { describe, expect, it } from 'vitest'
import { divergence, truncationTarget } from '../src/log-prefix.ts'
import { OwnLog } from '../src/own-log.ts'
import { ModelLog } from '../src/model/model-log.ts'
import { SeededRandom } from './seeded-random.ts'

function ownLogOf(log: ModelLog): OwnLog {
  const { logStart, endOffset, generation } = log
  const state = { logStart, endOffset, durableEnd: endOffset, lastEpoch: -1, highWatermark: logStart, generation }
  return new OwnLog(state, log, 'fsync')
}

function logOf(...epochs: readonly number[]): ModelLog {
  const log = new ModelLog()
  epochs.forEach((epoch, at) => log.append([{ epoch, value: `${epoch}:${at}` }]))
  return log
}

interface Agreement {
  readonly rounds: number
  /** Where the follower's log ended after each round. */
  readonly ends: readonly number[]
}

/** What leader and follower say to each other until the follower's log is a prefix. */
function agree(leader: ModelLog, follower: ModelLog): Agreement {
  const ends: number[] = []
  for (let rounds = 0; rounds < 100; rounds++) {
    const own = ownLogOf(follower)
    const parts = divergence(ownLogOf(leader), own.endOffset, own.lastEpoch())
    if (parts === null) return { rounds, ends }
    const target = truncationTarget(own, parts)
    if (target > own.endOffset) follower.restart(target)
    else if (target < own.logStart) follower.restart(0)
    else follower.truncate(target)
    ends.push(follower.endOffset)
  }
  throw new Error('they never agree')
}

describe('finding where two logs part', () => {
  it('takes a log that ends within an epoch of the leader for a prefix', () => {
    expect(divergence(ownLogOf(logOf(1, 1, 1)), 2, 1)).toBeNull()
    expect(divergence(ownLogOf(logOf(1, 1, 2)), 2, 1)).toBeNull()
  })

  it('names the epoch and where it ends when the follower has more of it', () => {
    expect(divergence(ownLogOf(logOf(1, 2, 2)), 2, 1)).toEqual({ epoch: 1, endOffset: 1 })
  })

  it('names the largest epoch below one that the leader never saw', () => {
    expect(divergence(ownLogOf(logOf(1, 1, 4)), 3, 3)).toEqual({ epoch: 1, endOffset: 2 })
  })

  it('walks back one epoch a round', () => {
    const follower = logOf(1, 2, 3, 5)
    expect(agree(logOf(1, 4, 4, 6), follower)).toEqual({ rounds: 2, ends: [3, 1] })
    expect(follower.records.map((record) => record.epoch)).toEqual([1])
  })

  it('accepts an empty log anywhere in the leader’s', () => {
    const leader = logOf(1, 1, 1)
    expect(divergence(ownLogOf(leader), 0, -1)).toBeNull()
    expect(divergence(ownLogOf(leader), 2, -1)).toBeNull()
  })

  it('sends an empty log that is ahead of the leader back to the leader’s start', () => {
    const follower = new ModelLog({ logStart: 9, endOffset: 9, records: [], epochs: [] })
    agree(logOf(1, 1, 1), follower)
    expect(follower.endOffset).toBe(0)
  })

  it('sends a log below the leader’s start to that start', () => {
    const leader = logOf(1, 1, 1, 1)
    leader.advanceLogStart(3)
    const follower = logOf(1)
    agree(leader, follower)
    expect([follower.logStart, follower.endOffset]).toEqual([3, 3])
  })

  it('starts a log anew whose own start is above where it parts', () => {
    const follower = logOf(1, 1, 1, 1, 1)
    follower.advanceLogStart(4)
    agree(logOf(1, 1, 2), follower)
    expect([follower.logStart, follower.endOffset]).toEqual([0, 0])
  })

  it('does not count an epoch that was begun without a record', () => {
    const log = logOf(1, 1)
    log.beginEpoch(3)
    log.beginEpoch(7)
    expect(ownLogOf(log).lastEpoch()).toBe(1)
    expect(ownLogOf(log).lastBegunEpoch()).toBe(7)
  })
})

/** Logs as real groups have them: each epoch has one writer, and whoever follows it holds a prefix of what it wrote. */
function randomLogs(random: SeededRandom): readonly ModelLog[] {
  const logs = [0, 1, 2, 3].map(() => new ModelLog())
  for (let epoch = 1; epoch <= 1 + random.below(12); epoch++) {
    const leader = random.pick(logs)
    leader.beginEpoch(epoch)
    for (let writes = random.below(5); writes > 0; writes--)
      leader.append([{ epoch, value: `${epoch}:${leader.endOffset}` }])
    for (const log of logs) {
      if (log === leader || random.chance(40)) continue
      agree(leader, log)
      if (ownLogOf(log).lastBegunEpoch() > ownLogOf(log).lastEpoch()) log.truncate(log.endOffset)
      log.append(leader.slice(log.endOffset, log.endOffset + random.below(leader.endOffset - log.endOffset + 1)))
    }
  }
  return logs
}

function commonPrefix(a: ModelLog, b: ModelLog): number {
  let at = 0
  while (at < a.endOffset && at < b.endOffset && a.record(at)?.value === b.record(at)?.value) at += 1
  return at
}

describe('any two logs that a group may end up with', () => {
  it('agree on exactly what they have in common, and lose nothing of it', () => {
    let partings = 0
    for (let seed = 1; seed <= 2000; seed++) {
      const random = new SeededRandom(seed)
      const logs = randomLogs(random)
      const [leader, follower] = [random.pick(logs), random.pick(logs)]
      const common = commonPrefix(leader, follower)
      if (common < follower.endOffset) partings += 1
      agree(leader, follower)
      expect([seed, follower.endOffset]).toEqual([seed, common])
    }
    expect(partings).toBeGreaterThan(200)
  })
})
