import {
  bool,
  bytes,
  choice,
  field,
  int32,
  proto,
  repeated,
  sint32,
  sint64,
  string,
  type TypeOf,
  uint32,
  uint64,
} from './proto-message.ts'

export const RefusedCode = choice('RefusedCode', ['retry', 'fenced', 'notLeader', 'outOfRange'])

export const Follow = proto('Follow', {
  topicId: field(1, string),
  partition: field(2, uint32),
  leaderEpoch: field(3, int32),
  /** New for every Follow; messages of another session are dropped. */
  session: field(4, uint64),
  endOffset: field(5, uint64),
  lastEpoch: field(6, sint32),
  logStart: field(7, uint64),
})
export const Unfollow = proto('Unfollow', { session: field(1, uint64) })
export const Ack = proto('Ack', { session: field(1, uint64), durableEnd: field(2, uint64), logStart: field(3, uint64) })

/** Follower → leader: one frame a turn carries all that happened in it, in order of the lists. */
export const FollowerFrame = proto('FollowerFrame', {
  unfollow: repeated(1, Unfollow),
  follow: repeated(2, Follow),
  ack: repeated(3, Ack),
})
export type FollowerFrame = TypeOf<typeof FollowerFrame>

export const AcceptedMessage = proto('AcceptedMessage', {
  session: field(1, uint64),
  leaderEpoch: field(2, int32),
  highWatermark: field(3, uint64),
  logStart: field(4, uint64),
})
export const DivergingMessage = proto('DivergingMessage', {
  session: field(1, uint64),
  epoch: field(2, sint32),
  endOffset: field(3, sint64),
})
export const RefusedMessage = proto('RefusedMessage', { session: field(1, uint64), code: field(2, RefusedCode) })
export const ProgressMessage = proto('ProgressMessage', {
  session: field(1, uint64),
  highWatermark: field(2, uint64),
  logStart: field(3, uint64),
})
/**
 * `batches` are whole record batches, back to back, in one byte field or several. A batch that
 * is too large for a frame comes alone, in pieces: `more` says that the next Append of the session goes on with it.
 */
export const AppendMessage = proto('AppendMessage', {
  session: field(1, uint64),
  baseOffset: field(2, uint64),
  highWatermark: field(3, uint64),
  logStart: field(4, uint64),
  batches: repeated(5, bytes),
  more: field(6, bool),
})

/** Leader → follower: one frame a turn, all partitions together, at most about 1 MiB of batches. Order: as listed. */
export const LeaderFrame = proto('LeaderFrame', {
  refused: repeated(1, RefusedMessage),
  diverging: repeated(2, DivergingMessage),
  accepted: repeated(3, AcceptedMessage),
  append: repeated(4, AppendMessage),
  progress: repeated(5, ProgressMessage),
})
export type LeaderFrame = TypeOf<typeof LeaderFrame>

const { batches: _batches, ...APPEND_HEAD_FIELDS } = AppendMessage.fields
const AppendHead = proto('AppendMessage', APPEND_HEAD_FIELDS)
const NOTHING: LeaderFrame = { refused: [], diverging: [], accepted: [], append: [], progress: [] }
/** What stands before an append in a frame, and before its batches: tag and wire type. */
const APPEND_KEY = (4 << 3) | 2
const BATCHES_KEY = (5 << 3) | 2

/**
 * A frame in pieces, with the batches as they are: none of their bytes is touched. The pieces together are what `LeaderFrame.decode` reads;
 * the batches of an append arrive as one byte field.
 */
export function encodeLeaderFrame({ append, progress, ...before }: LeaderFrame): Uint8Array[] {
  const pieces = [LeaderFrame.encode({ ...NOTHING, ...before })]
  for (const message of append) pieces.push(appendHead(message), ...message.batches)
  if (progress.length > 0) pieces.push(LeaderFrame.encode({ ...NOTHING, progress }))
  return pieces
}

/** All of an append up to the first byte of its batches, which come last. */
function appendHead(message: TypeOf<typeof AppendMessage>): Uint8Array {
  const head = AppendHead.encode(message)
  const batches = message.batches.reduce((sum, part) => sum + part.length, 0)
  const whole = head.length + 1 + varintBytes(batches) + batches
  const bytes = new Uint8Array(1 + varintBytes(whole) + whole - batches)
  bytes[0] = APPEND_KEY
  let at = writeVarint(bytes, 1, whole)
  bytes.set(head, at)
  at += head.length
  bytes[at] = BATCHES_KEY
  writeVarint(bytes, at + 1, batches)
  return bytes
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes++
  return bytes
}

function writeVarint(into: Uint8Array, from: number, value: number): number {
  let at = from
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80
  into[at++] = rest
  return at
}
