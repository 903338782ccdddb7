import type { World } from '@millrace/base'
import type { BrokerInspection, ReplicaInspection } from '@millrace/broker'
import { minInsyncReplicas, type PartitionImage } from '@millrace/metadata'
import type { NodeView } from '@millrace/server'
import { demand } from './demand.ts'
import { MetadataChecks, partitionKey } from './metadata-checks.ts'
import { type PartitionCounts, PartitionModel, type PartitionRules, ReplicaWatch } from './partition-model.ts'
import { RaftChecks, type RaftWatch } from './raft-checks.ts'
import { type Files, ReplicaMirror } from './replica-mirror.ts'
import { tapPeers, tapRaftStores } from './taps.ts'

/** `peek` is `SimStorage.peek` of each node; `damaged` and `wipes` are what the atlas says. */
export interface InvariantsOptions extends Files {
  /** Every broker syncs before it promises; true unless given. */
  readonly fsync?: boolean
  /** `unclean.leader.election.enable` of the nodes' properties; false unless given. */
  readonly uncleanElection?: boolean
}

export interface InvariantCounts extends PartitionCounts {
  /** Events that were looked at. */
  readonly events: number
  readonly raftCommits: number
  readonly raftElections: number
  /** Metadata logs that went on from a snapshot of others. */
  readonly raftSnapshots: number
  readonly promises: number
  readonly images: number
}

/**
 * What must hold inside the nodes of a cluster, looked at after every event of the node that ran; everything throws `Violation`. Told in this order
 * for each incarnation: `nodeSpawned`, `nodeStarted`, any number of `nodeRan`, `nodeEnded`.
 */
export interface Invariants {
  /** A process begins. It is to be given the world that is returned, which tells what it writes to its Raft store and promises to its peers. */
  nodeSpawned(node: number, life: string, world: World): World
  /** `startNode` gave the node. */
  nodeStarted(node: number, view: NodeView): void
  /** An event of the node is over, the end of its turn and its microtasks included. */
  nodeRan(node: number): void
  /** A machine without a process loses its power too. */
  nodeEnded(node: number, how: 'killed' | 'power-cut' | 'by-itself'): void
  /** A producer was told that the records below `end` are committed. */
  acked(topic: string, partition: number, end: number): void
  /** A consumer was given the record at `offset`. */
  read(topic: string, partition: number, offset: number): void
  /** Whether nothing was ever committed in this partition: whoever leads it, nothing is lost. */
  isBlank(topicId: string, partition: number): boolean
  /** Nothing has been on its way for long enough: the replicas in sync are equal. */
  quiet(): void
  readonly counts: InvariantCounts
}

/** All invariants of Raft, of the metadata and of the partitions of one cluster. */
export function createInvariants(options: InvariantsOptions): Invariants {
  return new ClusterInvariants(options)
}

/** One incarnation of a node. */
interface NodeWatch {
  readonly life: string
  readonly raft: RaftWatch
  view: NodeView | null
  committedIndex: number
  imageIndex: number
  replicaSteps: number
  pass: number
  readonly replicas: Map<ReplicaInspection, ReplicaWatch>
}

class ClusterInvariants implements Invariants {
  private readonly files: Files
  private readonly fsync: boolean
  private readonly raft: RaftChecks
  private readonly metadata: MetadataChecks
  private readonly partitions = new Map<string, PartitionModel>()
  private readonly rules: PartitionRules
  private readonly nodes = new Map<number, NodeWatch>()
  private readonly brokerEpochs = new Map<number, number>()
  private readonly wipes = new Map<number, number>()
  private events = 0

  constructor(options: InvariantsOptions) {
    const { fsync = true, uncleanElection = false } = options
    this.files = options
    this.fsync = fsync
    this.raft = new RaftChecks({
      entryCommitted: (index, kind, payload) => this.metadata.entryCommitted(index, kind, payload),
      mayForget: (node) => this.mayForget(node),
    })
    this.metadata = new MetadataChecks(
      (now, old) => this.decided(now, old),
      (topicId, partitions) => {
        for (let at = 0; at < partitions; at++) this.partitions.delete(partitionKey(topicId, at))
      },
    )
    const counts = {
      batches: 0,
      commits: 0,
      elections: 0,
      uncleanElections: 0,
      elrElections: 0,
      leaderless: 0,
      belowMinimum: 0,
      truncations: 0,
      quarantines: 0,
    }
    this.rules = {
      fsync,
      counts,
      uncleanElection: (topic) => this.mayElectUncleanly(topic) ?? uncleanElection,
      minInsyncReplicas: (topic) => minInsyncReplicas(this.metadata.image, topic),
      limited: (topic) => this.limited(topic),
      brokerEpoch: (id) => this.metadata.image.brokers.get(id)?.epoch,
    }
  }

  get counts(): InvariantCounts {
    const { commits, elections, promises, snapshots } = this.raft.counts
    const { images } = this.metadata.counts
    const { events } = this
    return {
      ...this.rules.counts,
      events,
      raftCommits: commits,
      raftElections: elections,
      raftSnapshots: snapshots,
      promises,
      images,
    }
  }

