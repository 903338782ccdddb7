import { setTimeout as sleep } from 'node:timers/promises'
import { Consumer, type Message } from '@platformatic/kafka'
import { COMMIT_MS, FETCH_WAIT_MS, type Join, type MemberEnds, type MemberOptions } from './member.ts'

const AGAIN_MS = 50

/** @platformatic/kafka in a group of the newer protocol. */
export const joinByPlatformatic: Join = async (options, ends) => {
  const member = new PlatformaticMember(options, ends)
  await member.open()
  member.commitByTheClock()
  return () => member.leave()
}

/**
 * Commits by hand, and only what it owns: the client's own commits by the clock may be of records that still lie in its buffer. The client ends a
 * stream when the broker that it asked is gone from the metadata, so an application opens another; it stays a member meanwhile.
 */
class PlatformaticMember {
  private readonly topic: string
  private readonly ends: MemberEnds
  private readonly consumer: Consumer
  private readonly next = new Map<number, Message>()
  private readonly leaving = new AbortController()
  private committing: Promise<void> = Promise.resolve()

  constructor({ bootstrap, group, topic, clientId }: MemberOptions, ends: MemberEnds) {
    this.topic = topic
    this.ends = ends
    this.consumer = new Consumer({
      clientId,
      bootstrapBrokers: [...bootstrap],
      groupId: group,
      groupProtocol: 'consumer',
      autocommit: false,
      maxWaitTime: FETCH_WAIT_MS,
      connectTimeout: 500,
      retries: 100,
      retryDelay: 50,
    })
  }

  async open(): Promise<void> {
    const stream = await this.consumer.consume({ topics: [this.topic], mode: 'committed', fallbackMode: 'earliest' })
    stream.on('data', (message) => this.read(message))
    stream.on('error', (error) => this.again(error))
  }

  commitByTheClock(): void {
    this.committing = (async (): Promise<void> => {
      for (; !this.leaving.signal.aborted; await sleep(COMMIT_MS)) await this.commit()
    })()
  }

  async leave(): Promise<void> {
    this.leaving.abort()
    await this.committing
    await this.commit()
    await this.consumer.close(true)
  }

  private again(error: unknown): void {
    if (this.leaving.signal.aborted) return
    this.ends.tell({ kind: 'reopened', error: String(error) })
    // What was read and is not committed is read again.
    this.next.clear()
    void sleep(AGAIN_MS)
      .then(() => this.open())
      .catch((trouble: unknown) => this.again(trouble))
  }

  private read(message: Message): void {
    const { partition, offset, timestamp, value } = message
    if (this.leaving.signal.aborted || !this.owned().includes(partition)) return
    this.ends.read({
      atMs: Date.now(),
      appendedMs: Number(timestamp),
      partition,
      offset: Number(offset),
      value: value.toString(),
    })
    this.next.set(partition, message)
  }

  private async commit(): Promise<void> {
    const { topic } = this
    const own = new Set(this.owned())
    const offsets = [...this.next.values()]
      .filter(({ partition }) => own.has(partition))
      .map(({ partition, offset, leaderEpoch }) => ({ topic, partition, offset: offset + 1n, leaderEpoch }))
    this.next.clear()
    // What could not be committed is read again; the test would see it if it were skipped.
    if (offsets.length > 0) await this.consumer.commit({ offsets }).catch(() => {})
  }

  private owned(): readonly number[] {
    return this.consumer.assignments?.find(({ topic }) => topic === this.topic)?.partitions ?? []
  }
}
