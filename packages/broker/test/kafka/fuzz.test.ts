import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { ZERO_UUID } from '@millrace/base'
import { APIS, encodeRequest, FetchApi, MetadataApi, ProduceApi } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batch, fetchRequest, harness, produceRequest } from './harness.ts'
import type { Harness } from './harness.ts'

const GOLDEN = new URL('../../../protocol/test/golden/frames.txt', import.meta.url)

/** Requests of real clients and tools, as they were recorded: lines of API, version, direction, client and bytes. */
function golden(): Uint8Array[] {
  const lines = readFileSync(GOLDEN, 'utf8').split('\n')
  return lines.flatMap((line) => {
    const [, , direction, , hex] = line.split(' ')
    if (direction !== 'request' || hex === undefined) return []
    const body = Buffer.from(hex, 'hex')
    const frame = Buffer.alloc(4 + body.length)
    frame.writeInt32BE(body.length)
    frame.set(body, 4)
    return [frame]
  })
}

/** Requests that are whole and right, in the encodings of old and new clients, to be damaged. */
function seeds(): Uint8Array[] {
  const frames: Uint8Array[] = []
  const add = <Q>(api: Api<Q, never>, versions: readonly number[], request: Q): void => {
    for (const version of versions)
      frames.push(Buffer.concat(encodeRequest(api as unknown as Api<Q>, version, 1, 'client', request)))
  }
  add(ProduceApi as never, [3, 9, 12], produceRequest('t', batch(['a', 'b']), { acks: 1 }))
  add(ProduceApi as never, [7], produceRequest('c', batch(['a'.repeat(40)], { codec: 'gzip' }), { acks: -1 }))
  add(ProduceApi as never, [9], produceRequest('t', batch(['a']), { acks: 0 }))
  add(FetchApi as never, [4, 11, 12], fetchRequest([{ topic: 't' }, { topic: 'c' }], { maxWaitMs: 10 }))
  add(MetadataApi as never, [1, 9, 12], {
    topics: [{ name: 't', topicId: ZERO_UUID }],
    allowAutoTopicCreation: true,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  })
  return [...frames, ...golden()]
}

function prepared(): Harness {
  const of = harness()
  of.broker.topic('t', 2)
  of.broker.topic('c')
  of.broker.image.set({ kind: 'topic', name: 'c' }, 'cleanup.policy', 'compact')
  return of
}

/** Whatever was sent: nothing is thrown, no error line is written, and the next client is served. */
function survives(bytes: readonly Uint8Array[]): void {
  const of = prepared()
  const client = of.connect()
  for (const chunk of bytes) client.end.send(chunk)
  of.world.time.advance(50)
  client.end.hangUp()
  of.world.time.advance(2000)
  expect(of.world.log.lines.filter(({ level }) => level === 'error')).toEqual([])
  const next = of.connect().ask(MetadataApi, 1, {
    topics: null,
    allowAutoTopicCreation: true,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  })
  expect(next.topics).toHaveLength(2)
}

/** Nothing when the property holds, else the smallest counterexample, with the seed that repeats it. */
function counterexample<T>(property: fc.IRawProperty<T>, numRuns: number): string {
  return fc.defaultReportMessage(fc.check(property as fc.IProperty<T>, { numRuns })) ?? ''
}

describe('the listener survives', () => {
  test('what real clients and tools send, each request on a connection of its own, without an error of its own', () => {
    const frames = golden()
    expect(frames.length).toBeGreaterThan(100)
    for (const frame of frames) survives([frame])
  })

  test('random bytes', () => {
    const found = counterexample(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 }), (chunks) => survives(chunks)),
      300,
    )
    expect(found).toBe('')
  })

  test('random bodies behind the header of every API and version, served or not', () => {
    const header = fc
      .constantFrom(...APIS)
      .chain((api) =>
        fc.tuple(fc.constant(api.key), fc.integer({ min: api.advertised[0] - 1, max: api.advertised[1] + 1 })),
      )
    const found = counterexample(
      fc.property(header, fc.uint8Array({ maxLength: 150 }), ([key, version], body) => {
        const frame = Buffer.alloc(4 + 11 + body.length)
        frame.writeInt32BE(frame.length - 4)
        frame.writeInt16BE(key, 4)
        frame.writeInt16BE(version, 6)
        frame.writeInt16BE(-1, 12)
        frame.set(body, 15)
        survives([frame])
      }),
      1500,
    )
    expect(found).toBe('')
  })

  test('good requests with flipped bytes, cut ends, grown lengths, in any chunks', () => {
    const frames = seeds()
    const damage = fc.record({
      seed: fc.nat({ max: frames.length - 1 }),
      flips: fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
      cut: fc.nat({ max: 60 }),
      chunk: fc.integer({ min: 1, max: 300 }),
      keepLength: fc.boolean(),
    })
    const found = counterexample(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        const bytes = damages.map(({ seed, flips, cut, keepLength }) => {
          const frame = Buffer.from(frames[seed] as Uint8Array)
          for (const [at, value] of flips) frame[at % frame.length] = value
          const rest = frame.subarray(0, Math.max(12, frame.length - cut))
          if (keepLength) rest.writeInt32BE(rest.length - 4)
          return rest
        })
        const all = Buffer.concat(bytes)
        const size = damages[0]?.chunk ?? 1
        const chunks: Uint8Array[] = []
        for (let at = 0; at < all.length; at += size) chunks.push(Uint8Array.from(all.subarray(at, at + size)))
        survives(chunks)
      }),
      2500,
    )
    expect(found).toBe('')
  })
})
