import { holds, same, sameRecords } from '../core/checks.ts'
import { sampleRecords } from '../core/stage.ts'
import type { Feature } from './feature.ts'

const EARLIEST = -2

export const assignmentFeature: Feature = {
  name: 'consume-assigned',
  shows: 'three partitions are read from the earliest offset and from offsets in the middle',
  run: async (stage) => {
    const topic = await stage.topic(3)
    const records = sampleRecords(3, 60)
    await stage.judge.seed(topic, records)
    const from = { 0: EARLIEST, 1: EARLIEST, 2: EARLIEST }
    const all = await stage.ask('fetch', { topic, from, count: 180, timeoutMs: 20_000 })
    sameRecords('Fetch from the earliest', all.records, records)
    const middle = await stage.ask('fetch', { topic, from: { 1: 25 }, count: 35, timeoutMs: 20_000 })
    const rest = records.filter(({ partition }) => partition === 1).slice(25)
    sameRecords('Fetch from offset 25', middle.records, rest, { 1: 25 })
  },
}

const BASE = 1_700_000_000_000
const STEP = 1000

export const timeFeature: Feature = {
  name: 'seek-by-time',
  shows: 'the first offset at or after a time is found, and reading begins there',
  run: async (stage) => {
    const topic = await stage.topic()
    const records = sampleRecords(1, 40).map((record, at) => ({ ...record, timestamp: BASE + at * STEP }))
    // Two batches, so that both the search among batches and within one are seen.
    await stage.judge.seed(topic, records.slice(0, 25))
    await stage.judge.seed(topic, records.slice(25))
    const found = async (timestamp: number): Promise<number> =>
      (await stage.ask('offsetsAt', { topic, partitions: [0], timestamp })).offsets[0] ?? -1
    same('ListOffsets at a record’s time', await found(BASE + 10 * STEP), 10)
    same('ListOffsets between two records', await found(BASE + 30 * STEP - 1), 30)
    same('ListOffsets before the first record', await found(BASE - STEP), 0)
    const late = await found(BASE + 100 * STEP)
    holds(late === -1 || late === 40, `ListOffsets after the last record: expected none or the end, got ${late}`)
    const read = await stage.ask('fetch', { topic, from: { 0: 30 }, count: 10, timeoutMs: 20_000 })
    sameRecords('Fetch from the offset found', read.records, records.slice(30), { 0: 30 })
  },
}
