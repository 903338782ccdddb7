import { SeededRandom } from '@millrace/host'
import type { World } from '@millrace/base'
import type { PartitionImage } from '@millrace/metadata'
import { inspectNode, type Node, readNodeConfig } from '@millrace/server'
import { checkHistory } from '../history/check-history.ts'
import { createInvariants } from '../invariants/invariants.ts'
import { SimClock } from '../kernel/clock.ts'
import { drive } from '../kernel/drive.ts'
import { guarded } from '../kernel/guard.ts'
import { LifeEnded } from '../kernel/life.ts'
import { createSchedule } from '../kernel/schedule.ts'
import { createNetwork } from '../network/sim-network.ts'
import { type Life, type Operation, Violation, type Workload } from '../seams.ts'
import { type AtlasOptions, createAtlas } from '../storage/atlas.ts'
import { createSimStorage } from '../storage/sim-storage.ts'
import { type UserLoadParts, UserWorkload } from '../user/user-workload.ts'
import { createWorkload } from '../workload/workload.ts'
import { withoutAcceptedLoss } from './accepted-loss.ts'
import { hostOf } from './act.ts'
import { Cluster } from './cluster.ts'
import { unproductive, unsettled } from './convergence.ts'
import { Nemesis } from './nemesis.ts'
import { Operator } from './operator.ts'
import { type Plan, propertiesOf } from './plan.ts'
import { Recovery } from './recovery.ts'
import { withoutDamage } from './found-damage.ts'
import { countOperations, type RunReport, type ViolationReport } from './report.ts'
import { asViolation, forbiddenEnd, stackOf, tellEnd } from './ends.ts'
import { type NodeEnd, type NodeWatcher, SimNode } from './sim-node.ts'
import { Sightings } from './sightings.ts'
import { Story } from './story.ts'

const S = 1_000_000
/** How long a healed cluster may take to settle, and then to take a produce at each partition. */
const SETTLE_US = 90 * S
/** How often it is looked at. */
const LOOK_US = 100_000
/** After the last write everything is on its way to where it belongs for this long at most. */
const QUIET_US = 3 * S
/** So many events are no longer a run but a storm. */
const STORM_EVENTS = 4_000_000

/** One run of one plan: builds its world, drives it through its phases, and tells what came out. */
export class Simulation implements NodeWatcher {
  private readonly plan: Plan
  private readonly random: SeededRandom
  private readonly schedule
  private readonly network
  private readonly atlas
  private readonly invariants
  private readonly cluster: Cluster
  private readonly workload: Workload
  private readonly ownClients: boolean
  private readonly nemesis: Nemesis
  private readonly recovery: Recovery
  private readonly story: Story
  private readonly sightings = new Sightings()
  private readonly judge: Life
  /** The node of each process that lives. */
  private readonly processes = new Map<Life, number>()
  /** When the operator had partitions led that may have lost something, by `topic-partition`. */
  private readonly acceptedLosses = new Map<string, number>()
  private violation: ViolationReport | null = null

  /** With `load`, a user's function takes the place of the plan's clients. */
  constructor(plan: Plan, load: UserLoadParts['run'] | null = null) {
    this.plan = plan
    this.ownClients = load === null
    this.random = new SeededRandom(`run/${plan.seed}`)
    this.schedule = createSchedule(this.random.fork('schedule'))
    const { schedule, random } = this
    this.network = createNetwork({ schedule, random: random.fork('network') }, plan.network)
    this.invariants = createInvariants({
      peek: (node, path, at, into) => this.cluster.node(node).machine.storage.peek(path, at, into),
      damaged: (node) => this.atlas.isRotten(node),
      wipes: (node) => this.atlas.wipesOf(node),
      fsync: !this.inPageCache,
    })
    this.atlas = createAtlas(atlasOptions(plan))
    this.story = new Story(() => schedule.nowUs)
    this.judge = schedule.newLife('judge')
    this.cluster = new Cluster(
      plan.nodes.map(({ id }) => this.newNode(id)),
      { schedule, network: this.network, atlas: this.atlas },
    )
    this.workload = this.newWorkload(load)
    this.recovery = new Recovery(this.cluster, this.atlas)
    const { network, cluster, atlas } = this
    this.nemesis = new Nemesis({
      plan,
      schedule,
      network,
      cluster,
      atlas,
      tell: (text) => this.story.tell('nemesis', text),
    })
  }

