import { SeededRandom } from '@millrace/host'
import type { DiskFaults, NetworkFaults } from '../seams.ts'
import { type Act, ACT_KINDS, type ActKind, hostOf } from './act.ts'
import { Draw } from './draw.ts'
import { drawTape, type TapeShape } from './tape.ts'

/** One node of a plan. */
export interface NodePlan {
  readonly id: number
  readonly broker: boolean
  readonly controller: boolean
  /** How fast its clocks run, in parts per million beside true time, and how wrong its wall clock is from the start. */
  readonly driftPpm: number
  readonly wallOffsetMs: number
}

/** The clients of a plan. */
export interface ClientsPlan {
  readonly count: number
  readonly topics: readonly TopicPlan[]
}

export interface TopicPlan {
  readonly name: string
  readonly partitions: number
  readonly replicas: number
  readonly minInSync: number
}

/** Everything about a run: plain values, so that it can be printed, reduced, kept as a scenario and run again. */
export interface Plan {
  readonly seed: number
  readonly nodes: readonly NodePlan[]
  /** Settings of every node, by Kafka's keys. */
  readonly properties: Readonly<Record<string, string>>
  readonly clients: ClientsPlan
  readonly network: NetworkFaults
  readonly disk: DiskFaults
  /** Faults and load until here; then everything heals. */
  readonly horizonUs: number
  readonly acts: readonly Act[]
  /** Nodes that stay down in the healed phase: a core that is left must do. */
  readonly lost: readonly number[]
}

/** A network that only delays. */
export const CALM_NETWORK: NetworkFaults = {
  delayMinUs: 200,
  delayMeanUs: 500,
  breakPer10k: 0,
  retransmitPer10k: 0,
  retransmitMeanUs: 0,
  deliverAfterBreakPercent: 0,
}

/** A disk that only takes its time. A power cut still loses what was not synced. */
export const CALM_DISK: DiskFaults = {
  delayMinUs: 50,
  delayMeanUs: 300,
  slowPer100k: 0,
  readErrorPer100k: 0,
  writeErrorPer100k: 0,
  syncErrorPer100k: 0,
  fullPer100k: 0,
  survivesPercent: 50,
  garbagePercent: 10,
}

const S = 1_000_000
const LAYERED_PERCENT = 10
const LAYERS = 3

/** Draws a run from its seed. */
export function drawPlan(seed: number): Plan {
  const random = new SeededRandom(`plan/${seed}`)
  const nodes = drawNodes(new Draw(random.fork('nodes')))
  const clients = drawClients(new Draw(random.fork('clients')), nodes)
  const properties = drawProperties(new Draw(random.fork('properties')))
  const rates = new Draw(random.fork('rates'))
  const faultless = rates.chance(8)
  const horizonUs = rates.between(25, 60) * S
  const shape = {
    nodes: nodes.map(({ id }) => id),
    clients: Array.from({ length: clients.count }, (_, at) => `client-${at + 1}`),
    fromUs: rates.pick([0, 3, 5]) * S,
    toUs: horizonUs - 2 * S,
    without: [...rates.subset(ACT_KINDS, rates.pick([0, 20, 50])), ...forbiddenKinds(properties)],
  }
  return {
    seed,
    nodes,
    properties,
    clients,
    network: faultless ? CALM_NETWORK : drawNetwork(rates),
    disk: faultless ? CALM_DISK : drawDisk(rates),
    horizonUs,
    acts: faultless ? [] : drawActs(random, shape),
    lost: faultless ? [] : drawLost(rates, nodes),
  }
}

/** In some runs several tapes lie over each other: what each of them alone is healed from before the next fault comes then coincides. */
function drawActs(random: SeededRandom, shape: TapeShape): readonly Act[] {
  const layers = new Draw(random.fork('layers')).chance(LAYERED_PERCENT) ? LAYERS : 1
  const tapes = Array.from({ length: layers }, () => drawTape(new Draw(random.fork('acts')), shape))
  return tapes.flat().sort((a, b) => a.atUs - b.atUs)
}

/** In the page cache alone, what was acknowledged does not survive the power: that was not promised. */
function forbiddenKinds(properties: Plan['properties']): readonly ActKind[] {
  return properties['flush.mode'] === 'pagecache' ? ['power-cut'] : []
}

function drawNodes(draw: Draw): readonly NodePlan[] {
  const shape = draw.weighted({ one: 6, three: 70, five: 14, split: 10 })
  const clocks = () => ({
    driftPpm: draw.chance(50) ? 0 : draw.between(-500, 500),
    wallOffsetMs: draw.chance(50) ? 0 : draw.between(-5_000, 5_000),
  })
  const node = (id: number, broker: boolean, controller: boolean): NodePlan => ({ id, broker, controller, ...clocks() })
  if (shape === 'split') return [1, 2, 3, 4, 5, 6].map((id) => node(id, id > 3, id <= 3))
  const count = { one: 1, three: 3, five: 5 }[shape]
  // A fifth of clusters of five has three voters.
  const voters = count === 5 && draw.chance(40) ? 3 : count
  return Array.from({ length: count }, (_, at) => node(at + 1, true, at < voters))
}

