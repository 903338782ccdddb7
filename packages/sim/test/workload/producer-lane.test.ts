import { describe, expect, it } from 'vitest'
import { Lane, type NumberedBatch } from '../../src/workload/producer-lane.ts'
import type { Batch } from '../../src/workload/produce-request.ts'

const ID = { producerId: 4, epoch: 0 }

function newLane(): Lane {
  return new Lane({ topic: 'topic', partition: 0, leader: 1, epoch: 0 })
}

function add(lane: Lane): NumberedBatch {
  return lane.add({} as Batch, 1_000)
}

describe('the numbers of a producer for one partition', () => {
  it('follow each other, and begin anew under another epoch once everything before is settled', () => {
    const lane = newLane()
    expect(lane.number(3, ID)).toEqual({ ...ID, sequence: 0 })
    const first = add(lane)
    expect(lane.number(2, { ...ID, epoch: 1 })).toEqual({ ...ID, sequence: 3 })
    lane.remove(first)
    expect(lane.number(1, { ...ID, epoch: 1 })).toEqual({ producerId: 4, epoch: 1, sequence: 0 })
  })

  it('are one batch at a time until the partition knows the producer', () => {
    const lane = newLane()
    lane.number(1, ID)
    expect(lane.mayTake(5)).toBe(true)
    const first = add(lane)
    expect(lane.mayTake(5)).toBe(false)
    lane.known = true
    expect(lane.mayTake(5)).toBe(true)
    first.waiting = true
    expect(lane.mayTake(5)).toBe(false)
    lane.remove(first)
    lane.number(1, { producerId: 5, epoch: 0 })
    add(lane)
    expect(lane.mayTake(5)).toBe(false)
  })

  it('are counted from the oldest: where it is not settled a later one makes no room', () => {
    const lane = newLane()
    lane.known = true
    const [first, second] = [add(lane), add(lane)]
    expect(lane.mayTake(2)).toBe(false)
    lane.remove(second)
    expect(lane.mayTake(2)).toBe(false)
    lane.remove(first)
    expect(lane.mayTake(2)).toBe(true)
  })

  it('wait after a batch was given up until the others are settled', () => {
    const lane = newLane()
    lane.known = true
    const [first, second] = [add(lane), add(lane)]
    expect([lane.isNext(first), lane.isNext(second)]).toEqual([true, false])
    lane.broken = true
    lane.remove(first)
    expect([lane.mayTake(5), lane.isNext(second)]).toEqual([false, false])
    lane.remove(second)
    expect(lane.mayTake(5)).toBe(true)
  })
})