  async run(storyLines: number): Promise<RunReport> {
    const started = performance.now()
    const rejected = (reason: unknown): void => this.rejected(reason)
    process.on('unhandledRejection', rejected)
    try {
      await guarded(() => this.phases())
    } catch (error) {
      this.broken(asViolation(error))
    } finally {
      // What was rejected last is told when the event loop gets to it.
      await new Promise((resolve) => setImmediate(resolve))
      process.off('unhandledRejection', rejected)
    }
    return this.report(performance.now() - started, storyLines)
  }

  private async phases(): Promise<void> {
    this.cluster.startAll()
    this.nemesis.start()
    this.schedule.post(0, this.judge, () => this.workload.start())
    this.watchRecovery()
    await this.drive(this.plan.horizonUs)
    this.nemesis.freeze()
    const lost = this.mayLose()
    this.story.tell('nemesis', `everything heals${lost.length > 0 ? ` but ${lost.map(hostOf).join(', ')}` : ''}`)
    this.cluster.heal(lost)
    this.operate()
    await this.converge(lost)
    for (const id of lost) this.cluster.bringBack(id)
    if (lost.length > 0) await this.converge([])
    await this.until('clients-come-to-an-end', (done) => this.workload.quiesce(done))
    await this.replaceDisks()
    await this.drive(this.schedule.nowUs + QUIET_US)
    this.invariants.quiet()
    await this.until('final-reads-come-to-an-end', (done) => this.workload.readAll(done))
    const told = withoutAcceptedLoss(this.workload.history, this.acceptedLosses)
    const [first] = checkHistory(withoutDamage(told, this.nemesis.done.has('damage')))
    if (first !== undefined) throw first
  }

  // The phases' parts.

  private async converge(lost: readonly number[]): Promise<void> {
    await this.waitUntil('liveness', () => unsettled(this.cluster.nodes, lost))
    if (!this.ownClients) return
    const { nodes } = this.cluster
    const { history } = this.workload
    const { topics } = this.plan.clients
    const sinceUs = this.schedule.nowUs
    await this.waitUntil('liveness', () => unproductive(nodes, lost, { topics, history, sinceUs }))
    // The last copies of what groups committed may be on nodes that are lost.
    if (lost.length === 0) await this.waitUntil('group-liveness', () => this.workload.lagging(sinceUs))
  }

  /** Rot that nobody has met yet sits in disks that serve: before everything is read and compared, their owner replaces them. */
  private async replaceDisks(): Promise<void> {
    const { cluster, recovery, schedule, judge } = this
    for (const node of cluster.nodes.filter(({ machine }) => !machine.storage.intact)) {
      schedule.post(0, judge, () => {
        cluster.kill(node.id, LOOK_US)
        cluster.wipe(node)
      })
      await this.drive(schedule.nowUs + LOOK_US)
      await this.waitUntil('liveness', () => (recovery.missing(node.id) ? `node ${node.id} does not recover` : null))
    }
    await this.waitUntil('liveness', () => unsettled(cluster.nodes, []))
  }

  private async waitUntil(invariant: string, why: () => string | null): Promise<void> {
    const deadline = this.schedule.nowUs + SETTLE_US
    for (let reason = why(); reason !== null; reason = why()) {
      if (this.schedule.nowUs >= deadline)
        throw new Violation(invariant, `${SETTLE_US / S} s after all was healed: ${reason}`)
      await this.drive(this.schedule.nowUs + LOOK_US)
    }
  }

