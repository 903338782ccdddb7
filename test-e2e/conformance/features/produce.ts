import { eventually, holds, same, sameRecords } from '../core/checks.ts'
import type { CodecName, PlainRecord } from '../core/operations.ts'
import { base64, sampleRecords, type Stage } from '../core/stage.ts'
import type { Feature } from './feature.ts'

const CODECS: readonly CodecName[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const EARLIEST = -2
const TIME = 1_700_000_000_000
const binary = Buffer.from(Array.from({ length: 256 }, (_, at) => at)).toString('base64')

/** Records that clients and brokers get wrong, by name. */
const SHAPES: Readonly<Record<string, Omit<PlainRecord, 'partition'>>> = {
  plain: { key: base64('key'), value: base64('value'), headers: [] },
  'null key': { key: null, value: base64('value'), headers: [] },
  'empty key': { key: '', value: base64('value'), headers: [] },
  'null value': { key: base64('tombstone'), value: null, headers: [] },
  'empty value': { key: base64('key'), value: '', headers: [] },
  binary: { key: binary, value: binary, headers: [['bytes', binary]] },
  'one header twice': {
    key: base64('key'),
    value: base64('v'),
    headers: [
      ['h', base64('1')],
      ['h', base64('2')],
    ],
  },
  'null header': { key: base64('key'), value: base64('v'), headers: [['nothing', null]] },
  'empty header': { key: base64('key'), value: base64('v'), headers: [['empty', '']] },
  unicode: { key: base64('schlüssel'), value: base64('値'), headers: [['größe', base64('🐟')]] },
  large: { key: base64('large'), value: base64('0123456789'.repeat(20_000)), headers: [] },
}

/** One row for each codec: the batches have it, everyone reads them. */
export const codecFeatures: readonly Feature[] = CODECS.map((codec) => ({
  name: `produce-${codec}`,
  shows: `records written with ${codec === 'none' ? 'no codec' : codec} are stored so and read back by the same client`,
  run: (stage) => producesWith(stage, codec),
}))

async function producesWith(stage: Stage, codec: CodecName): Promise<void> {
  const partitions = stage.habits.noPartitionChoice === true ? 1 : 2
  const topic = await stage.topic(partitions)
  const records = sampleRecords(partitions, 50)
  await stage.ask('produce', { topic, records, codec })
  const from: Record<string, number> = {}
  for (let partition = 0; partition < partitions; partition++) {
    const { records: stored, batches } = await stage.judge.contents(topic, partition)
    const own = records.filter((record) => record.partition === partition)
    sameRecords('stored by Produce', stored, own)
    same('codec of the stored batches', [...new Set(batches.map((batch) => batch.codec))], [codec])
    from[partition] = EARLIEST
  }
  const read = await stage.ask('fetch', { topic, from, count: records.length, timeoutMs: 20_000 })
  sameRecords('read by Fetch', read.records, records)
}

/** One row for each level of acknowledgement. */
export const acksFeatures: readonly Feature[] = ([0, 1, -1] as const).map((acks) => ({
  name: `acks-${acks === -1 ? 'all' : acks}`,
  shows: `records written with acks=${acks === -1 ? 'all' : acks} arrive in order`,
  run: async (stage) => {
    const topic = await stage.topic()
    const [first, second] = [sampleRecords(1, 20, 'first'), sampleRecords(1, 20, 'second')]
    const { offsets } = await stage.ask('produce', { topic, records: first, acks })
    if (offsets !== null && acks !== 0)
      same(
        'offsets that Produce answered',
        offsets,
        first.map((_, at) => at),
      )
    await stage.ask('produce', { topic, records: second, acks })
    // Only acks=all says that everybody may read the records.
    if (acks !== -1) await arrived(stage, topic, 40)
    sameRecords('stored by Produce', (await stage.judge.contents(topic, 0)).records, [...first, ...second])
  },
}))

function arrived(stage: Stage, topic: string, count: number): Promise<void> {
  return eventually('what was written becoming readable (Produce, ListOffsets)', async () => {
    const end = await stage.judge.offset(topic, 0, -1)
    return end >= count || `the end is ${end} of ${count}`
  })
}

export const shapesFeature: Feature = {
  name: 'record-shapes',
  shows: 'null and empty keys and values, headers, bytes and large records survive the way there and back',
  run: async (stage) => {
    const topic = await stage.topic()
    const cannot = stage.habits.cannotWrite ?? []
    const records = Object.entries(SHAPES)
      .filter(([name]) => !cannot.includes(name))
      .map(([, shape], at) => ({
        ...shape,
        partition: 0,
        ...(stage.habits.noTimestamps === true ? {} : { timestamp: TIME + at * 1000 }),
      }))
    await stage.ask('produce', { topic, records })
    sameRecords('stored by Produce', (await stage.judge.contents(topic, 0)).records, records)
    const read = await stage.ask('fetch', { topic, from: { 0: EARLIEST }, count: records.length, timeoutMs: 20_000 })
    sameRecords('read by Fetch', read.records, records)
  },
}

export const idempotenceFeature: Feature = {
  name: 'idempotent-produce',
  shows: 'batches carry a producer id and sequences without a gap',
  run: async (stage) => {
    const topic = await stage.topic()
    const records = sampleRecords(1, 60)
    await stage.ask('produce', { topic, records, idempotent: true, acks: -1 })
    const { records: stored, batches } = await stage.judge.contents(topic, 0)
    sameRecords('stored by Produce', stored, records)
    holds((batches[0]?.producerId ?? -1) >= 0, 'the stored batches carry no producer id (InitProducerId)')
    let sequence = 0
    for (const batch of batches) {
      same('producer id of the stored batches', batch.producerId, batches[0]?.producerId)
      same('base sequence of the stored batches', batch.baseSequence, sequence)
      sequence += batch.records
    }
  },
}
