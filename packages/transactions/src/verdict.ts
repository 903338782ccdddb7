import { ErrorCode } from '@millrace/base'
import type { BatchOrigin, ProducerBatch, ProducerVerdict } from './batch.ts'
import { EPOCH, OPEN_FROM } from './producer-rows.ts'
import type { ProducerRows } from './producer-rows.ts'
import { lastSequence, nextSequence } from './sequence.ts'

/** The offset, in a window, of a batch that is accepted and not in the log. */
export const NOT_APPENDED = -1

export const ACCEPTED: ProducerVerdict = Object.freeze({ outcome: 'accepted' })
const STAGED: ProducerVerdict = Object.freeze({ outcome: 'staged' })

/** Whether a header says something of a producer that can be kept. An id beyond 2^53 was never given to anybody. */
export function isKnowable({ producerId, producerEpoch, lastOffsetDelta }: ProducerBatch): boolean {
  return Number.isSafeInteger(producerId) && producerId >= 0 && producerEpoch >= 0 && lastOffsetDelta >= 0
}

/** The refusal of a header that no producer writes, or null. */
export function nonsense(batch: ProducerBatch, origin: BatchOrigin): ProducerVerdict | null {
  if (isKnowable(batch) && (batch.baseSequence >= 0 || origin === 'coordinator')) return null
  const { producerId, producerEpoch, baseSequence } = batch
  return refused(
    ErrorCode.INVALID_RECORD,
    `a batch of producer ${producerId} with epoch ${producerEpoch} and sequence ${baseSequence}`,
  )
}

/**
 * What the leader does with a batch of a producer that it knows. The order of the rules is Apache Kafka's: a repetition is a success even
 * from an open transaction's producer, and an old epoch is fenced before its numbers are looked at. Repetitions of batches that have left
 * the window are out of order, not duplicates, as there.
 */
export function judge(rows: ProducerRows, row: number, batch: ProducerBatch, origin: BatchOrigin): ProducerVerdict {
  const epoch = rows.integer(row, EPOCH)
  const numbered = origin === 'client' && !batch.control
  if (numbered && batch.producerEpoch === epoch) {
    const slot = rows.find(row, lastSequence(batch.baseSequence, batch.lastOffsetDelta), batch.lastOffsetDelta)
    if (slot >= 0) return repetition(rows, row, slot)
  }
  if (batch.producerEpoch < epoch)
    return refused(
      ErrorCode.INVALID_PRODUCER_EPOCH,
      `producer ${batch.producerId} has epoch ${epoch} here, the batch has ${batch.producerEpoch}`,
    )
  if (numbered && batch.baseSequence !== expected(rows, row, batch)) return outOfOrder(rows, row, batch)
  if (!batch.control && !batch.transactional && rows.double(row, OPEN_FROM) >= 0)
    return refused(
      ErrorCode.INVALID_TXN_STATE,
      `producer ${batch.producerId} has an open transaction here, which the batch is no part of`,
    )
  return ACCEPTED
}

function repetition(rows: ProducerRows, row: number, slot: number): ProducerVerdict {
  const lastOffset = rows.offsetAt(row, slot)
  if (lastOffset === NOT_APPENDED) return STAGED
  return {
    outcome: 'duplicate',
    baseOffset: lastOffset - rows.deltaAt(row, slot),
    lastOffset,
    timestampMs: rows.timestampAt(row, slot),
  }
}

/** The sequence number that comes next. Only a producer without any epoch may begin anywhere, and is not judged here. */
function expected(rows: ProducerRows, row: number, { producerEpoch }: ProducerBatch): number {
  return producerEpoch === rows.integer(row, EPOCH) ? nextSequence(rows.lastSequence(row)) : 0
}

function outOfOrder(rows: ProducerRows, row: number, batch: ProducerBatch): ProducerVerdict {
  const { producerId, producerEpoch, baseSequence } = batch
  return refused(
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    `sequence ${baseSequence} of producer ${producerId} in epoch ${producerEpoch}: ${expected(rows, row, batch)} comes next here`,
  )
}

function refused(error: ErrorCode, message: string): ProducerVerdict {
  return { outcome: 'refused', error, message }
}
