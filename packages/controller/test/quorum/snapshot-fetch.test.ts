import { MemoryDisk, memoryWorld, DirectNetwork, SystemClock, untilReal, MemoryLogger } from '@millrace/host'
import { SnapshotFrame } from '@millrace/rpc'
import { describe, expect, it } from 'vitest'
import { SnapshotFetch } from '../../src/quorum/snapshot-fetch.ts'
import { SnapshotFiles } from '../../src/quorum/snapshot-files.ts'
import { encodeSnapshot, type Snapshot } from '../../src/quorum/snapshot-format.ts'

const snapshot: Snapshot = {
  index: 9,
  term: 2,
  clusterId: 'AAAAAAAAAAAAAAAAAAAABQ',
  voters: [],
  content: Uint8Array.from({ length: 1000 }, (_, at) => at & 255),
}
const point = { index: 9, term: 2 }
const file = Uint8Array.from(encodeSnapshot(snapshot).flatMap((part) => [...part]))

/** Every answer is used for one stream; the last one for all that follow. */
type Answer = (position: number) => readonly Uint8Array[]

function chunk(position: number, data: Uint8Array, totalBytes = file.length): Uint8Array {
  return SnapshotFrame.encode({ kind: 'chunk', ...point, position, totalBytes, data })
}

const honest: Answer = (position) => [chunk(position, file.subarray(position))]

/** Fetches from a holder that answers as it is told, and gives what arrived with the positions that were asked for. */
async function fetchFrom(answers: readonly Answer[]): Promise<{ arrived: Snapshot; asked: readonly number[] }> {
  const network = new DirectNetwork()
  const disk = new MemoryDisk({ clock: new SystemClock() })
  await new Promise((resolve) => disk.mkdir('/quorum', resolve))
  const asked: number[] = []
  network.peers('holder').listen(
    { host: 'test', port: 1 },
    (_hello, _lane, stream) => ({
      hello: new Uint8Array(0),
      handler: {
        opened: () => {},
        frame: (bytes) => {
          const request = SnapshotFrame.decode(bytes)
          if (request.kind !== 'request') throw new Error('only requests are expected')
          const answer = answers[Math.min(asked.length, answers.length - 1)] as Answer
          asked.push(request.position)
          for (const frame of answer(request.position)) stream.send(frame)
          if (answer !== answers.at(-1)) stream.close('that was it')
        },
        drained: () => {},
        closed: () => {},
      },
    }),
    () => {},
  )
  const log = new MemoryLogger()
  const world = memoryWorld({ name: 'fetcher', network, disk, log })
  const files = new SnapshotFiles(disk, '/quorum', log)
  const got: Snapshot[] = []
  const fetch = new SnapshotFetch(world, files, {
    addressOf: () => ({ host: 'test', port: 1 }),
    hello: () => new Uint8Array(0),
    arrived: (arrived) => void got.push(arrived),
  })
  fetch.want({ ...point, from: 1 })
  await untilReal(() => got.length > 0, 'the snapshot')
  fetch.stop()
  const reloaded = new SnapshotFiles(disk, '/quorum', log)
  const loaded = await new Promise((resolve) => reloaded.load((_error, found) => resolve(found)))
  expect(loaded).toEqual(snapshot)
  return { arrived: got[0] as Snapshot, asked }
}

describe('a snapshot is fetched whole', () => {
  it('from a holder that sends it in pieces', async () => {
    const { arrived, asked } = await fetchFrom([
      () => [chunk(0, file.subarray(0, 10)), chunk(10, file.subarray(10, 500)), chunk(500, file.subarray(500))],
    ])
    expect(arrived).toEqual(snapshot)
    expect(asked).toEqual([0])
  })

  it('in spite of a stream that breaks, from where it broke', async () => {
    const { arrived, asked } = await fetchFrom([() => [chunk(0, file.subarray(0, 300))], honest])
    expect(arrived).toEqual(snapshot)
    expect(asked).toEqual([0, 300])
  })

  it.each<[string, Answer]>([
    ['garbage', () => [Uint8Array.from([255, 255, 255])]],
    ['nothing', () => []],
    ['an empty frame', () => [new Uint8Array(0)]],
    ['pieces with a gap', () => [chunk(0, file.subarray(0, 10)), chunk(20, file.subarray(20))]],
    ['more than it announced', () => [chunk(0, file, 10)]],
    ['too much to hold', () => [chunk(0, file, 2 ** 40)]],
    [
      'a flipped bit',
      () => [
        chunk(
          0,
          file.map((byte, at) => (at === 700 ? byte ^ 4 : byte)),
        ),
      ],
    ],
    ['another snapshot under this name', () => [chunk(0, other(), other().length)]],
    ['that it has it no more', () => [SnapshotFrame.encode({ kind: 'gone', ...point })]],
    ['a request', () => [SnapshotFrame.encode({ kind: 'request', ...point, position: 0 })]],
  ])('in spite of a holder that first sends %s', async (_what, answer) => {
    const { arrived } = await fetchFrom([answer, honest])
    expect(arrived).toEqual(snapshot)
  })
})

function other(): Uint8Array {
  return Uint8Array.from(encodeSnapshot({ ...snapshot, index: 8 }).flatMap((part) => [...part]))
}
