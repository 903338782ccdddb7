import { describe, expect, it } from 'vitest'
import {
  encodeEpochs,
  encodeOffsets,
  parseEpochs,
  parseOffsets,
  parsePartitionMetadata,
} from '../src/checkpoint-text.ts'
import { EpochHistory } from '../src/epoch-history.ts'
import { baseOffsetOfName, deletedFolderName, partitionOfFolder, strayFolderName } from '../src/file-names.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('checkpoint files', () => {
  it('of offsets are read as they were written', () => {
    const offsets = new Map([
      ['a-b.c_d-12', 2 ** 53 - 1],
      ['x-0', 0],
    ])
    expect(new TextDecoder().decode(encodeOffsets(offsets))).toBe('0\n2\na-b.c_d 12 9007199254740991\nx 0 0\n')
    expect(parseOffsets(encodeOffsets(offsets))).toEqual(offsets)
    expect(parseOffsets(encodeOffsets(new Map()))).toEqual(new Map())
  })

  it.each([
    '',
    '0',
    '0\n',
    '1\n0\n',
    '0\n1\n',
    '0\n1\na 0 5',
    '0\n2\na 0 5\n',
    '0\n1\na 0 5\nb 0 1\n',
    '0\n1\na 0 -1\n',
    '0\n1\na 0\n',
    '0\n1\na x 5\n',
    '0\n1\na 0 99999999999999999\n',
    '\0\0\0\0',
  ])('that hold %j go for nothing', (text) => {
    expect(parseOffsets(bytes(text))).toBeNull()
  })

  it('of epochs are read as they were written, and go for nothing where they do not rise', () => {
    const epochs = [
      { epoch: 0, startOffset: 0 },
      { epoch: 7, startOffset: 218 },
    ]
    expect(parseEpochs(encodeEpochs(epochs))).toEqual(epochs)
    for (const text of ['0\n2\n3 0\n3 5\n', '0\n2\n3 5\n4 5\n', '0\n2\n4 0\n3 5\n', '0\n1\n-1 0\n', '0\n2\n0 0\n'])
      expect(parseEpochs(bytes(text))).toBeNull()
  })

  it('of a partition tell its id, with or without a line break at the end', () => {
    expect(parsePartitionMetadata(bytes('version: 0\ntopic_id: leJlINeBTOClbIlklGKT0w'))).toBe('leJlINeBTOClbIlklGKT0w')
    expect(parsePartitionMetadata(bytes('version: 0\ntopic_id: leJlINeBTOClbIlklGKT0w\n'))).toBe(
      'leJlINeBTOClbIlklGKT0w',
    )
    for (const text of [
      '',
      'version: 1\ntopic_id: leJlINeBTOClbIlklGKT0w',
      'version: 0\ntopic_id: short',
      'version: 0\n',
    ])
      expect(parsePartitionMetadata(bytes(text))).toBeNull()
  })
})

describe('names', () => {
  it('of folders are those of partitions or not', () => {
    expect(partitionOfFolder('a-b-3')).toEqual({ topic: 'a-b', partition: 3 })
    expect(partitionOfFolder('__consumer_offsets-49')).toEqual({ topic: '__consumer_offsets', partition: 49 })
    for (const name of ['a', 'a-', 'a-01', '-3', 'stray', 'a-99999999999', 'a b-1', 'a-0.0123-delete'])
      expect(partitionOfFolder(name)).toBeNull()
  })

  it('of segments have twenty digits', () => {
    expect(baseOffsetOfName('00000000000000000042.log')).toBe(42)
    for (const name of [
      '42.log',
      '00000000000000000042.index',
      '99999999999999999999.log',
      '00000000000000000042.log.deleted',
    ])
      expect(baseOffsetOfName(name)).toBeNull()
  })

  it('of folders that are put away fit any file system', () => {
    const id = '0'.repeat(32)
    expect(deletedFolderName('t', 0, id)).toBe(`t-0.${id}-delete`)
    expect(deletedFolderName('t'.repeat(249), 12_345, id).length).toBe(255)
    expect(strayFolderName('t'.repeat(249), 12_345, id).length).toBe(255)
  })
})

describe('an epoch history', () => {
  it('knows where each epoch ends', () => {
    const history = new EpochHistory()
    expect([history.lastEpoch, history.epochEnd(5, 0)]).toEqual([-1, null])
    for (const [epoch, start] of [
      [2, 0],
      [5, 10],
      [9, 25],
    ] as const)
      history.assign(epoch, start)
    history.assign(9, 30)
    expect([1, 2, 3, 5, 8, 9, 100].map((epoch) => history.epochEnd(epoch, 40))).toEqual([
      null,
      { epoch: 2, endOffset: 10 },
      { epoch: 2, endOffset: 10 },
      { epoch: 5, endOffset: 25 },
      { epoch: 5, endOffset: 25 },
      { epoch: 9, endOffset: 40 },
      { epoch: 9, endOffset: 40 },
    ])
    expect(() => history.assign(8, 50)).toThrow('leader epoch 8 after 9')
  })

  it('forgets an epoch that wrote nothing when the next one begins', () => {
    const history = new EpochHistory()
    history.assign(1, 0)
    history.assign(3, 10)
    history.assign(4, 10)
    expect(history.entries).toEqual([
      { epoch: 1, startOffset: 0 },
      { epoch: 4, startOffset: 10 },
    ])
  })

  it('is cut at either end', () => {
    const starts = [
      { epoch: 1, startOffset: 0 },
      { epoch: 4, startOffset: 10 },
      { epoch: 6, startOffset: 20 },
    ]
    const ended = new EpochHistory(starts)
    ended.truncateEnd(20)
    expect(ended.entries).toEqual(starts.slice(0, 2))
    ended.truncateEnd(0)
    expect(ended.lastEpoch).toBe(-1)
    const begun = new EpochHistory(starts)
    begun.truncateStart(15)
    expect(begun.entries).toEqual([
      { epoch: 4, startOffset: 15 },
      { epoch: 6, startOffset: 20 },
    ])
    begun.truncateStart(15)
    begun.truncateStart(99)
    expect(begun.entries).toEqual([{ epoch: 6, startOffset: 99 }])
    expect(new EpochHistory(starts).version).toBe(0)
    expect(begun.version).toBe(2)
  })
})
