import {
  brokerConfigValue,
  parseWhole,
  type Accepted,
  type Refusal,
  type PeerStream,
  type Timer,
  type World,
} from '@millrace/base'
import type { CommittedOffset, GroupView, Rebalance } from '@millrace/groups'
import type { ClusterImage, TopicImage } from '@millrace/metadata'
import type { Hello } from '@millrace/rpc'
import type { SteadyTime } from '../groups/steady-time.ts'
import type { BrokerConfig } from '../seams.ts'
import { brokerProperties, topicSettings } from '../topic-settings.ts'
import { type LogFacts, reportOf, type Retention } from './lag-report.ts'
import { acceptQuestions, type OffsetStreamsHost } from './offset-streams.ts'
import { RecordTimes } from './record-times.ts'
import type { GroupLag, GroupLags } from './seams.ts'
import { Slices } from './slices.ts'
import { Survey } from './survey.ts'
import { WatchedGroup } from './watched-group.ts'
import { type WatchedLog, WatchedLogs } from './watched-logs.ts'

/** So many committed offsets are looked at in one turn of the event loop: well below a millisecond. */
const SLICE = 500

export interface LagServiceHost extends OffsetStreamsHost {
  readonly world: World
  readonly config: BrokerConfig
  readonly image: ClusterImage
  serving(): boolean
  /** The groups that this broker coordinates, and the time that their commits are dated by. */
  readonly groups: { views(): Iterable<GroupView>; readonly time: SteadyTime }
}

/**
 * Looks at intervals how far the groups of this broker are behind. A survey collects which partitions they have committed for, finds out
 * where those logs begin and end, and then holds every commit against its log. All of it in slices between which others have their
 * turn, nothing of it when a client asks something; what it costs is bounded by the number of committed offsets.
 */
export class LagService implements GroupLags {
  surveyedMs: number | null = null
  private readonly host: LagServiceHost
  private readonly intervalMs: number
  private readonly survey: Survey
  private readonly slices: Slices
  private readonly times: RecordTimes
  private readonly groups = new Map<string, WatchedGroup>()
  private readonly logs = new WatchedLogs()
  private timer: Timer | null = null
  private surveys = 0

  constructor(host: LagServiceHost) {
    this.host = host
    this.intervalMs = parseWhole(brokerConfigValue(host.config.properties, 'group.lag.interval.ms'))
    this.slices = new Slices(host.world.timers)
    this.times = new RecordTimes(host.world.log)
    this.survey = new Survey(host, ({ topicId, partition }, { logStart, highWatermark }) => {
      const topic = host.image.topics.get(topicId)
      const log = topic === undefined ? null : this.logs.find(topic, partition)
      log?.history.look({ logStart, logEnd: highWatermark, nowMs: host.groups.time.nowMs() })
    })
  }

  start(): void {
    if (this.intervalMs === 0) return
    this.timer = this.host.world.timers.after(this.intervalMs * 1000, () => this.begin())
  }

  end(): void {
    this.timer?.cancel()
    this.slices.end()
    this.survey.end()
    this.times.end()
  }

  /** Another broker's stream of questions about logs that this one leads. */
  accept(hello: Hello, stream: PeerStream): Accepted | Refusal {
    return acceptQuestions(this.host, hello, stream)
  }

  rebalanced(rebalance: Rebalance): void {
    this.watched(rebalance.groupId).rebalances.add(rebalance)
  }

  // What is told.

  *all(): Iterable<GroupLag> {
    const retentions = new Map<string, Retention>()
    for (const group of this.host.groups.views()) yield this.report(group, retentions)
  }

  of(group: GroupView): GroupLag {
    return this.report(group, new Map())
  }

  /** `retentions` are those of the topics that were met before: they are worked out once. */
  private report(group: GroupView, retentions: Map<string, Retention>): GroupLag {
    const facts = (name: string, partition: number): LogFacts | null => {
      const topic = this.topicOf(name, partition)
      if (topic === null) return null
      const retention = retentions.get(name) ?? this.retentionOf(name)
      retentions.set(name, retention)
      const log = this.logs.find(topic, partition)
      if (log !== null) this.survey.lookHere(log)
      return { history: log?.history ?? null, retention }
    }
    return reportOf(group, {
      watched: this.groups.get(group.groupId) ?? null,
      nowMs: this.host.groups.time.nowMs(),
      facts,
    })
  }

  /** Null where there is no such partition (any more). */
  private topicOf(name: string, partition: number): TopicImage | null {
    const topic = this.host.image.topicByName(name)
    return topic === null || partition >= topic.partitions.length ? null : topic
  }

  private retentionOf(topic: string): Retention {
    const { image, config: own } = this.host
    const { config } = topicSettings(image, topic, brokerProperties(image, own.nodeId, own.properties))
    const deletes = config.cleanupPolicy.includes('delete')
    return deletes ? { ms: config.retentionMs, bytes: config.retentionBytes } : { ms: -1, bytes: -1 }
  }

  // A survey.

  private begin(): void {
    if (!this.host.serving()) return this.start()
    this.surveys++
    this.times.begin()
    this.slices.run(this.collect(), SLICE, () => this.survey.ask(() => this.judge()))
  }

  /** Which logs groups have committed for: each is looked at once. */
  private *collect(): Iterator<number> {
    for (const group of this.host.groups.views()) {
      yield 1
      for (const { topic: name, partition } of group.offsets()) {
        const topic = this.topicOf(name, partition)
        if (topic !== null && this.logs.want(topic, partition, this.surveys))
          this.survey.look({ topicId: topic.id, partition })
        yield 1
      }
    }
  }

  private judge(): void {
    this.slices.run(this.looks(), SLICE, () => this.finish())
  }

  private *looks(): Iterator<number> {
    for (const group of this.host.groups.views()) {
      const watched = this.watched(group.groupId)
      yield 1
      for (const commit of group.offsets()) {
        this.look(watched, commit)
        yield 1
      }
      watched.surveyed(this.surveys)
    }
  }

  private look(watched: WatchedGroup, commit: CommittedOffset): void {
    const { topic, partition, offset } = commit
    const found = this.topicOf(topic, partition)
    const log = found === null ? null : this.logs.find(found, partition)
    const logEnd = log?.history.last?.logEnd ?? null
    watched.look(commit, logEnd, this.host.groups.time.nowMs())
    if (log === null || logEnd === null || offset >= logEnd) return
    if (log.history.wantsTimeOf(offset, 2 * this.intervalMs)) this.lookUp(log, offset)
  }

  /** Where this broker has the record itself. */
  private lookUp({ topicId, partition, history }: WatchedLog, offset: number): void {
    const replica = this.host.local(topicId, partition)
    if (replica === null || offset >= replica.machine.highWatermark || offset < replica.log.logStart) return
    this.times.want({ replica, offset, learn: (atMs) => history.learn(offset, atMs) })
  }

  private finish(): void {
    for (const [groupId, { survey }] of this.groups) if (survey !== this.surveys) this.groups.delete(groupId)
    this.logs.keepOnly(this.surveys)
    this.surveyedMs = this.host.groups.time.nowMs()
    this.start()
  }

  private watched(groupId: string): WatchedGroup {
    let watched = this.groups.get(groupId)
    if (watched === undefined) {
      watched = new WatchedGroup(this.host.groups.time.nowMs(), this.surveys)
      this.groups.set(groupId, watched)
    }
    return watched
  }
}
