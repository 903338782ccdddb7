import { MemoryLogger, SeededRandom } from '@millrace/host'
import { type NodeConfig, readNodeConfig, startNode } from '@millrace/server'
import { SimClock } from '../../src/kernel/clock.ts'
import { drive } from '../../src/kernel/drive.ts'
import { createSchedule, type SimSchedule } from '../../src/kernel/schedule.ts'
import { simWorld } from '../../src/kernel/world.ts'
import { CALM, createNetwork, type SimNetwork } from '../../src/network/sim-network.ts'
import { CALM_DISK } from '../../src/run/plan.ts'
import type { Life, SimStorage, Workload } from '../../src/seams.ts'
import { createAtlas } from '../../src/storage/atlas.ts'
import { createSimStorage } from '../../src/storage/sim-storage.ts'
import type { WorkloadOptions } from '../../src/workload/shape.ts'
import { createWorkload } from '../../src/workload/workload.ts'

const IDS = [1, 2, 3]
const S = 1_000_000

/** Three nodes on virtual time whose machines do what they should; processes may be killed. */
export class CalmCluster {
  readonly schedule: SimSchedule
  readonly workload: Workload
  private readonly network: SimNetwork
  private readonly random: SeededRandom
  private readonly storages = new Map<number, SimStorage>()
  private readonly lives = new Map<number, Life>()

  constructor(seed: string, options: Pick<WorkloadOptions, 'clients' | 'topics' | 'rates'>) {
    this.random = new SeededRandom(seed)
    const { random } = this
    const schedule = createSchedule(random)
    const network = createNetwork({ schedule, random: random.fork('network') }, CALM)
    const atlas = createAtlas({ brokers: IDS, voters: IDS, minInsyncReplicas: 1, failures: false, beyondRepair: false })
    for (const node of IDS)
      this.storages.set(
        node,
        createSimStorage({ schedule, random: random.fork(`disk ${node}`), node, faults: CALM_DISK, atlas }),
      )
    this.schedule = schedule
    this.network = network
    this.workload = createWorkload(
      { schedule, network, random: random.fork('clients') },
      { bootstrap: IDS.map((id) => ({ host: `node${id}`, port: 9092 })), ...options },
    )
    for (const id of IDS) this.start(id)
    schedule.post(0, schedule.newLife('judge'), () => this.workload.start())
  }

  start(id: number): void {
    const { schedule, network, random } = this
    const life = schedule.newLife(`n${id}`)
    this.lives.set(id, life)
    const world = simWorld({
      schedule,
      life,
      host: `node${id}`,
      clock: new SimClock(schedule),
      random: random.fork(`node ${id}`),
      storage: this.storages.get(id) as SimStorage,
      network,
      log: new MemoryLogger(),
    })
    schedule.post(0, life, () => void startNode(world, configOf(id)))
  }

  kill(id: number): void {
    this.schedule.end(this.lives.get(id) as Life)
    this.storages.get(id)?.killed()
  }

  async pass(seconds: number): Promise<void> {
    await drive(this.schedule, { untilUs: this.schedule.nowUs + seconds * S })
  }

  async passUntil(until: () => boolean): Promise<void> {
    const end = await drive(this.schedule, { untilUs: this.schedule.nowUs + 60 * S, until })
    if (end !== 'until') throw new Error('what was waited for does not happen')
  }

  /** The clients come to their end, and others read everything. */
  async readAll(): Promise<void> {
    for (const part of ['quiesce', 'readAll'] as const) {
      let over = false
      this.workload[part](() => (over = true))
      await this.passUntil(() => over)
    }
  }
}

function configOf(id: number): NodeConfig {
  const text = [
    'process.roles=broker,controller',
    `node.id=${id}`,
    `controller.quorum.voters=${IDS.map((each) => `${each}@node${each}:9093`).join()}`,
    `listeners=PLAINTEXT://node${id}:9092,CONTROLLER://node${id}:9093`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs=/data',
    'log.retention.check.interval.ms=500',
    'offsets.topic.num.partitions=2',
    'group.initial.rebalance.delay.ms=0',
    'group.min.session.timeout.ms=1000',
    'group.consumer.session.timeout.ms=2000',
    'group.consumer.heartbeat.interval.ms=300',
  ].join('\n')
  const { config, problems } = readNodeConfig(text, 'localhost')
  if (config === null) throw new Error(JSON.stringify(problems))
  return config
}