  // The lives of nodes.

  nodeSpawned(node: number, life: string, world: World): World {
    const raft = this.raft.started(node)
    this.nodes.set(node, {
      life,
      raft,
      view: null,
      committedIndex: 0,
      imageIndex: 0,
      replicaSteps: 0,
      pass: 0,
      replicas: new Map(),
    })
    return {
      ...world,
      peers: tapPeers(world.peers, 'raft', (from, to, frame) => this.raft.sent(raft, from, to, frame)),
      raftStore: tapRaftStores(world.raftStore, () => this.raft.storeTap(raft)),
    }
  }

  nodeStarted(node: number, view: NodeView): void {
    const watch = this.nodes.get(node)
    if (watch !== undefined) watch.view = view
  }

  nodeEnded(node: number, how: 'killed' | 'power-cut' | 'by-itself'): void {
    this.raft.ended(node)
    for (const watch of this.nodes.get(node)?.replicas.values() ?? []) {
      watch.model.watches.delete(watch)
      if (how === 'by-itself') this.lastEvent(watch)
    }
    this.nodes.delete(node)
    for (const { mirrors } of this.partitions.values()) mirrors.get(node)?.ended(how === 'power-cut', this.fsync)
  }

  /** In the event in which it ended itself a process may have taken something in, had it on disk and said so, or have been in the middle of a cut. */
  private lastEvent(watch: ReplicaWatch): void {
    const { mirror, model, replica } = watch
    if (mirror.next(replica.log) === 'on') mirror.follow(replica.log)
    if (replica.machine.role !== 'leader') model.promises.followed(watch)
    mirror.mayBeCut(model.agreement(mirror.list))
  }

  /** Whether a disk has lost anything since this was last asked. */
  private mayForget(node: number): boolean {
    const wipes = this.files.wipes(node)
    const wiped = wipes !== (this.wipes.get(node) ?? 0)
    this.wipes.set(node, wipes)
    return wiped || this.files.damaged(node)
  }

  // After an event.

  nodeRan(node: number): void {
    const watch = this.nodes.get(node)
    const view = watch?.view ?? null
    if (watch === undefined || view === null) return
    this.events++
    const { raft, committed, broker } = view
    if (raft !== null) this.raft.ran(watch.raft, raft)
    if (committed !== null && committed.index !== watch.committedIndex) {
      this.metadata.imageMoved(`controller ${watch.life}`, committed, watch.committedIndex)
      watch.committedIndex = committed.index
    }
    if (broker !== null) this.brokerRan(node, watch, broker)
  }

  private brokerRan(node: number, watch: NodeWatch, broker: BrokerInspection): void {
    const { image, counters } = broker
    if (image.index !== watch.imageIndex) {
      this.metadata.imageMoved(`broker ${watch.life}`, image, watch.imageIndex)
      watch.imageIndex = image.index
      this.brokerEpoch(node, broker.brokerEpoch)
    }
    if (counters.replicaSteps === watch.replicaSteps) return
    watch.replicaSteps = counters.replicaSteps
    watch.pass++
    let seen = 0
    for (const replica of broker.replicas()) {
      const known = watch.replicas.get(replica) ?? this.attach(node, watch, replica)
      known.pass = watch.pass
      known.brokerEpoch = broker.brokerEpoch
      seen++
      if (known.steps !== replica.steps) this.replicaRan(known)
    }
    if (seen < watch.replicas.size) this.detach(watch)
  }

  private brokerEpoch(node: number, epoch: number): void {
    const known = this.brokerEpochs.get(node) ?? -1
    if (epoch === -1) return
    demand(epoch >= known, 'BrokerEpochMonotonic', () => `broker ${node} has epoch ${epoch} after ${known}`)
    this.brokerEpochs.set(node, epoch)
  }

  private attach(node: number, { life, replicas }: NodeWatch, replica: ReplicaInspection): ReplicaWatch {
    const model = this.partitions.get(partitionKey(replica.topicId, replica.partition))
    demand(
      model !== undefined,
      'ImageIsCommitted',
      () => `${life} serves ${replica.topic}-${replica.partition} of ${replica.topicId}, which is not committed`,
    )
    const { directoryId } = replica.directory
    let mirror = model.mirrors.get(node)
    if (mirror === undefined) model.mirrors.set(node, (mirror = new ReplicaMirror(node, directoryId, this.files)))
    const watch = new ReplicaWatch({ replica, model, mirror, life })
    replicas.set(replica, watch)
    model.watches.add(watch)
    return watch
  }

  /** Replicas that are out of service: their logs are in doubt, or their directory failed, or they will be served anew. */
  private detach(watch: NodeWatch): void {
    for (const [replica, known] of watch.replicas) {
      if (known.pass === watch.pass) continue
      watch.replicas.delete(replica)
      known.model.watches.delete(known)
      const { mirror } = known
      const doubt = replica.log.quarantined !== null || replica.machine.inspection.quarantined
      mirror.state = doubt ? 'doubt' : 'down'
      if (!doubt) continue
      this.rules.counts.quarantines++
      demand(
        mirror.damaged || known.model.uncleanEpoch >= 0,
        'QuarantineHasCause',
        () => `${known.name} was quarantined: ${replica.log.quarantined ?? 'its machine asked for it'}`,
      )
    }
  }

