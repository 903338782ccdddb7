import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { encodeLeaderFrame, FollowerFrame, LeaderFrame, RpcDecodeError } from '../src/index.ts'

/** The .proto file as another implementation reads it. */
const { root } = protobuf.parse(
  readFileSync(new URL('../../../proto/millrace/replication.proto', import.meta.url), 'utf8'),
)
const plain = { longs: Number, enums: Number, defaults: true, arrays: true } as const

const big = Number.MAX_SAFE_INTEGER
const follower: FollowerFrame = {
  unfollow: [{ session: big }],
  follow: [
    {
      topicId: 'AAAAAAAAAAAAAAAAAAAAAQ',
      partition: 7,
      leaderEpoch: 3,
      session: 2 ** 52 + 1,
      endOffset: big,
      lastEpoch: -1,
      logStart: 5,
    },
  ],
  ack: [
    { session: 1, durableEnd: big, logStart: 0 },
    { session: 2, durableEnd: 0, logStart: 9 },
  ],
}
const leader: LeaderFrame = {
  refused: (['retry', 'fenced', 'notLeader', 'outOfRange'] as const).map((code, at) => ({ session: at + 1, code })),
  diverging: [{ session: 5, epoch: -1, endOffset: -1 }],
  accepted: [{ session: 6, leaderEpoch: 4, highWatermark: big, logStart: 1 }],
  append: [
    {
      session: 7,
      baseOffset: 10,
      highWatermark: 9,
      logStart: 1,
      batches: [Uint8Array.of(1, 2, 3), Uint8Array.of(4)],
      more: true,
    },
  ],
  progress: [{ session: 8, highWatermark: 11, logStart: 2 }],
}

function outcomeOf(bytes: Uint8Array): 'read' | 'refused' | 'crashed' {
  try {
    LeaderFrame.decode(bytes)
    return 'read'
  } catch (error) {
    return error instanceof RpcDecodeError ? 'refused' : 'crashed'
  }
}

describe('the frames of the replication lane', () => {
  it('are what replication.proto says', () => {
    const FollowerType = root.lookupType('millrace.FollowerFrame')
    expect(FollowerType.toObject(FollowerType.decode(FollowerFrame.encode(follower)), plain)).toEqual(follower)
    const LeaderType = root.lookupType('millrace.LeaderFrame')
    const seen = LeaderType.toObject(LeaderType.decode(LeaderFrame.encode(leader)), plain)
    expect(seen).toMatchObject({ accepted: leader.accepted, diverging: leader.diverging, progress: leader.progress })
    expect(seen['refused'].map(({ code }: { code: number }) => code)).toEqual([0, 1, 2, 3])
    expect(seen['append'][0].batches.map((part: Uint8Array) => [...part])).toEqual([[1, 2, 3], [4]])
  })

  it('are the same in pieces, of which the batches are those that were given', () => {
    const LeaderType = root.lookupType('millrace.LeaderFrame')
    const sizes = [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]
    const append = sizes.map((size, at) => ({
      session: at,
      baseOffset: big,
      highWatermark: 0,
      logStart: at,
      batches: [new Uint8Array(size).fill(at), Uint8Array.of(at)],
      more: at % 2 === 0,
    }))
    const pieces = encodeLeaderFrame({ ...leader, append })
    for (const { batches } of append) for (const batch of batches) expect(pieces).toContain(batch)
    const joined = append.map((each) => ({ ...each, batches: [Buffer.concat(each.batches)] }))
    const read = LeaderFrame.decode(Buffer.concat(pieces))
    expect(Buffer.compare(LeaderFrame.encode(read), LeaderFrame.encode({ ...leader, append: joined }))).toBe(0)
    const seen = LeaderType.toObject(LeaderType.decode(Buffer.concat(pieces)), plain)
    expect(seen['append'].map((each: { batches: Uint8Array[] }) => each.batches[0]?.length)).toEqual(
      sizes.map((size) => size + 1),
    )
    expect(seen).toMatchObject({ accepted: leader.accepted, diverging: leader.diverging, progress: leader.progress })
    const empty = { refused: [], diverging: [], accepted: [], append: [], progress: [] }
    expect(Buffer.concat(encodeLeaderFrame(empty)).length).toBe(0)
  })

  it('are read as another implementation writes them', () => {
    const FollowerType = root.lookupType('millrace.FollowerFrame')
    const bytes = FollowerType.encode(FollowerType.fromObject(follower)).finish()
    expect(FollowerFrame.decode(bytes)).toEqual(follower)
  })

  it('name every field of replication.proto', () => {
    const codecs: readonly {
      readonly name: string
      readonly fields: Readonly<Record<string, { readonly tag: number }>>
    }[] = [FollowerFrame, LeaderFrame]
    const inner = codecs.flatMap((codec) =>
      Object.values(codec.fields).map((field) => (field as unknown as { type: (typeof codecs)[number] }).type),
    )
    for (const { name, fields } of [...codecs, ...inner]) {
      const declared = Object.values(root.lookupType(`millrace.${name}`).fields).map((field) => [field.name, field.id])
      expect(Object.entries(fields).map(([key, { tag }]) => [key, tag])).toEqual(declared)
    }
  })

  it('give batches as views of the frame, without a copy', () => {
    const bytes = Uint8Array.from(LeaderFrame.encode(leader))
    const [append] = LeaderFrame.decode(bytes).append
    for (const batch of append?.batches ?? []) expect(batch.buffer).toBe(bytes.buffer)
  })

  it('that are cut short or lie about a length are errors, not crashes', () => {
    const whole = LeaderFrame.encode(leader)
    const outcomes = Array.from(whole, (_, length) => outcomeOf(whole.subarray(0, length)))
    expect(outcomes.filter((outcome) => outcome === 'crashed')).toEqual([])
    // A cut between two messages is a shorter frame.
    expect(outcomes.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(whole.length - 20)
    expect(() => LeaderFrame.decode(Uint8Array.of(0x22, 0xff, 0xff, 0xff, 0xff, 0x0f))).toThrow(RpcDecodeError)
    expect(() =>
      FollowerFrame.decode(Uint8Array.of(0x0a, 0x0b, 0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)),
    ).toThrow(RpcDecodeError)
  })
})
