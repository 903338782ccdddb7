import { BrokenInvariant, ErrorCode } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { initIdempotentProducer, nextEpoch, ProducerIds } from '../src/index.ts'

const nobody = { producerId: -1, producerEpoch: -1 }

describe('the ids of a broker', () => {
  test('are those of its block, each once', () => {
    const ids = new ProducerIds()
    ids.add(5000, 1000)
    const taken = Array.from({ length: 1000 }, () => ids.take())
    expect(taken).toEqual(Array.from({ length: 1000 }, (_, i) => 5000 + i))
    expect(ids.take()).toBeNull()
  })

  test('are asked for before there are none, once at a time', () => {
    const ids = new ProducerIds()
    expect(ids.wanted).toBe(true)
    ids.asking()
    expect(ids.wanted).toBe(false)
    ids.add(0, 1000)
    expect(ids.wanted).toBe(false)
    for (let i = 0; i < 900; i++) ids.take()
    expect(ids.wanted).toBe(true)
    ids.asking()
    ids.add(7000, 1000)
    expect(ids.wanted).toBe(false)
    const rest = Array.from({ length: 101 }, () => ids.take())
    expect(rest.slice(-2)).toEqual([999, 7000])
  })

  test('are asked for again when the controller gave none', () => {
    const ids = new ProducerIds()
    ids.asking()
    ids.failed()
    expect(ids.wanted).toBe(true)
  })

  test('are never overwritten by a block that nobody asked for', () => {
    const ids = new ProducerIds()
    ids.add(0, 10)
    ids.add(20, 10)
    expect(() => ids.add(40, 10)).toThrow(BrokenInvariant)
    expect(() => new ProducerIds().add(5, 0)).toThrow(BrokenInvariant)
  })
})

describe('InitProducerId without a transactional id', () => {
  test('gives a fresh id in epoch 0', () => {
    const ids = new ProducerIds()
    ids.add(40, 2)
    expect(initIdempotentProducer(nobody, ids)).toEqual({ error: ErrorCode.NONE, producerId: 40, producerEpoch: 0 })
    expect(initIdempotentProducer(nobody, ids)).toEqual({ error: ErrorCode.NONE, producerId: 41, producerEpoch: 0 })
  })

  test('gives a fresh id also to who names the one it has, as Apache Kafka does', () => {
    const ids = new ProducerIds()
    ids.add(40, 2)
    const answer = initIdempotentProducer({ producerId: 12, producerEpoch: 3 }, ids)
    expect(answer).toEqual({ error: ErrorCode.NONE, producerId: 40, producerEpoch: 0 })
  })

  test('has the client ask again while no block has arrived', () => {
    expect(initIdempotentProducer(nobody, new ProducerIds())).toEqual({
      error: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
      ...nobody,
    })
  })

  test.each([
    [7, -1],
    [-1, 0],
  ])('with id %i and epoch %i, of which one is missing, is an error', (producerId, producerEpoch) => {
    const ids = new ProducerIds()
    ids.add(0, 1)
    expect(initIdempotentProducer({ producerId, producerEpoch }, ids)).toEqual({
      error: ErrorCode.INVALID_REQUEST,
      ...nobody,
    })
    expect(ids.take()).toBe(0)
  })
})

test('the epochs of an id end one short of the last, which is left for fencing it', () => {
  expect(nextEpoch({ producerId: 3, producerEpoch: 0 })).toEqual({ producerId: 3, producerEpoch: 1 })
  expect(nextEpoch({ producerId: 3, producerEpoch: 32765 })).toEqual({ producerId: 3, producerEpoch: 32766 })
  expect(nextEpoch({ producerId: 3, producerEpoch: 32766 })).toBeNull()
})
