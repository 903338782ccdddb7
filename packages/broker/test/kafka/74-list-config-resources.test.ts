import { ErrorCode } from '@millrace/base'
import { ListConfigResourcesApi } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { harness } from './harness.ts'

function listed(version: number, resourceTypes: readonly number[]) {
  const { broker, connect } = harness()
  broker.topic('t')
  broker.image.addBroker(2, { fenced: true })
  broker.image.set({ kind: 'topic', name: 't' }, 'retention.ms', '5')
  broker.image.set({ kind: 'group', name: 'g' }, 'consumer.session.timeout.ms', '50000')
  const { errorCode, configResources } = connect().ask(ListConfigResourcesApi, version, { resourceTypes })
  return [errorCode, ...configResources.map((one) => `${one.resourceType} ${one.resourceName}`)]
}

test('ListConfigResources tells topics, live brokers, and groups with settings of their own', () => {
  expect(listed(1, [2])).toEqual([0, '2 t'])
  expect(listed(1, [4])).toEqual([0, '4 1'])
  expect(listed(1, [32, 16, 32])).toEqual([0, '32 g'])
  expect(listed(1, [])).toEqual([0, '2 t', '4 1', '8 1', '32 g'])
})

test('ListConfigResources 0 asks for subscriptions of client metrics alone, and there are none', () => {
  expect(listed(0, [])).toEqual([0])
})

test('ListConfigResources of a type that nobody has is refused', () => {
  expect(listed(1, [2, 3])).toEqual([ErrorCode.UNSUPPORTED_VERSION])
})