function drawClients(draw: Draw, nodes: readonly NodePlan[]): ClientsPlan {
  const brokers = nodes.filter(({ broker }) => broker).length
  const replicas = Math.min(3, brokers)
  const topics = Array.from({ length: draw.between(1, 3) }, (_, at) => {
    const ofTopic = at === 0 || draw.chance(70) ? replicas : draw.between(1, replicas)
    return {
      name: `topic-${at + 1}`,
      partitions: draw.between(1, 3),
      replicas: ofTopic,
      minInSync: draw.chance(75) ? Math.max(1, ofTopic - 1) : draw.between(1, ofTopic),
    }
  })
  return { count: draw.between(2, 5), topics }
}

/** Time-outs shorter than production's, so that more of them pass in a run; sizes small, so that segments roll and snapshots are taken. */
function drawProperties(draw: Draw): Readonly<Record<string, string>> {
  const sessionMs = draw.pick([2_000, 4_000, 9_000])
  return {
    'flush.mode': draw.chance(90) ? 'fsync' : 'pagecache',
    'broker.session.timeout.ms': String(sessionMs),
    'broker.heartbeat.interval.ms': String(Math.floor(sessionMs / 4)),
    'controller.quorum.election.timeout.ms': String(draw.pick([500, 1_000, 2_000, 5_000])),
    'replica.lag.time.max.ms': String(draw.pick([1_500, 4_000, 10_000])),
    'replica.high.watermark.checkpoint.interval.ms': String(draw.pick([200, 1_000, 5_000])),
    'metadata.log.max.record.bytes.between.snapshots': String(draw.pick([1_000, 10_000, 20_971_520])),
    'log.segment.bytes': String(draw.pick([1_048_576, 1_073_741_824])),
    'log.roll.ms': String(draw.pick([300, 2_000, 604_800_000])),
    'log.retention.check.interval.ms': '2000',
    'leader.imbalance.check.interval.seconds': String(draw.pick([3, 300])),
    'auto.create.topics.enable': 'false',
    'controlled.shutdown.timeout.ms': '5000',
    // Small enough now and then for files to be used again within a run.
    'journal.file.bytes': String(draw.pick([8_192, 65_536, 33_554_432])),
    'offsets.topic.num.partitions': String(draw.between(1, 3)),
    'group.initial.rebalance.delay.ms': String(draw.pick([0, 500])),
    'group.min.session.timeout.ms': '1000',
    'group.consumer.session.timeout.ms': String(draw.pick([2_000, 5_000])),
    'group.consumer.heartbeat.interval.ms': String(draw.pick([300, 800])),
    'max.incremental.fetch.session.cache.slots': String(draw.pick([1, 1_000, 1_000])),
    // What is compacted is no longer what was written: the models of logs would have to know.
    'log.cleaner.enable': 'false',
  }
}

function drawNetwork(draw: Draw): NetworkFaults {
  return {
    delayMinUs: draw.pick([50, 200, 1_000, 10_000]),
    delayMeanUs: draw.pick([200, 1_000, 5_000, 30_000]),
    breakPer10k: draw.rate(60, 50),
    retransmitPer10k: draw.rate(50, 1_000),
    retransmitMeanUs: draw.pick([10_000, 200_000, 200_000, 1_000_000]),
    deliverAfterBreakPercent: draw.between(0, 100),
  }
}

function drawDisk(draw: Draw): DiskFaults {
  return {
    delayMinUs: draw.pick([20, 100, 1_000]),
    delayMeanUs: draw.pick([100, 1_000, 8_000]),
    slowPer100k: draw.rate(60, 300),
    readErrorPer100k: draw.rate(75, 30),
    writeErrorPer100k: draw.rate(75, 30),
    syncErrorPer100k: draw.rate(75, 30),
    fullPer100k: draw.rate(75, 30),
    survivesPercent: draw.between(0, 100),
    garbagePercent: draw.pick([0, 10, 50]),
  }
}

/** In a quarter of the runs the healed cluster has to do without one node. */
function drawLost(draw: Draw, nodes: readonly NodePlan[]): readonly number[] {
  if (nodes.length < 3 || !draw.chance(25)) return []
  return [draw.pick(nodes).id]
}

/** The lines of a node's server.properties. */
export function propertiesOf(plan: Plan, id: number): string {
  const node = plan.nodes.find((each) => each.id === id) as NodePlan
  const roles = [...(node.broker ? ['broker'] : []), ...(node.controller ? ['controller'] : [])]
  const replicas = Math.min(3, plan.nodes.filter(({ broker }) => broker).length)
  const host = hostOf(id)
  const listeners = [`CONTROLLER://${host}:9093`, ...(node.broker ? [`PLAINTEXT://${host}:9092`] : [])]
  const settings: Record<string, string> = {
    'process.roles': roles.join(','),
    'node.id': String(id),
    'controller.quorum.voters': plan.nodes
      .filter(({ controller }) => controller)
      .map((voter) => `${voter.id}@${hostOf(voter.id)}:9093`)
      .join(','),
    listeners: listeners.join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': '/data',
    'default.replication.factor': String(replicas),
    'min.insync.replicas': String(Math.max(1, replicas - 1)),
    'offsets.topic.replication.factor': String(replicas),
    ...plan.properties,
  }
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}`)
    .join('\n')
}
