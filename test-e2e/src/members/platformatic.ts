import { setTimeout as sleep } from 'node:timers/promises'
import { Consumer, type Message } from '@platformatic/kafka'
import { COMMIT_MS, FETCH_WAIT_MS, type Join } from './member.ts'

/**
 * @platformatic/kafka in a group of the newer protocol. It commits by hand, and only what it owns: its own commits by the clock may be of records
 * that still lie in its buffer.
 */
export const joinByPlatformatic: Join = async ({ bootstrap, group, topic, clientId }, { read, tell, failed }) => {
  const consumer = new Consumer({
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
  const next = new Map<number, Message>()
  const owned = (): readonly number[] => consumer.assignments?.find((each) => each.topic === topic)?.partitions ?? []
  const tellAssigned = (): void => tell({ kind: 'assigned', partitions: owned(), atMs: Date.now() })
  consumer.on('consumer:group:join', tellAssigned)
  consumer.on('consumer:group:rebalance', tellAssigned)
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
  tellAssigned()
  stream.on('error', failed)
  stream.on('data', (message) => {
    const { partition, offset, timestamp, value } = message
    if (!owned().includes(partition)) return
    read({
      atMs: Date.now(),
      appendedMs: Number(timestamp),
      partition,
      offset: Number(offset),
      value: value.toString(),
    })
    next.set(partition, message)
  })
  const leaving = new AbortController()
  const commit = async (): Promise<void> => {
    const own = new Set(owned())
    const offsets = [...next.values()]
      .filter(({ partition }) => own.has(partition))
      .map(({ partition, offset, leaderEpoch }) => ({ topic, partition, offset: offset + 1n, leaderEpoch }))
    next.clear()
    // What could not be committed is read again; the test would see it if it were skipped.
    if (offsets.length > 0) await consumer.commit({ offsets }).catch(() => {})
  }
  const committing = (async (): Promise<void> => {
    for (; !leaving.signal.aborted; await sleep(COMMIT_MS)) await commit()
  })()
  return async () => {
    leaving.abort()
    await committing
    await stream.close()
    await commit()
    await consumer.close(true)
  }
}
