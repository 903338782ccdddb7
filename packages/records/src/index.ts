export { MALFORMED, recordsSection, splitBatches, wholeBatchBytes } from './batches.ts'
export { checkProducedBatch, checkProducedRecords } from './check.ts'
export type { BatchVerdict, ProduceRules, RecordError, RecordsVerdict } from './check.ts'
export { compress, compressAsync } from './compression/compress.ts'
export { inflate, inflateAsync } from './compression/inflate.ts'
export { coordinatorEpoch, encodeMarker, readControl } from './control.ts'
export type { ControlType, Marker } from './control.ts'
export { continueCrc32c, crc32c } from './crc.ts'
export { assembleBatch, encodeBatch, encodeRecords, recordBytes } from './encode.ts'
export type { BatchOptions, EncodedRecords, NewRecord, NewRecordHeader } from './encode.ts'
export { InvalidBatch } from './errors.ts'
export { encodeGap, isGap, restOfGap } from './gap.ts'
export type { Gap } from './gap.ts'
export {
  attributes,
  baseOffset,
  baseSequence,
  baseTimestamp,
  BATCH_HEADER_BYTES,
  batchBytes,
  clearLogAppendTime,
  codec,
  computeCrc,
  crcMatches,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffset,
  lastOffsetDelta,
  lastSequence,
  leaderEpoch,
  LOG_OVERHEAD,
  magic,
  maxTimestamp,
  nextOffset,
  NONE,
  producerEpoch,
  producerId,
  recordCount,
  setBaseOffset,
  setLeaderEpoch,
  setMaxTimestamp,
  stampLogAppendTime,
  storedCrc,
  writeBatchHeader,
} from './header.ts'
export type { BatchHeader } from './header.ts'
export { readInt16, readInt32, readInt64, readUint32, writeInt16, writeInt32, writeInt64 } from './integers.ts'
export { optionsOf, RecordFilter } from './record-filter.ts'
export { readRecords, RecordReader } from './record-reader.ts'
export type { BatchRecord, RecordHeader } from './record-reader.ts'
