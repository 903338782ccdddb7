// `node record.ts PORT > verdicts.txt`: asks Apache Kafka at 127.0.0.1 what it says to batches of four producers that number them well, twice, and
// wrongly, one batch after another. Lines: producer id, epoch, base sequence, records, time, and of the answer: error, base offset.
import { ZERO_UUID } from '@millrace/base'
import { connect } from 'node:net'
import { CreateTopicsApi, decodeResponse, encodeRequest, ProduceApi } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { encodeBatch } from '@millrace/records'

const BATCHES = 600
const PRODUCE = 7
const TOPIC = `verdicts-${process.pid}`

const socket = connect(Number(process.argv[2]), '127.0.0.1')
let held = Buffer.alloc(0)
let wake: (() => void) | null = null
socket.on('data', (chunk: Buffer) => {
  held = Buffer.concat([held, chunk])
  wake?.()
})

async function frame(): Promise<Buffer> {
  while (held.length < 4 || held.length < 4 + held.readInt32BE(0))
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  const end = 4 + held.readInt32BE(0)
  const one = held.subarray(4, end)
  held = held.subarray(end)
  return one
}

async function ask<Q, R>(api: Api<Q, R>, version: number, request: Q): Promise<R> {
  socket.write(Buffer.concat(encodeRequest(api, version, 1, 'verdicts', request)))
  return decodeResponse(api, version, await frame()).value
}

interface Sent {
  readonly epoch: number
  readonly base: number
  readonly count: number
}

async function produce(producerId: number, { epoch, base, count }: Sent, timestamp: number): Promise<[number, number]> {
  const one = { timestamp, key: null, value: Uint8Array.of(1) }
  const records = encodeBatch(Array(count).fill(one), { producerId, producerEpoch: epoch, baseSequence: base })
  const { responses } = await ask(ProduceApi, PRODUCE, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 10_000,
    topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }],
  })
  const answer = responses[0]?.partitionResponses[0]
  return [answer?.errorCode ?? -1, answer?.baseOffset ?? -1]
}

let seed = 20261123
function below(limit: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
  return (seed >> 8) % limit
}

/** Of those that Kafka took, oldest first. */
const taken = new Map<number, Sent[]>()

function next(producerId: number): Sent {
  const before = taken.get(producerId) ?? []
  const last = before.at(-1)
  const count = 1 + below(3)
  if (last === undefined) return { epoch: below(3), base: 2 ** 31 - 1 - below(20), count }
  const follows = (last.base + last.count) % 2 ** 31
  const choice = below(20)
  if (choice < 5) return before.at(-1 - below(8)) ?? last
  if (choice < 6) return { ...last, count: last.count + 1 }
  if (choice < 8) return { epoch: last.epoch, base: (follows + 1 + below(4)) % 2 ** 31, count }
  if (choice < 9) return { epoch: last.epoch - 1, base: follows, count }
  if (choice < 10) return { epoch: last.epoch + 1, base: below(2) === 0 ? 0 : follows, count }
  return { epoch: last.epoch, base: follows, count }
}

const topic = { name: TOPIC, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
await ask(CreateTopicsApi, 4, { topics: [topic], timeoutMs: 10_000, validateOnly: false })
await new Promise((resolve) => setTimeout(resolve, 1000))
for (let i = 0; i < BATCHES; i++) {
  const producerId = 1_000_001 + below(4)
  const sent = next(producerId)
  if (sent.epoch < 0) continue
  const timestamp = 1_700_000_000_000 + i
  const [error, baseOffset] = await produce(producerId, sent, timestamp)
  process.stdout.write(`${producerId} ${sent.epoch} ${sent.base} ${sent.count} ${timestamp} ${error} ${baseOffset}\n`)
  if (error === 0) taken.set(producerId, [...(taken.get(producerId) ?? []), sent])
}
socket.end()
