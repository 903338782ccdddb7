import assert from 'node:assert/strict'
import { crc32c } from '@millrace/records'
import * as fc from 'fast-check'
import { ProducerStates } from '../src/index.ts'
import type { AppendedBatch, BatchOrigin, ProducerBatch } from '../src/index.ts'
import { batch } from './batches.ts'
import { History, judged } from './history.ts'

const EXPIRATION_MS = 1000

/** One thing that happens to the replicas. */
export type Step =
  | {
      readonly kind: 'check'
      readonly producerId: number
      readonly choice: number
      readonly size: number
      readonly epoch: number
    }
  | { readonly kind: 'append' | 'abandon' | 'expire' }
  | { readonly kind: 'truncate' | 'settle' | 'restart'; readonly at: number }

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('check' as const),
      producerId: fc.constantFrom(-1, 1, 2, 3),
      choice: fc.nat(19),
      size: fc.constantFrom(1, 1, 2, 3),
      epoch: fc.constantFrom(0, 0, 0, 0, 0, 1, -1),
    }),
  },
  { weight: 5, arbitrary: fc.constant({ kind: 'append' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'abandon' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), at: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle' as const), at: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'expire' as const }) },
)

/** A leader and a follower of one partition, and the model beside them. */
export class TwoReplicas {
  readonly model = new History()
  leader = new ProducerStates()
  follower = new ProducerStates()
  readonly seen = { accepted: 0, duplicate: 0, staged: 0, refused: 0, undone: 0, rebuilt: 0 }
  private readonly forgets: boolean
  private nowMs = 10_000
  private settledTo = 0
  private expired = false
  /** Snapshots as a host would have them on disk, by their end offset. */
  private readonly files = new Map<number, Uint8Array>()

  constructor(forgets: boolean) {
    this.forgets = forgets
  }

  get end(): number {
    const last = this.model.log.at(-1)
    return last === undefined ? 0 : last.baseOffset + last.lastOffsetDelta + 1
  }

  do(one: Step): void {
    this.nowMs++
    if (one.kind === 'check') this.check(...this.pick(one))
    else if (one.kind === 'append') this.append()
    else if (one.kind === 'truncate') this.truncate(one.at)
    else if (one.kind === 'settle') this.settle(one.at)
    else if (one.kind === 'restart') this.restart(one.at)
    else if (one.kind === 'expire') this.expire()
    else {
      this.model.staged = []
      this.leader.abandoned()
    }
  }

  compare(): void {
    const model = this.model.views()
    assert.deepEqual(views(this.leader), model)
    assert.deepEqual(views(this.follower), model)
    assert.equal(this.leader.size, model.length)
  }

  private check(asked: ProducerBatch, origin: BatchOrigin): void {
    const verdict = this.leader.check(asked, origin)
    assert.deepEqual(judged(verdict), this.model.check(asked, origin))
    this.seen[verdict.outcome]++
  }

  /** Mostly what comes next or was before, so that most is accepted or repeated. */
  private pick(one: Extract<Step, { kind: 'check' }>): [ProducerBatch, BatchOrigin] {
    const { producerId, choice, size } = one
    const before = [...this.model.log, ...this.model.staged].filter((other) => other.producerId === producerId)
    const last = before.at(-1)
    const producerEpoch = Math.max(0, (last?.producerEpoch ?? 0) + one.epoch)
    const fields = { producerId, producerEpoch, lastOffsetDelta: size - 1 }
    if (producerId === -1) return [batch({ ...fields, baseSequence: -1, producerEpoch: -1 }), 'client']
    if (choice === 0)
      return [
        batch({ ...fields, lastOffsetDelta: 0, control: true, transactional: true, baseSequence: -1 }),
        'coordinator',
      ]
    if (choice === 1) return [batch({ ...fields, baseSequence: -1, transactional: true }), 'coordinator']
    const transactional = choice === 2
    if (choice < 6 && last !== undefined) {
      const again = before.at(-(choice * size) % 8) ?? last
      return [again, again.baseSequence === -1 ? 'coordinator' : 'client']
    }
    if (last === undefined) return [batch({ ...fields, baseSequence: 2 ** 31 - choice }), 'client']
    const data = before.findLast(({ control }) => !control) ?? last
    const next = one.epoch === 0 ? (data.baseSequence + data.lastOffsetDelta + 1) % 2 ** 31 : 0
    return [batch({ ...fields, transactional, baseSequence: choice === 7 ? 5 : next }), 'client']
  }

  private append(): void {
    for (const one of this.model.staged) {
      const appended: AppendedBatch = {
        ...one,
        baseOffset: this.end,
        maxTimestamp: 5000 + (this.nowMs % 7),
        coordinatorEpoch: one.control ? this.nowMs % 5 : -1,
      }
      this.model.log.push(appended)
      this.leader.appended(appended, this.nowMs)
      this.follower.appended(appended, this.nowMs)
      if (this.end % 3 === 0) this.files.set(this.end, this.leader.snapshot(crc32c))
    }
    this.model.staged = []
  }

  private truncate(batches: number): void {
    const cut = this.model.log.at(-batches)
    const endOffset = batches === 0 || cut === undefined ? this.end : cut.baseOffset
    if (this.expired) return
    this.model.truncate(endOffset)
    for (const end of this.files.keys()) if (end > endOffset) this.files.delete(end)
    this.leader = this.truncated(this.leader, endOffset)
    this.follower = this.truncated(this.follower, endOffset)
  }

  private truncated(states: ProducerStates, endOffset: number): ProducerStates {
    const undone = states.truncate(endOffset)
    this.seen[undone ? 'undone' : 'rebuilt']++
    if (!undone) assert.equal(states.size, 0)
    return undone ? states : this.rebuilt()
  }

  /** The watermark moves up, leaving some batches above it. */
  private settle(above: number): void {
    const offset = this.model.log.at(-above - 1)?.baseOffset ?? 0
    this.settledTo = Math.max(this.settledTo, offset)
    this.leader.settled(this.settledTo)
  }

  private restart(choice: number): void {
    // Who expired is told by no log, so it is back after a restart; the model could not tell.
    if (this.expired) return
    this.model.staged = []
    const again = this.rebuilt(choice)
    if (choice % 2 === 0) this.leader = again
    else this.follower = again
    this.leader.abandoned()
  }

  /** From one of the snapshots, or from the log alone. */
  private rebuilt(choice = 0): ProducerStates {
    const ends = [...this.files.keys()].filter((end) => end <= this.end)
    const end = ends[choice % (ends.length + 1)]
    const file = end === undefined ? undefined : this.files.get(end)
    const states =
      file === undefined || end === undefined ? new ProducerStates() : ProducerStates.load(file, end, crc32c)
    for (const one of this.model.log) if (one.baseOffset >= (end ?? 0)) states.replay(one)
    assert.deepEqual(views(states), this.model.views())
    return states
  }

  /** Nobody wrote for long; who has a transaction open is remembered all the same. */
  private expire(): void {
    if (!this.forgets || this.model.staged.length > 0) return
    this.nowMs += EXPIRATION_MS
    const gone = this.model.views().filter(({ openFrom }) => openFrom < 0)
    if (gone.length > 0) this.expired = true
    assert.equal(this.leader.expire(this.nowMs, EXPIRATION_MS), gone.length)
    assert.equal(this.follower.expire(this.nowMs, EXPIRATION_MS), gone.length)
    for (const { producerId } of gone) this.model.forget(producerId)
  }
}

function views(states: ProducerStates): unknown[] {
  return [...states.producers()].toSorted((a, b) => a.producerId - b.producerId)
}
