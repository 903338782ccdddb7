// What decisions and images cost in a large cluster. Run: node packages/metadata/bench/image.ts [partitions]
import type { Random } from '@millrace/base'
import { createControllerMachine, createImage, encodeBatch } from '../src/index.ts'
import type { ControllerMachine, FollowedImage, MetadataRecord } from '../src/index.ts'

const PARTITIONS = Number(process.argv[2] ?? 50_000)
const PER_TOPIC = 1000

let state = 1
const uint32 = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0)
const random: Random = {
  uint32,
  below: (n) => (uint32() >>> 3) % n,
  fill(into) {
    for (let i = 0; i < into.length; i++) into[i] = uint32() >>> 24
  },
  fork: () => random,
}

const machine: ControllerMachine = createControllerMachine({
  random,
  properties: new Map([['min.insync.replicas', '2']]),
  maxPartitions: 10_000_000,
})
const image: FollowedImage = createImage()
let index = 0

function timed<T>(what: string, run: () => T): T {
  const started = performance.now()
  const value = run()
  process.stdout.write(`${what.padEnd(60)} ${(performance.now() - started).toFixed(1).padStart(9)} ms\n`)
  return value
}

function commit(records: readonly MetadataRecord[]): Uint8Array {
  index++
  for (const record of records) machine.replay(record, index)
  const payload = encodeBatch(records)
  image.apply(index, payload)
  return payload
}

for (let id = 1; id <= 6; id++) {
  const directory = `${'A'.repeat(20)}${id}A`
  const registration = machine.handle(
    {
      kind: 'registerBroker',
      brokerId: id,
      incarnationId: directory,
      rack: `r${id % 3}`,
      endpoints: [{ name: 'PEER', host: 'h', port: 1, securityProtocol: 'PLAINTEXT' }],
      directories: [directory],
      flushMode: 'fsync',
      protocolVersion: 1,
      previousBrokerEpoch: -1,
      damaged: [],
      previousIsLive: false,
    },
    0,
  )
  commit(registration.records)
  const heartbeat = {
    kind: 'heartbeat',
    brokerId: id,
    brokerEpoch: index,
    appliedIndex: index,
    wantFence: false,
    wantShutdown: false,
    offlineDirectories: [],
  } as const
  commit(machine.handle(heartbeat, 0).records)
}

timed(`create ${PARTITIONS} partitions in topics of ${PER_TOPIC}, 3 replicas on 6 brokers`, () => {
  for (let at = 0; at < PARTITIONS; at += PER_TOPIC) {
    const topic = { name: `t${at}`, partitions: PER_TOPIC, replicationFactor: 3, assignments: [], configs: [] }
    commit(machine.handle({ kind: 'createTopics', topics: [topic], validateOnly: false }, 0).records)
  }
})
const brokerEpoch = machine.image.brokers.get(1)?.epoch as number
const fencing = timed('decide the failure of one broker', () =>
  machine.handle({ kind: 'fenceBroker', brokerId: 1, brokerEpoch }, 0),
)
timed(`  replay and encode its ${fencing.records.length} records`, () => {
  index++
  for (const record of fencing.records) machine.replay(record, index)
  return encodeBatch(fencing.records)
})
const payload = encodeBatch(fencing.records)
timed(`  apply them from their ${payload.length} bytes, as each broker does`, () => image.apply(index, payload))
const snapshot = timed('snapshot', () => image.snapshot())
timed(`  load it (${snapshot.length} bytes)`, () => createImage().load(index, snapshot))
timed('a new machine from an image, as at a change of controller', () =>
  createControllerMachine({ random, properties: new Map() }, image),
)
const one = image.topicByName('t0')?.partitions[0]
timed('10,000 proposals of leaders, one partition each', () => {
  for (let i = 0; i < 10_000; i++) {
    const partition = machine.image.topicByName('t0')?.partitions[i % PER_TOPIC]
    if (partition === undefined || one === undefined) return
    const members = partition.isr.length > 2 ? partition.isr.slice(0, 2) : partition.replicas.filter((id) => id !== 1)
    const isr = members.map((id) => ({ brokerId: id, brokerEpoch: machine.image.brokers.get(id)?.epoch as number }))
    const { records } = machine.handle(
      {
        kind: 'alterPartitions',
        brokerId: partition.leader,
        brokerEpoch: machine.image.brokers.get(partition.leader)?.epoch as number,
        items: [
          {
            ...partition,
            requestId: 1,
            isr: isr.toReversed().filter((m) => m.brokerId === partition.leader || i % 2 === 0),
          },
        ],
      },
      0,
    )
    for (const record of records) machine.replay(record, index)
  }
})
process.stdout.write(`heap ${(process.memoryUsage().heapUsed / 1e6).toFixed(0)} MB with two images\n`)
