import type { Accepted, Address, Logger, PeerHandler, Peers, PeerStream, Refusal, Timers, Uuid } from '@millrace/base'
import { Hello, OffsetsAnswer, OffsetsQuestion, RpcDecodeError } from '@millrace/rpc'
import { boundsOfLeader, type LocalReplicas, type LogBounds } from './log-bounds.ts'

/** A leader that has not answered by then is asked again by the next survey. */
const PATIENCE_US = 2_000_000

export interface PartitionId {
  readonly topicId: Uuid
  readonly partition: number
}

export interface OffsetStreamsHost extends LocalReplicas {
  readonly world: { readonly peers: Peers; readonly timers: Timers; readonly log: Logger }
  /** The hello of this broker's own streams to other brokers; null while it has none. */
  replicationHello(): Hello | null
  addressOf(brokerId: number): Address | null
}

type Told = (id: PartitionId, bounds: LogBounds) => void

/**
 * Asks one leader for the bounds of partitions, over a stream for this one question. `told` is called for each that it leads, then `done`,
 * once, also when nothing is told. Returns how to give it up: then neither is called any more.
 */
export function askLeader(
  host: OffsetStreamsHost,
  leaderId: number,
  partitions: readonly PartitionId[],
  { told, done }: { readonly told: Told; readonly done: () => void },
): () => void {
  const { peers, timers, log } = host.world
  const hello = host.replicationHello()
  const address = host.addressOf(leaderId)
  let over = false
  let stream: PeerStream | null = null
  const end = (reason: string): void => {
    over = true
    timer.cancel()
    stream?.close(reason)
  }
  const finish = (reason: string): void => {
    if (over) return
    end(reason)
    done()
  }
  const reachable = hello !== null && address !== null
  const timer = timers.after(reachable ? PATIENCE_US : 0, () => finish('no answer'))
  if (!reachable) return () => end('given up')
  const handler: PeerHandler = {
    opened: () => {},
    frame: (bytes) => {
      if (over) return
      try {
        for (const { topicId, partition, ...bounds } of OffsetsAnswer.decode(bytes).partitions)
          told({ topicId, partition }, bounds)
      } catch (error) {
        if (!(error instanceof RpcDecodeError)) throw error
        log.error({ leader: leaderId, error }, 'leader answered with a frame that is none')
      }
      finish('answered')
    },
    drained: () => {},
    closed: () => finish('closed'),
  }
  stream = peers.open(address, 'control', Hello.encode({ ...hello, purpose: 'offsets' }), handler)
  stream.send(OffsetsQuestion.encode({ partitions }))
  return () => end('given up')
}

/** The other end: answers each question with what this broker leads of it. */
export function acceptQuestions(host: OffsetStreamsHost, hello: Hello, stream: PeerStream): Accepted | Refusal {
  const own = host.replicationHello()
  if (own === null) return { refused: 'this broker is not registered yet' }
  if (hello.clusterId !== own.clusterId) return { refused: `another cluster: ${hello.clusterId}` }
  const handler: PeerHandler = {
    opened: () => {},
    frame: (bytes) => {
      try {
        stream.send(OffsetsAnswer.encode({ partitions: answersTo(host, OffsetsQuestion.decode(bytes)) }))
      } catch (error) {
        if (!(error instanceof RpcDecodeError)) throw error
        host.world.log.error({ asker: hello.nodeId, error }, 'broker asked with a frame that is none')
        stream.close('protocol violation')
      }
    },
    drained: () => {},
    closed: () => {},
  }
  return { hello: Hello.encode({ ...own, purpose: 'offsets' }), handler }
}

function answersTo(host: OffsetStreamsHost, { partitions }: OffsetsQuestion): (PartitionId & LogBounds)[] {
  return partitions.flatMap(({ topicId, partition }) => {
    const bounds = boundsOfLeader(host.local(topicId, partition))
    return bounds === null ? [] : [{ topicId, partition, ...bounds }]
  })
}
