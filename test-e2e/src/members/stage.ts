// A cluster of processes, a topic that somebody writes all the time, and a group that reads it.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, createClient } from '@millrace/client'
import { waitFor } from '../cluster-view.ts'
import type { ProcessCluster } from '../process-cluster.ts'
import { CommitWatch } from './commit-watch.ts'
import { Crowd } from './crowd.ts'
import type { MemberClient } from './member.ts'
import { PacedWriter } from './paced-writer.ts'
import { type Pause, pausesOf, type Span } from './pauses.ts'
import { judge, type Verdict } from './verdict.ts'

export interface StageOptions {
  readonly client: MemberClient
  readonly partitions: number
  /** Records that are written in a second. */
  readonly rate: number
  readonly members: number
}

/** What a run came to. */
export interface Outcome extends Verdict {
  /** How often clients ended a stream and applications opened another. */
  readonly reopened: number
  readonly good: boolean
  /** Everything that must not be, in words. */
  readonly trouble: readonly string[]
}

const SETTLE_MS = 120_000

/** `stop` ends all of it but the cluster. */
export class GroupStage {
  readonly group: string
  readonly topic: string
  readonly crowd: Crowd
  readonly client: Client
  private readonly options: StageOptions
  private writer: PacedWriter | null = null
  private watch: CommitWatch | null = null

  constructor(cluster: ProcessCluster, options: StageOptions) {
    this.options = options
    this.group = `group-of-${options.client}`
    this.topic = `topic-of-${options.client}`
    this.client = createClient({ bootstrap: cluster.bootstrap })
    this.crowd = new Crowd({
      client: options.client,
      bootstrap: cluster.bootstrap,
      group: this.group,
      topic: this.topic,
      folder: join(cluster.folder, this.group),
    })
  }

  /** Resolves once all members read and every partition has an owner. */
  async begin(bootstrap: readonly string[]): Promise<void> {
    const { partitions, rate, members } = this.options
    const configs = { 'message.timestamp.type': 'LogAppendTime', 'min.insync.replicas': '2' }
    await this.client.admin.createTopic({ name: this.topic, partitions, replicationFactor: 3, configs })
    this.writer = new PacedWriter(bootstrap, { topic: this.topic, partitions, rate }).start()
    for (let at = 0; at < members; at++) this.crowd.join()
    await this.settled()
    this.watch = new CommitWatch(this.client, this.group)
  }

  /** Resolves once the group is stable with all members that run, each partition has an owner, and every one reads. */
  async settled(timeoutMs = SETTLE_MS): Promise<void> {
    const { partitions } = this.options
    const sinceMs = Date.now()
    const failures = await waitFor(`group ${this.group} at rest`, timeoutMs, async () => {
      const failed = this.crowd.failures()
      if (failed.length > 0) return failed
      const [group] = await this.client.admin.groups.describe([this.group])
      const members = group?.members ?? []
      const owned = members.reduce((sum, { assignment }) => sum + assignment.length, 0)
      const { running } = this.crowd
      if (group?.state !== 'Stable' || members.length !== running.length || owned !== partitions)
        throw new Error(`${group?.state} with ${members.length} of ${running.length} members, ${owned} partitions`)
      this.crowd.refresh()
      return running.every(({ readings }) => (readings.all.at(-1)?.atMs ?? 0) >= sinceMs) ? [] : null
    })
    if (failures.length > 0) throw new Error(failures.join('\n'))
  }

  /** The pauses of the members that read before the span began and after it ended. */
  pausesOver({ startedMs, endedMs }: Span): Pause[][] {
    return this.crowd.members
      .map(({ readings: { all } }) => all)
      .filter((all) => (all[0]?.atMs ?? Infinity) < startedMs && (all.at(-1)?.atMs ?? 0) > endedMs)
      .map(pausesOf)
  }

  /** The longest time from append to reading, of the records that were read first within the span. */
  longestWait({ startedMs, endedMs }: Span): number {
    let longest = 0
    const firstMs = new Map<string, number>()
    for (const { readings } of this.crowd.members)
      for (const { partition, offset, atMs } of readings.all) {
        const record = `${partition}:${offset}`
        firstMs.set(record, Math.min(atMs, firstMs.get(record) ?? Infinity))
      }
    for (const { readings } of this.crowd.members)
      for (const { partition, offset, atMs, appendedMs } of readings.all)
        if (atMs >= startedMs && atMs <= endedMs && firstMs.get(`${partition}:${offset}`) === atMs)
          longest = Math.max(longest, atMs - appendedMs)
    return longest
  }

