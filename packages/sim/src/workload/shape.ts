import type { Address, Codec } from '@millrace/base'
import type { Draw } from '../run/draw.ts'
import type { Operation } from '../seams.ts'

/** A topic that the workload makes at its start. */
export interface TopicShape {
  readonly name: string
  readonly partitions: number
  readonly replicas: number
  readonly minInSync: number
}

export interface WorkloadOptions {
  /** Where clients ask first. */
  readonly bootstrap: readonly Address[]
  /** Producers and consumers; the admin comes on top. Their hosts are `client-1` to `client-N`, `admin` and `client-final`. */
  readonly clients: number
  readonly topics: readonly TopicShape[]
  /** Milliseconds since 1970 at virtual time 0, for the records' timestamps; the simulator's when absent. */
  readonly epochMs?: number
  /** Members of groups do not stall any more from here on; never when absent. */
  readonly calmFromUs?: number
  /** Told of each operation when it ends. */
  readonly told?: (operation: Operation) => void
  /** What is not given is drawn from the seed. */
  readonly rates?: Partial<WorkloadRates>
}

/** How the clients of a run behave. Times in microseconds; a mean of 0 is never. */
export interface WorkloadRates {
  /** Between two sends of a producer. */
  readonly thinkMeanUs: number
  readonly requestTimeoutUs: number
  /** Of 100 producers so many send with acks all; of the rest two thirds with acks 1. */
  readonly acksAllPercent: number
  /** Of 100 producers so many repeat a send that they know nothing of: it may be in the log twice. */
  readonly retryPercent: number
  /** Records of a batch, at most. */
  readonly batchRecords: number
  /** Of 100 values so many are padded, to at most so many bytes. */
  readonly paddedPercent: number
  readonly paddedBytes: number
  readonly codecs: readonly Codec[]
  /** Between two changes of what a consumer reads, or where. */
  readonly moveMeanUs: number
  /** Between the deaths of one client. It comes back under another name. */
  readonly crashMeanUs: number
  /** Between two sleeps of one client. */
  readonly pauseMeanUs: number
  /** Between the stalls of one member of a group: mostly longer than its session. */
  readonly stallMeanUs: number
  /** Between two requests of the admin. */
  readonly adminMeanUs: number
  /** Whether the admin moves partitions to other brokers. */
  readonly reassigns: boolean
  /** Of 100 producers so many are idempotent: they send with acks all, and repeat what they know nothing of under its numbers. */
  readonly idempotentPercent: number
  /** Groups, each with so many members at most; 0 for no groups. */
  readonly groups: number
  readonly membersOfGroup: number
  /** Of 100 groups so many are of the classic protocol, and of 100 classic members so many are static. */
  readonly classicPercent: number
  readonly staticPercent: number
  /** Of 100 consumers so many fetch in sessions, and so many name topics by id. */
  readonly sessionPercent: number
  readonly topicIdPercent: number
  /** Of 100 topics so many lose their oldest records, to DeleteRecords and retention. */
  readonly deletingPercent: number
}

const S = 1_000_000

export function drawRates(draw: Draw): WorkloadRates {
  return {
    thinkMeanUs: draw.pick([8_000, 20_000, 60_000]),
    requestTimeoutUs: draw.pick([1, 3, 10]) * S,
    acksAllPercent: draw.pick([50, 80, 100]),
    retryPercent: draw.pick([0, 0, 50]),
    batchRecords: draw.pick([1, 3, 10]),
    paddedPercent: draw.pick([0, 5, 20]),
    paddedBytes: draw.pick([50, 1_000, 10_000]),
    codecs: draw.chance(60) ? ['none'] : drawCodecs(draw),
    moveMeanUs: draw.pick([0, 3, 10]) * S,
    crashMeanUs: draw.pick([0, 10, 30]) * S,
    pauseMeanUs: draw.pick([0, 0, 15]) * S,
    adminMeanUs: draw.pick([0, 1, 3]) * S,
    deletingPercent: draw.pick([0, 30, 60]),
    idempotentPercent: draw.pick([0, 50, 50, 100]),
    groups: draw.pick([0, 0, 1, 2]),
    membersOfGroup: draw.pick([2, 3]),
    classicPercent: draw.pick([0, 50, 100]),
    staticPercent: draw.pick([0, 50]),
    reassigns: draw.chance(40),
    stallMeanUs: draw.pick([0, 5, 15]) * S,
    sessionPercent: draw.pick([0, 50, 100]),
    topicIdPercent: draw.pick([0, 50]),
  }
}

function drawCodecs(draw: Draw): readonly Codec[] {
  const codecs = draw.subset<Codec>(['gzip', 'snappy', 'lz4', 'zstd'], 50)
  return ['none', ...codecs]
}

/** A topic of the run, whether it exists yet or not. */
export interface PlannedTopic extends TopicShape {
  /** Whether its oldest records may be deleted. */
  readonly deleting: boolean
}
