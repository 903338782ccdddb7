import { ErrorCode } from '@millrace/base'
import type { ProduceRequest, ProduceResponse } from '@millrace/protocol'
import { baseSequence, producerEpoch, producerId, recordCount } from '@millrace/records'
import { answerAll, type FakeCluster, produced } from './fake-cluster.ts'

interface Written {
  readonly sequence: number
  readonly count: number
  readonly offset: number
}

/** What a broker knows of one producer in one partition. */
interface Known {
  epoch: number
  next: number
  last: Written[]
}

/** Judges the numbers of batches as brokers do, and appends what continues them. */
export class SequencedLogs {
  private readonly cluster: FakeCluster
  private readonly known = new Map<string, Known>()

  constructor(cluster: FakeCluster) {
    this.cluster = cluster
  }

  /** `refuses` says which partitions have an error of their own. */
  produce(request: ProduceRequest, refuses: () => ErrorCode = () => ErrorCode.NONE): ProduceResponse {
    return answerAll(request, (topic, index, records) => {
      const refused = refuses()
      return refused === ErrorCode.NONE ? this.append(topic, index, records) : produced(index, refused)
    })
  }

  private append(topic: string, index: number, batch: Uint8Array): ReturnType<typeof produced> {
    const key = `${topic}/${index}/${producerId(batch, 0)}`
    const epoch = producerEpoch(batch, 0)
    const sequence = baseSequence(batch, 0)
    const count = recordCount(batch, 0)
    // As of a producer that nobody knows: it may begin anywhere.
    const known = this.known.get(key) ?? { epoch, next: sequence, last: [] }
    if (epoch < known.epoch) return produced(index, ErrorCode.INVALID_PRODUCER_EPOCH)
    if (epoch === known.epoch) {
      const again = known.last.find((written) => written.sequence === sequence && written.count === count)
      if (again !== undefined) return produced(index, ErrorCode.NONE, again.offset)
      if (sequence !== known.next) return produced(index, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    } else if (sequence !== 0) return produced(index, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    else known.last = []
    const offset = this.cluster.append(topic, index, batch)
    known.epoch = epoch
    known.next = sequence + count
    known.last = [...known.last, { sequence, count, offset }].slice(-5)
    this.known.set(key, known)
    return produced(index, ErrorCode.NONE, offset)
  }
}
