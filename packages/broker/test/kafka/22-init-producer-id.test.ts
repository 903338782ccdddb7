import { ErrorCode } from '@millrace/base'
import { InitProducerIdApi } from '@millrace/protocol'
import type { InitProducerIdRequest, InitProducerIdResponse } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { harness } from './harness.ts'

const PLAIN: InitProducerIdRequest = {
  transactionalId: null,
  transactionTimeoutMs: 60_000,
  producerId: -1,
  producerEpoch: -1,
}

function setup(): (version: number, change?: Partial<InitProducerIdRequest>) => InitProducerIdResponse {
  const { broker, world, connect } = harness()
  broker.controller.producerIds = { first: 3000, count: 1000 }
  const client = connect()
  const ask = (version: number, change: Partial<InitProducerIdRequest> = {}): InitProducerIdResponse =>
    client.ask(InitProducerIdApi, version, { ...PLAIN, ...change })
  expect(ask(0)).toMatchObject({ errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, producerId: -1, producerEpoch: -1 })
  world.time.advance(10)
  return ask
}

describe('InitProducerId', () => {
  test('gives each producer an id of its own once the broker has a block of them, in every version', () => {
    const ask = setup()
    const given = [0, 1, 2, 3, 4, 5].map((version) => ask(version))
    expect(given).toEqual(
      given.map((_, at) => ({ throttleTimeMs: 0, errorCode: 0, producerId: 3000 + at, producerEpoch: 0 })),
    )
  })

  test('gives a producer that names its id and epoch a fresh one', () => {
    expect(setup()(4, { producerId: 17, producerEpoch: 3 })).toMatchObject({ errorCode: 0, producerId: 3000 })
  })

  test('refuses an id without an epoch, transactional ids for good, and an empty one', () => {
    const ask = setup()
    const nothing = { producerId: -1, producerEpoch: -1 }
    expect(ask(3, { producerId: 17 })).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, ...nothing })
    expect(ask(2, { transactionalId: 'mine' })).toMatchObject({
      errorCode: ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      ...nothing,
    })
    expect(ask(2, { transactionalId: '' })).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, ...nothing })
  })
})