  /** Stops writing, lets the members read to the end and leave, and judges. */
  async finish(): Promise<Outcome> {
    await this.writer?.stop()
    const ends = await this.ends()
    const trouble: string[] = []
    await this.readToEnd(ends).catch((error: unknown) => trouble.push(String(error)))
    await this.crowd.leave()
    await this.watch?.stop()
    this.crowd.refresh()
    const acknowledged = this.writer?.acknowledged ?? []
    const readings = this.crowd.members.map((member) => member.readings.all)
    const verdict = judge(readings, { acknowledged, ends })
    trouble.push(
      ...this.crowd.failures(),
      ...(this.writer?.failures ?? []),
      ...(this.watch?.trouble ?? []),
      ...(await this.uncommitted(ends)),
    )
    if (verdict.skipped.length > 0)
      trouble.push(`${verdict.skipped.length} records were skipped: ${verdict.skipped.slice(0, 10).join(', ')}`)
    if (verdict.missing.length > 0)
      trouble.push(`${verdict.missing.length} numbers are missing: ${verdict.missing.slice(0, 10).join(', ')}`)
    const resets = readings.flatMap((all) => this.watch?.resets(all) ?? [])
    if (resets.length > 0) {
      const some = resets.slice(0, 10).map(({ partition, offset }) => `${partition}:${offset}`)
      trouble.push(`${resets.length} records were read long after they were committed: ${some.join(', ')}`)
    }
    const reopened = this.crowd.members.reduce((sum, member) => sum + member.reopened.length, 0)
    return { ...verdict, reopened, good: trouble.length === 0, trouble }
  }

  /** The node that coordinates the group. */
  async coordinator(): Promise<number> {
    const [group] = await this.client.admin.groups.describe([this.group])
    return group?.coordinator.id ?? -1
  }

  /** Ends what may still run. */
  async stop(): Promise<void> {
    await this.crowd.kill()
    await this.writer?.stop()
    await this.watch?.stop()
    await this.client.close()
  }

  private async ends(): Promise<ReadonlyMap<number, number>> {
    const partitions = Array.from({ length: this.options.partitions }, (_, partition) => ({
      topic: this.topic,
      partition,
    }))
    const offsets = await this.client.admin.partitionOffsets(partitions, 'latest')
    return new Map(
      offsets.map((offset, partition) => {
        if (offset === null) throw new Error(`nobody leads partition ${partition}`)
        return [partition, offset]
      }),
    )
  }

  private async readToEnd(ends: ReadonlyMap<number, number>): Promise<void> {
    await waitFor('all records are read', SETTLE_MS, () => {
      this.crowd.refresh()
      const readings = this.crowd.members.map((member) => member.readings.all)
      return judge(readings, { acknowledged: [], ends }).skipped.length === 0 ? true : null
    })
    // The commits by the clock.
    await sleep(1_000)
  }

  /** What the members left without a commit of its end. */
  private async uncommitted(ends: ReadonlyMap<number, number>): Promise<string[]> {
    const committed = await this.watch?.committed()
    return [...ends]
      .filter(([partition, end]) => end > 0 && committed?.get(partition) !== end)
      .map(([partition, end]) => `partition ${partition} ends at ${end}, committed is ${committed?.get(partition)}`)
  }
}

/** What a run came to, a line each. */
export function outcomeLines(outcome: Outcome): string[] {
  return [
    `written      ${outcome.written}`,
    `read         ${outcome.read}`,
    `skipped      ${outcome.skipped.length + outcome.missing.length}`,
    `read again   ${outcome.repeated}, at most ${outcome.oldestRepeatMs} ms after the first time`,
    ...(outcome.reopened > 0
      ? [`streams      that the client ended and the application opened anew: ${outcome.reopened}`]
      : []),
    ...outcome.trouble.map((trouble) => `WRONG        ${trouble}`),
  ]
}
