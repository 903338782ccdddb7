// Steps per second of the hot inputs, and what they leave on the heap: node packages/replication/bench/steps.ts
import { createPartition, type PartitionInput, type PartitionMachine, type PartitionState } from '../src/index.ts'
import { ModelLog } from '../src/model/model-log.ts'
import { SeededRandom } from '../test/seeded-random.ts'

const STATE: PartitionState = {
  replicas: [1, 2, 3],
  isr: [1, 2, 3],
  elr: [],
  leader: 1,
  leaderEpoch: 1,
  partitionEpoch: 1,
  uncleanlyElected: false,
  minInsyncReplicas: 2,
}
const BROKERS = new Map([1, 2, 3].map((id) => [id, { epoch: id, eligible: true }]))

function machineOf(brokerId: number): PartitionMachine {
  const machine = createPartition(
    { brokerId, brokerEpoch: brokerId, topicId: 'AAAAAAAAAAAAAAAAAAAAAg', partition: 0 },
    { logStart: 0, endOffset: 0, durableEnd: 0, lastEpoch: -1, highWatermark: 0, generation: 0 },
    new ModelLog(),
    { flushMode: 'fsync', lagTimeMaxUs: 30_000_000, random: new SeededRandom(brokerId) },
  )
  machine.step({ kind: 'tick', nowUs: 0 })
  machine.step({ kind: 'metadata', state: STATE, brokers: BROKERS })
  return machine
}

function leader(): PartitionMachine {
  const machine = machineOf(1)
  for (const from of [2, 3]) {
    machine.step({
      kind: 'follow',
      from,
      brokerEpoch: from,
      leaderEpoch: 1,
      session: from,
      endOffset: 0,
      lastEpoch: -1,
      logStart: 0,
    })
    machine.step({ kind: 'ack', from, session: from, durableEnd: 0, logStart: 0 })
  }
  return machine
}

interface Follower {
  readonly machine: PartitionMachine
  readonly session: number
}

function follower(): Follower {
  const machine = machineOf(2)
  const asked = machine.step({ kind: 'peerOpened', peer: 1 }).send[0]
  const session = asked?.kind === 'follow' ? asked.session : 0
  machine.step({
    kind: 'fromLeader',
    from: 1,
    message: { kind: 'accepted', session, leaderEpoch: 1, highWatermark: 0, logStart: 0 },
  })
  return { machine, session }
}

/** One batch replicated: appended, durable, and an ack of each follower. Inputs are built outside of the clock. */
function leaderInputs(batches: number): PartitionInput[] {
  const inputs: PartitionInput[] = []
  for (let end = 1; end <= batches; end++)
    inputs.push(
      { kind: 'appended', endOffset: end, generation: 0 },
      { kind: 'durable', endOffset: end, generation: 0 },
      { kind: 'ack', from: 2, session: 2, durableEnd: end, logStart: 0 },
      { kind: 'ack', from: 3, session: 3, durableEnd: end, logStart: 0 },
    )
  return inputs
}

function followerInputs(batches: number, session: number): PartitionInput[] {
  const inputs: PartitionInput[] = []
  for (let end = 1; end <= batches; end++) {
    const header = { kind: 'append', session, baseOffset: end - 1, endOffset: end, lastEpoch: 1 } as const
    inputs.push(
      { kind: 'fromLeader', from: 1, message: { ...header, highWatermark: end - 1, logStart: 0 } },
      { kind: 'durable', endOffset: end, generation: 0 },
    )
  }
  return inputs
}

function measure(what: string, machine: PartitionMachine, inputs: readonly PartitionInput[]): void {
  const heapBefore = process.memoryUsage().heapUsed
  const started = performance.now()
  let sent = 0
  for (const input of inputs) sent += machine.step(input).send.length
  const seconds = (performance.now() - started) / 1000
  const perStep = Math.max(0, (process.memoryUsage().heapUsed - heapBefore) / inputs.length)
  const rate = Math.round(inputs.length / seconds).toLocaleString('en')
  process.stdout.write(
    `${what}: ${rate} steps/s, about ${perStep.toFixed(0)} bytes allocated a step, ${sent} messages, watermark ${machine.highWatermark}\n`,
  )
}

for (const batches of [20_000, 100_000]) {
  measure(`leader, ${batches} batches on 3 replicas`, leader(), leaderInputs(batches))
  const { machine, session } = follower()
  measure(`follower, ${batches} batches`, machine, followerInputs(batches, session))
}
const idle = leader()
measure(
  'leader, idle ticks',
  idle,
  Array.from({ length: 200_000 }, (_, at) => ({ kind: 'tick', nowUs: at * 100_000 })),
)