  private async until(invariant: string, begin: (done: () => void) => void): Promise<void> {
    let over = false
    this.schedule.post(0, this.judge, () => begin(() => (over = true)))
    await this.waitUntil(invariant, () => (over ? null : 'not yet'))
  }

  private async drive(untilUs: number): Promise<void> {
    const { schedule } = this
    await drive(schedule, {
      untilUs,
      until: () => this.violation !== null,
      maxEvents: STORM_EVENTS - schedule.events,
      afterEvent: () => this.afterEvent(),
    })
    if (this.violation !== null) throw new Violation(this.violation.invariant, this.violation.detail)
    if (schedule.events >= STORM_EVENTS) throw new Violation('storm', `${STORM_EVENTS} events and no end`)
  }

  private afterEvent(): void {
    const node = this.processes.get(this.schedule.lastLife as Life)
    if (node !== undefined) this.invariants.nodeRan(node)
  }

  /** A node is missed only where the others have all that is committed, and know of each other: a cluster forms once all of its voters have come. */
  private mayLose(): readonly number[] {
    const { lost } = this.plan
    if (this.invariants.counts.commits === 0) return []
    return this.atlas.damagedNodes.every((id) => lost.includes(id)) ? lost : []
  }

  /** What a client was told is held against the nodes at once. */
  private clientTold({ kind, outcome, acks, topic, partition, values }: Operation): void {
    if (outcome !== 'ok') return
    const last = values.at(-1)?.offset ?? -1
    if (last < 0) return
    if (kind === 'send' && acks === -1) this.invariants.acked(topic, partition, last + 1)
    if (kind === 'poll') this.invariants.read(topic, partition, last)
  }

  private watchRecovery(): void {
    this.schedule.post(500_000, this.judge, () => {
      for (const id of this.recovery.look()) this.story.tell(hostOf(id), 'has everything again')
      this.watchRecovery()
    })
  }

  /** From now on somebody looks after the cluster. */
  private operate(): void {
    const { cluster, workload, schedule, judge } = this
    const operator = new Operator({
      nodes: cluster.nodes,
      mayForce: (partition) => this.mayForce(partition),
      elect: (topic, partition) => {
        this.story.tell('operator', `has ${topic}-${partition} led again, whoever leads it`)
        if (this.inPageCache) this.acceptedLosses.set(`${topic}-${partition}`, schedule.nowUs)
        workload.elect(topic, partition)
      },
    })
    const look = (): void => {
      operator.look(schedule.nowUs)
      schedule.post(S, judge, look)
    }
    schedule.post(S, judge, look)
  }

  /** A log in page-cache mode is in doubt once its process died: with one disk gone, the cluster may count on nobody, whoever has everything. */
  private mayForce({ topicId, partition, replicas }: PartitionImage): boolean {
    if (this.inPageCache && replicas.some((id) => this.atlas.wipesOf(id) > 0)) return true
    return this.invariants.isBlank(topicId, partition)
  }

  private get inPageCache(): boolean {
    return this.plan.properties['flush.mode'] === 'pagecache'
  }

  // What happens to nodes.

  spawned(node: SimNode, life: Life, world: World): World {
    this.story.tell(hostOf(node.id), `${life.name} begins`)
    this.processes.set(life, node.id)
    return this.invariants.nodeSpawned(node.id, life.name, world)
  }

  started(node: SimNode, running: Node): void {
    this.invariants.nodeStarted(node.id, inspectNode(running))
  }

  ready(node: SimNode): void {
    this.story.tell(hostOf(node.id), 'serves')
  }

