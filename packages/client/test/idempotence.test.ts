import { ErrorCode, ZERO_UUID } from '@millrace/base'
import { InitProducerIdApi, ProduceApi, type ProduceRequest, type ProduceResponse } from '@millrace/protocol'
import { baseSequence, producerEpoch, producerId, recordCount } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { KafkaError } from '../src/index.ts'
import { FakeCluster } from './fake-cluster.ts'

/** Producer id, epoch, first number and records of every batch in the log, or in the requests that came. */
function numbersOf(batches: readonly Uint8Array[]): number[][] {
  return batches.map((batch) => [
    producerId(batch, 0),
    producerEpoch(batch, 0),
    baseSequence(batch, 0),
    recordCount(batch, 0),
  ])
}

function sent(cluster: FakeCluster): Uint8Array[] {
  return cluster.seen
    .filter(({ api }) => api === ProduceApi.name)
    .flatMap(({ request }) => (request as ProduceRequest).topicData)
    .flatMap(({ partitionData }) => partitionData.map(({ records }) => records ?? new Uint8Array()))
}

function refusal(errorCode: ErrorCode): ProduceResponse {
  const partition = { index: 0, errorCode, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: -1 }
  const currentLeader = { leaderId: -1, leaderEpoch: -1 }
  const partitionResponses = [{ ...partition, recordErrors: [], errorMessage: null, currentLeader }]
  return { responses: [{ name: 't', topicId: ZERO_UUID, partitionResponses }], throttleTimeMs: 0, nodeEndpoints: [] }
}

async function started(partitions = 1): Promise<FakeCluster> {
  const cluster = await FakeCluster.start()
  cluster.topic('t', partitions)
  return cluster
}

const ofT = (values: readonly string[]): { topic: string; partition: number; value: string }[] =>
  values.map((value) => ({ topic: 't', partition: 0, value }))

describe('an idempotent producer', () => {
  it('numbers the batches of each partition from 0 on, with one id that it asks for once', async () => {
    await using cluster = await started(2)
    const producer = cluster.client().producer({ lingerMs: 0 })
    await producer.sendAll(ofT(['a', 'b']))
    await producer.sendAll(ofT(['c']))
    await producer.send({ topic: 't', partition: 1, value: 'x' })
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([
      [1000, 0, 0, 2],
      [1000, 0, 2, 1],
    ])
    expect(numbersOf(cluster.partition('t', 1).batches)).toEqual([[1000, 0, 0, 1]])
    expect(cluster.count(InitProducerIdApi)).toBe(1)
  })

  it('repeats a batch whose answer was lost with the same numbers, in every codec', async () => {
    for (const compression of ['none', 'gzip', 'lz4'] as const) {
      await using cluster = await started()
      const producer = cluster.client().producer({ lingerMs: 0, compression })
      await producer.sendAll(ofT(['a']))
      cluster.script(ProduceApi, () => 'close')
      await producer.sendAll(ofT(['b']))
      expect(numbersOf(sent(cluster)).map(([, ...numbers]) => numbers)).toEqual([
        [0, 0, 1],
        [0, 1, 1],
        [0, 1, 1],
      ])
    }
  })

  it('uses the numbers of a batch that was refused for the next one', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 0 })
    cluster.script(ProduceApi, () => refusal(ErrorCode.INVALID_TIMESTAMP))
    await expect(producer.sendAll(ofT(['bad']))).rejects.toThrow('1 of 1 records')
    await producer.sendAll(ofT(['good']))
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([[1000, 0, 0, 1]])
  })

  it('numbers the halves of a batch that was too large one after the other', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 5 })
    cluster.script(ProduceApi, () => refusal(ErrorCode.MESSAGE_TOO_LARGE))
    await producer.sendAll(ofT(['a', 'b', 'c']))
    const numbers = numbersOf(cluster.partition('t', 0).batches)
    expect(numbers.map(([, epoch]) => epoch)).toEqual(numbers.map(() => 0))
    let next = 0
    for (const [, , sequence, count] of numbers) {
      expect(sequence).toBe(next)
      next += count as number
    }
    expect(cluster.values('t')).toEqual(['a', 'b', 'c'])
  })

  it('begins a new epoch where the broker lost what came before, and writes the batch', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 0 })
    await producer.sendAll(ofT(['a']))
    cluster.script(ProduceApi, () => refusal(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER))
    await producer.sendAll(ofT(['b']))
    await producer.sendAll(ofT(['c']))
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([
      [1000, 0, 0, 1],
      [1000, 1, 0, 1],
      [1000, 1, 1, 1],
    ])
  })

  it('takes another id where somebody else has a later epoch of its own', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 0 })
    cluster.script(ProduceApi, () => refusal(ErrorCode.INVALID_PRODUCER_EPOCH))
    await producer.sendAll(ofT(['a']))
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([[1001, 0, 0, 1]])
  })

  it('begins a new epoch after a batch that was given up and may be written', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 0, deliveryTimeoutMs: 1_000 })
    await producer.sendAll(ofT(['a']))
    cluster.script(ProduceApi, () => 'close', 1000)
    await expect(producer.sendAll(ofT(['b']))).rejects.toThrow('1 of 1 records')
    const last = numbersOf(sent(cluster)).at(-1)
    expect(last).toEqual([1000, 0, 1, 1])
    cluster.forgetScripts()
    await producer.sendAll(ofT(['c']))
    expect(numbersOf(cluster.partition('t', 0).batches).at(-1)).toEqual([1000, 1, 0, 1])
  })

  it('waits for its id while the broker has none yet', async () => {
    await using cluster = await started()
    const producer = cluster.client().producer({ lingerMs: 0 })
    const loading = { throttleTimeMs: 0, producerId: -1, producerEpoch: -1 }
    cluster.script(InitProducerIdApi, () => ({ ...loading, errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }), 3)
    await producer.sendAll(ofT(['a']))
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([[1000, 0, 0, 1]])
  })

  it('says how to do without where the broker refuses it', async () => {
    await using cluster = await started()
    const refused = { throttleTimeMs: 0, producerId: -1, producerEpoch: -1 }
    cluster.script(InitProducerIdApi, () => ({ ...refused, errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED }))
    const failed = cluster.client().producer({ lingerMs: 0 }).send({ topic: 't', value: 'a' })
    await expect(failed).rejects.toThrow(KafkaError)
    await expect(failed).rejects.toThrow('idempotent: false')
  })

  it('needs acks all, and is not asked for with others', async () => {
    await using cluster = await started()
    const client = cluster.client()
    expect(() => client.producer({ acks: 1, idempotent: true })).toThrow('idempotent is true')
    await client.producer({ acks: 1, lingerMs: 0 }).sendAll(ofT(['a']))
    await client.producer({ idempotent: false, lingerMs: 0 }).sendAll(ofT(['b']))
    expect(numbersOf(cluster.partition('t', 0).batches)).toEqual([
      [-1, -1, -1, 1],
      [-1, -1, -1, 1],
    ])
    expect(cluster.count(InitProducerIdApi)).toBe(0)
  })
})
