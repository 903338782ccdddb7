import { ErrorCode } from '@millrace/base'
import { encodeBatch } from './encode.ts'
import { InvalidBatch } from './errors.ts'
import { codec } from './header.ts'
import { readInt16, readInt32, writeInt16, writeInt32 } from './integers.ts'
import { RecordReader } from './record-reader.ts'

const TYPES = [
  'abort',
  'commit',
  'leaderChange',
  'snapshotHeader',
  'snapshotFooter',
  'kraftVersion',
  'kraftVoters',
] as const

/** What a control record says; unknown numbers are skipped by readers. */
export type ControlType = (typeof TYPES)[number] | 'unknown'

/** A transaction marker. */
export interface Marker {
  readonly type: 'commit' | 'abort'
  readonly offset: number
  readonly leaderEpoch: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  /** Milliseconds. */
  readonly timestamp: number
}

/** The batch of one transaction marker: transactional, control, one record, no sequence, uncompressed. */
export function encodeMarker(marker: Marker): Uint8Array {
  const key = new Uint8Array(4)
  writeInt16(key, 2, TYPES.indexOf(marker.type))
  const value = new Uint8Array(6)
  writeInt32(value, 2, marker.coordinatorEpoch)
  return encodeBatch([{ timestamp: marker.timestamp, key, value }], {
    baseOffset: marker.offset,
    leaderEpoch: marker.leaderEpoch,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    transactional: true,
    control: true,
  })
}

/** The type and value of the control batch at `at`. Throws {@link InvalidBatch} where its record has no control key. */
export function readControl(bytes: Uint8Array, at: number): { type: ControlType; value: Uint8Array | null } {
  if (codec(bytes, at) !== 'none') throw new InvalidBatch(ErrorCode.INVALID_RECORD, 'a control batch is compressed')
  const reader = new RecordReader(bytes, at)
  const key = reader.next() ? reader.key : null
  if (key === null || key.length < 4)
    throw new InvalidBatch(ErrorCode.INVALID_RECORD, 'a control batch holds no control record')
  return { type: TYPES[readInt16(key, 2)] ?? 'unknown', value: reader.value }
}

/** The coordinator epoch of a marker's value. Throws {@link InvalidBatch}. */
export function coordinatorEpoch(value: Uint8Array | null): number {
  if (value === null || value.length < 6)
    throw new InvalidBatch(ErrorCode.INVALID_RECORD, 'a transaction marker holds no coordinator epoch')
  return readInt32(value, 2)
}