  ended(node: SimNode, life: Life, end: NodeEnd): void {
    this.processes.delete(life)
    const how = end.how === 'fatal' ? 'by-itself' : end.how === 'power-cut' ? end.how : 'killed'
    this.invariants.nodeEnded(node.id, how)
    this.story.tell(hostOf(node.id), tellEnd(end))
    const violation = forbiddenEnd(end, this.nemesis.mayHaveFailed(node.id))
    if (violation !== null) this.broken(violation)
    if (this.violation === null) this.cluster.ended(node, end)
  }

  line(node: SimNode, level: string, text: string): void {
    this.sightings.line(text)
    this.story.tell(hostOf(node.id), level === 'info' ? text : `${level}: ${text}`)
  }

  // Building and telling.

  private newWorkload(load: UserLoadParts['run'] | null): Workload {
    const { plan, schedule, network } = this
    const bench = { schedule, network, random: this.random.fork('clients') }
    const brokers = plan.nodes.filter(({ broker }) => broker)
    const options = {
      bootstrap: brokers.map(({ id }) => ({ host: hostOf(id), port: 9092 })),
      told: (operation: Operation) => this.clientTold(operation),
    }
    if (load === null)
      return createWorkload(bench, {
        ...options,
        clients: plan.clients.count,
        topics: plan.clients.topics,
        calmFromUs: plan.horizonUs,
      })
    const failed = (cause: unknown): void => this.broken(new Violation('workload', stackOf(cause)))
    return new UserWorkload({ bench, options, brokers: brokers.length, run: load, failed })
  }

  private newNode(id: number): SimNode {
    const { schedule, network, plan, atlas } = this
    const { driftPpm, wallOffsetMs } = plan.nodes.find((node) => node.id === id) ?? { driftPpm: 0, wallOffsetMs: 0 }
    const { config, problems } = readNodeConfig(propertiesOf(plan, id), hostOf(id))
    if (config === null) throw new Error(problems.map(({ message }) => message).join('\n'))
    const random = this.random.fork(hostOf(id))
    const clock = new SimClock(schedule, { driftPpm, wallOffsetMs })
    const storage = createSimStorage({
      schedule,
      atlas,
      node: id,
      random: random.fork('storage'),
      faults: plan.disk,
      wallMs: () => clock.wallMs(),
    })
    return new SimNode({ id, host: hostOf(id), config, storage, clock, random }, { schedule, network }, this)
  }

  /** A process would have ended here. One that ended itself inside of a promise has ended already. */
  private rejected(reason: unknown): void {
    if (!(reason instanceof LifeEnded)) this.broken(new Violation('unhandled-rejection', stackOf(reason)))
  }

  private broken(violation: Violation): void {
    this.violation ??= {
      invariant: violation.invariant,
      detail: violation.message.slice(violation.invariant.length + 2),
      atUs: this.schedule.nowUs,
      event: this.schedule.events,
    }
  }

  private report(realMs: number, storyLines: number): RunReport {
    const { schedule, workload, violation } = this
    const lines = storyLines > 0 ? storyLines : violation === null ? 0 : 60
    return {
      seed: this.plan.seed,
      digest: schedule.digest,
      violation,
      events: schedule.events,
      virtualUs: schedule.nowUs,
      realMs,
      faults: Object.fromEntries(this.nemesis.done),
      paths: this.sightings.tell(this.invariants.counts, workload.history),
      counts: {
        ...countOperations(workload.history),
        incarnations: this.cluster.nodes.reduce((sum, node) => sum + node.incarnations, 0),
      },
      story: lines === 0 ? [] : this.story.last(lines, workload.history),
    }
  }
}

function atlasOptions({ nodes, clients }: Plan): AtlasOptions {
  return {
    brokers: nodes.filter(({ broker }) => broker).map(({ id }) => id),
    voters: nodes.filter(({ controller }) => controller).map(({ id }) => id),
    minInsyncReplicas: Math.min(
      ...clients.topics.map(({ minInSync }) => minInSync),
      clients.topics.length === 0 ? 1 : Infinity,
    ),
    failures: true,
    beyondRepair: false,
  }
}
