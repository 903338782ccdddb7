import { FetchApi, ListOffsetsApi, MetadataApi, type ListOffsetsResponse } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { Violation } from '../../src/seams.ts'
import { FrameReader } from '../../src/workload/frame-reader.ts'
import { ScriptedBroker } from './scripted-broker.ts'

const NOTHING: ListOffsetsResponse = { throttleTimeMs: 0, topics: [] }

function ask(broker: ScriptedBroker, name: string): void {
  const request = { replicaId: -1, isolationLevel: 0, topics: [], timeoutMs: 0 }
  broker.connection.ask(ListOffsetsApi, 4, request, (response) =>
    broker.told.push(`${name}: ${response === null ? 'nobody knows' : 'answered'}`),
  )
}

describe('a connection of a client', () => {
  it('is ready once it knows the versions, and takes only those that both sides have', () => {
    const { connection, told } = new ScriptedBroker()
    expect(told).toEqual(['ready'])
    expect(connection.ready).toBe(true)
    for (const api of [FetchApi, ListOffsetsApi, MetadataApi]) {
      const version = connection.version(api)
      expect(version).toBeGreaterThanOrEqual(api.versions[0])
      expect(version).toBeLessThanOrEqual(api.versions[1])
      expect(connection.version(api)).toBe(version)
    }
    expect(connection.version(FetchApi, 12)).toBe(12)
    expect(connection.version(FetchApi, 0, 9)).toBeLessThanOrEqual(9)
    expect(connection.version(FetchApi, 13, 13)).toBe(13)
    expect(connection.version(FetchApi)).toBeLessThanOrEqual(12)
    expect(() => connection.version(FetchApi, 99)).toThrow('wire-versions')
  })

  it('gives answers to those who asked, in their order', () => {
    const broker = new ScriptedBroker()
    ask(broker, 'first')
    ask(broker, 'second')
    broker.pass(10_000)
    expect(broker.requests).toHaveLength(3)
    broker.answer(1, ListOffsetsApi, NOTHING)
    broker.answer(2, ListOffsetsApi, NOTHING)
    broker.pass(10_000)
    expect(broker.told).toEqual(['ready', 'first: answered', 'second: answered'])
  })

  it('calls it a violation when a broker answers in another order, or what was never asked, or cannot be read', () => {
    const wrong = new ScriptedBroker()
    ask(wrong, 'first')
    ask(wrong, 'second')
    wrong.pass(10_000)
    wrong.answer(2, ListOffsetsApi, NOTHING)
    expect(() => wrong.pass(10_000)).toThrow(Violation)

    const extra = new ScriptedBroker()
    ask(extra, 'first')
    extra.pass(10_000)
    extra.answer(1, ListOffsetsApi, NOTHING)
    extra.answer(1, ListOffsetsApi, NOTHING)
    expect(() => extra.pass(10_000)).toThrow('wire-order')

    const garbage = new ScriptedBroker()
    ask(garbage, 'first')
    garbage.pass(10_000)
    garbage.stream?.write([Uint8Array.of(0, 0, 0, 6, 0, 0, 0, 1, 9, 9)])
    expect(() => garbage.pass(10_000)).toThrow('wire-format')
  })

  it('closes itself when a request is not answered in time, and nobody knows what became of those under way', () => {
    const broker = new ScriptedBroker()
    ask(broker, 'first')
    broker.pass(600_000)
    ask(broker, 'second')
    broker.pass(300_000)
    expect(broker.told).toEqual(['ready'])
    broker.pass(300_000)
    expect(broker.told.slice(0, 4)).toEqual(['ready', 'first: nobody knows', 'second: nobody knows', 'closed'])
    expect(broker.connection.ready).toBe(false)
    ask(broker, 'third')
    expect(broker.told).not.toContain('third: nobody knows')
    broker.pass(10_000)
    expect(broker.told).toContain('third: nobody knows')
  })

  it('tells so when its stream breaks', () => {
    const broker = new ScriptedBroker()
    ask(broker, 'first')
    broker.network.breakStreams('client-1', 'broker')
    broker.pass(500_000)
    expect(broker.told).toContain('first: nobody knows')
    expect(broker.told).toContain('closed')
  })

  it('tells nobody anything once its life is over', () => {
    const broker = new ScriptedBroker()
    ask(broker, 'first')
    broker.pass(10_000)
    broker.schedule.end(broker.client)
    broker.answer(1, ListOffsetsApi, NOTHING)
    broker.pass(5_000_000)
    expect(broker.told.filter((each) => !each.startsWith('broker'))).toEqual(['ready'])
  })
})

describe('a stream of frames', () => {
  it('is cut at the same places however it arrives', () => {
    const frames = [Uint8Array.of(1, 2, 3, 4), new Uint8Array(300).fill(7), Uint8Array.of(5, 6, 7, 8, 9)]
    const stream = Buffer.concat(frames.flatMap((frame) => [Buffer.of(0, 0, frame.length >> 8, frame.length), frame]))
    for (const size of [1, 2, 3, 5, 7, 100, stream.length]) {
      const got: Uint8Array[] = []
      const reader = new FrameReader((frame) => got.push(Uint8Array.from(frame)))
      for (let at = 0; at < stream.length; at += size) reader.push(stream.subarray(at, at + size))
      expect(got).toEqual(frames)
    }
  })

  it('with a length that no frame has is a violation', () => {
    const reader = new FrameReader(() => undefined)
    expect(() => reader.push(Uint8Array.of(0x7f, 0xff, 0xff, 0xff))).toThrow('wire-format')
    expect(() => new FrameReader(() => undefined).push(Uint8Array.of(0, 0, 0, 3))).toThrow('wire-format')
  })
})