  private replicaRan(watch: ReplicaWatch): void {
    const { replica, mirror, model } = watch
    const { log, machine } = replica
    watch.steps = replica.steps
    this.followLog(watch)
    this.own(watch)
    if (machine.role === 'leader') {
      model.led(watch)
      model.promises.counted(watch)
    } else {
      model.promises.followed(watch)
      if (machine.highWatermark !== watch.highWatermark) model.followed(watch, watch.highWatermark)
    }
    watch.leads = machine.role === 'leader' ? machine.leaderEpoch : -1
    watch.leaderEpoch = machine.leaderEpoch
    watch.highWatermark = machine.highWatermark
    watch.logStart = log.logStart
    watch.generation = log.generation
    if (mirror.list.length > watch.checked) model.wrote(watch)
  }

  private followLog(watch: ReplicaWatch): void {
    const { replica, mirror, model } = watch
    const { state, wiped } = mirror
    const how = mirror.next(replica.log)
    const before = mirror.follow(replica.log)
    mirror.state = 'live'
    mirror.directoryId = replica.directory.directoryId
    demand(
      mirror.problem === null || mirror.damaged,
      'LogIsWhole',
      () => `${watch.name}: ${mirror.problem ?? 'no problem'}`,
    )
    if (before === null) return
    // What was in doubt, or lost and mended, begins anew.
    const anew = how === 'recovered' || (how === 'opened' && (wiped || state === 'doubt' || state === 'lost'))
    model.reread(watch, before, anew || how === 'on' ? 'anew' : how)
  }

  /** What one replica owes to itself. */
  private own(watch: ReplicaWatch): void {
    const { machine, log } = watch.replica
    const { name } = watch
    const { highWatermark, leaderEpoch } = machine
    demand(
      leaderEpoch >= watch.leaderEpoch,
      'EpochMonotonic',
      () => `the leader epoch of ${name} falls from ${watch.leaderEpoch} to ${leaderEpoch}`,
    )
    demand(
      log.logStart <= highWatermark && highWatermark <= log.endOffset,
      'HighWatermarkInLog',
      () => `the watermark of ${name} is ${highWatermark}, its log [${log.logStart},${log.endOffset})`,
    )
    demand(
      log.durableEnd <= log.endOffset,
      'DurableInLog',
      () => `${name} is durable up to ${log.durableEnd}, its log ends at ${log.endOffset}`,
    )
    demand(
      log.generation !== watch.generation || log.logStart >= watch.logStart,
      'LogStartMonotonic',
      () => `the log start of ${name} falls from ${watch.logStart} to ${log.logStart}`,
    )
  }

  // What is committed and decided.

  private decided(now: PartitionImage, old: PartitionImage | null): void {
    const key = partitionKey(now.topicId, now.partition)
    const model = this.partitions.get(key)
    if (model === undefined || old === null) this.partitions.set(key, new PartitionModel(now, this.rules))
    else model.decided(now, old)
  }

  private limited(topic: string): boolean {
    const settings = this.metadata.image.configs({ kind: 'topic', name: topic })
    return ['retention.ms', 'retention.bytes'].some((name) => (settings.get(name) ?? '-1') !== '-1')
  }

  private mayElectUncleanly(topic: string): boolean | null {
    const name = 'unclean.leader.election.enable'
    const { image } = this.metadata
    const set =
      image.configs({ kind: 'topic', name: topic }).get(name) ?? image.configs({ kind: 'broker', name: '' }).get(name)
    return set === undefined ? null : set === 'true'
  }

  // What clients were told.

  acked(topic: string, partition: number, end: number): void {
    const model = this.named(topic, partition)
    if (model === null || model.uncleanEpoch >= 0) return
    demand(
      end <= model.end,
      'AckedIsCommitted',
      () => `a producer was told that ${model.name} up to ${end} is committed, committed is ${model.end}`,
    )
  }

  read(topic: string, partition: number, offset: number): void {
    const model = this.named(topic, partition)
    if (model === null || model.uncleanEpoch >= 0) return
    demand(
      offset < model.end,
      'ReadIsCommitted',
      () => `a consumer was given offset ${offset} of ${model.name}, committed is ${model.end}`,
    )
  }

  private named(topic: string, partition: number): PartitionModel | null {
    if (this.metadata.reused.has(topic)) return null
    const found = this.metadata.image.topicByName(topic)
    return found === null ? null : (this.partitions.get(partitionKey(found.id, partition)) ?? null)
  }

  isBlank(topicId: string, partition: number): boolean {
    return this.partitions.get(partitionKey(topicId, partition))?.blank ?? true
  }

  quiet(): void {
    for (const model of this.partitions.values()) model.quiet()
  }
}
