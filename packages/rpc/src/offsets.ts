import { field, proto, repeated, string, type TypeOf, uint32, uint64 } from './proto-message.ts'

export const AskedPartition = proto('AskedPartition', { topicId: field(1, string), partition: field(2, uint32) })

/** Broker → leader, on a stream of its own (`Hello.purpose` is `offsets`): where do the logs of these partitions begin and end? */
export const OffsetsQuestion = proto('OffsetsQuestion', { partitions: repeated(1, AskedPartition) })
export type OffsetsQuestion = TypeOf<typeof OffsetsQuestion>

export const LogBounds = proto('LogBounds', {
  topicId: field(1, string),
  partition: field(2, uint32),
  logStart: field(3, uint64),
  highWatermark: field(4, uint64),
})

/** Leader → broker: those of the partitions that it leads, and whose watermark it knows. */
export const OffsetsAnswer = proto('OffsetsAnswer', { partitions: repeated(1, LogBounds) })
export type OffsetsAnswer = TypeOf<typeof OffsetsAnswer>
