import { brokerConfigValue, parseWhole, type Properties, type Timer, type World } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import { compactionIntervalMs, compactionSettings } from './compaction-settings.ts'
import type { BrokerCounters } from './metrics.ts'
import type { OwnDirectories } from './own-directories.ts'
import type { BrokerReplica } from './replica.ts'
import type { BrokerConfig } from './seams.ts'
import { brokerProperties } from './topic-settings.ts'

const CHECKPOINT_US = 5_000_000
/** How often producers that fell silent are looked for, as in Kafka. */
const PRODUCERS_US = 600_000_000
const LONGEST_TICK_MS = 100
const SHORTEST_TICK_MS = 5
/** An idle replica ticks once in so many ticks, and disks are looked at as often. */
const IDLE_TICKS = 10
/** A tick that comes later than this is a stall of the event loop. */
const STALL_US = 20_000

export interface UpkeepHost {
  readonly world: World
  readonly config: BrokerConfig
  readonly counters: BrokerCounters
  readonly own: OwnDirectories
  readonly image: ClusterImage
  replicas(): Iterable<BrokerReplica>
  /** Every tick, after the replicas'. */
  ticked(): void
}

/** What a broker does by the clock: ticks of the replicas, retention, compaction, checkpoints, a look at the disks, and how late it all is. */
export class Upkeep {
  private readonly host: UpkeepHost
  private readonly running = new Map<string, Timer>()
  private readonly tickUs: number
  private lastTickUs = 0
  private ticks = 0

  constructor(host: UpkeepHost) {
    this.host = host
    const { replicaLagTimeMaxMs, sessionTimeoutMs } = host.config
    const tickMs = Math.min(LONGEST_TICK_MS, replicaLagTimeMaxMs / 50, sessionTimeoutMs / 20)
    this.tickUs = Math.max(SHORTEST_TICK_MS, Math.floor(tickMs)) * 1000
  }

  startTicks(): void {
    this.lastTickUs = this.host.world.clock.monotonicUs()
    this.every(
      'tick',
      () => this.tickUs,
      () => this.tick(),
    )
  }

  /** Once the directories are open. */
  startDiskWork(): void {
    const { own, config } = this.host
    const retentionMs = parseWhole(brokerConfigValue(config.properties, 'log.retention.check.interval.ms'))
    this.every(
      'checkpoint',
      () => CHECKPOINT_US,
      () => own.checkpoint(),
    )
    this.every(
      'retention',
      () => retentionMs * 1000,
      () => this.applyRetention(),
    )
    this.every(
      'compaction',
      () => compactionIntervalMs(this.properties) * 1000,
      () => this.compact(),
    )
    this.every(
      'producers',
      () => PRODUCERS_US,
      () => this.expireProducers(),
    )
  }

  end(): void {
    for (const timer of this.running.values()) timer.cancel()
    this.running.clear()
  }

  private tick(): void {
    const now = this.host.world.clock.monotonicUs()
    this.measureStall(now)
    this.ticks++
    for (const replica of this.host.replicas())
      if (replica.dueTicks > 0 || (this.ticks + replica.partition) % IDLE_TICKS === 0) replica.tick(now)
    if (this.ticks % IDLE_TICKS === 0) this.checkRoom()
    this.host.ticked()
  }

  private measureStall(now: number): void {
    const { counters } = this.host
    const late = now - this.lastTickUs - this.tickUs
    this.lastTickUs = now
    if (late < STALL_US) return
    counters.stalls++
    counters.stalledUs += late
    counters.worstStallUs = Math.max(counters.worstStallUs, late)
  }

  /** Tells the replicas of a directory when its disk is full, and when it no longer is. */
  private checkRoom(): void {
    const { own, world } = this.host
    for (const directory of own.list) {
      const { full } = directory.logs
      if (full === directory.full || directory.failure !== null) continue
      directory.full = full
      const fields = { directory: directory.path, usableBytes: directory.logs.usableBytes }
      if (full) world.log.error(fields, 'disk is full: refusing writes')
      else world.log.info(fields, 'disk has room again')
      for (const replica of this.host.replicas()) if (replica.directory === directory.logs) replica.setUnfit(full)
    }
  }

  private applyRetention(): void {
    const now = this.host.world.clock.wallMs()
    for (const replica of this.host.replicas()) replica.applyRetention(now)
  }

  private expireProducers(): void {
    const expirationMs = parseWhole(brokerConfigValue(this.properties, 'producer.id.expiration.ms'))
    const now = this.host.world.clock.wallMs()
    for (const replica of this.host.replicas()) replica.expireProducers(now, expirationMs)
  }

  private compact(): void {
    const settings = compactionSettings(this.properties)
    if (settings !== null) this.host.own.compact(settings)
  }

  /** As they are now: some change while the broker runs. */
  private get properties(): Properties {
    const { config, image } = this.host
    return brokerProperties(image, config.nodeId, config.properties)
  }

  private every(name: string, delayUs: () => number, run: () => void): void {
    const again = (): void => {
      this.running.set(name, this.host.world.timers.after(delayUs(), again))
      run()
    }
    this.running.set(name, this.host.world.timers.after(delayUs(), again))
  }
}
