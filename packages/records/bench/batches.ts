// Prints what the hot functions cost: checking a produced batch, assigning offsets, walking records, encoding, inflating.
import type { Codec } from '@millrace/base'
import {
  checkProducedBatch,
  checkProducedRecords,
  compress,
  encodeBatch,
  inflate,
  recordsSection,
  RecordReader,
  setBaseOffset,
  setLeaderEpoch,
} from '../src/index.ts'

const NOW = 1_700_000_000_000
const rules = {
  maxMessageBytes: 1 << 20,
  segmentBytes: 1 << 30,
  compacted: false,
  timestampType: 'CreateTime',
  timestampBeforeMaxMs: Infinity,
  timestampAfterMaxMs: 3_600_000,
  zstdAllowed: true,
} as const
const value = new Uint8Array(1000).map((_, i) => (i * 7) & 63)
const records = Array.from({ length: 16 }, (_, i) => ({ timestamp: NOW + i, key: null, value }))
const batch = encodeBatch(records)

function measure(what: string, bytes: number, run: () => void): void {
  for (let i = 0; i < 200; i++) run()
  const times = Math.ceil(1e8 / bytes)
  const before = process.cpuUsage()
  for (let i = 0; i < times; i++) run()
  const { user, system } = process.cpuUsage(before)
  const microseconds = (user + system) / times
  process.stdout.write(
    `${what.padEnd(34)} ${microseconds.toFixed(2).padStart(9)} us ${((microseconds * 1e3) / bytes).toFixed(3).padStart(8)} CPU s per GB\n`,
  )
}

process.stdout.write(`a batch of ${batch.length} bytes, ${records.length} records\n`)
measure('check (CRC and header)', batch.length, () => void checkProducedBatch(batch, rules, NOW))
measure('check records', batch.length, () => void checkProducedRecords(batch, recordsSection(batch, 0), rules, NOW))
measure('assign offset and epoch', batch.length, () => {
  setBaseOffset(batch, 0, 5_000_000_000)
  setLeaderEpoch(batch, 0, 3)
})
measure('walk records', batch.length, () => {
  const reader = new RecordReader(batch, 0)
  while (reader.next());
})
measure('encode', batch.length, () => void encodeBatch(records))
for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as Codec[]) {
  const section = recordsSection(batch, 0)
  const packed = compress(codec, section)
  measure(`compress ${codec}`, section.length, () => void compress(codec, section))
  measure(`inflate ${codec} (${packed.length} bytes)`, section.length, () => void inflate(codec, packed, 1 << 20))
}
