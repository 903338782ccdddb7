// Writes a log on a real disk (rolls, several codecs, epochs, a truncation, a recovery), and has Apache Kafka's own tool read it: every record,
// and both indexes of every segment. KAFKA_DUMP_LOG is the command that runs Kafka's DumpLogSegments, for example
// `KAFKA_DUMP_LOG="bin/kafka-dump-log.sh" node packages/storage/bench/kafka-check.ts`. Exits with 1 at the first disagreement.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Codec } from '@millrace/base'
import { encodeBatch, encodeMarker, setBaseOffset } from '@millrace/records'
import { productionWorld } from '@millrace/host'
import { DEFAULT_LOG_CONFIG, type OpenedLogs } from '../src/index.ts'
import { ask, createLogs, openDirectory, SILENT } from './world.ts'

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
const CONFIG = { ...DEFAULT_LOG_CONFIG, segmentBytes: 100_000, indexIntervalBytes: 1000 }
const [command = '', ...firstArguments] = (process.env['KAFKA_DUMP_LOG'] ?? '').split(' ')
if (command === '') {
  process.stdout.write('KAFKA_DUMP_LOG names no command, nothing is checked\n')
  process.exit(0)
}

const path = mkdtempSync(join(process.env['DIR'] ?? '/tmp', 'millrace-kafka-check-'))
let records = 0
await writeLog(true)
rmSync(join(path, '.kafka_cleanshutdown'))
await writeLog(false)
check()
rmSync(path, { recursive: true })

async function writeLog(create: boolean): Promise<void> {
  const world = productionWorld({ logger: { level: 'error' } })
  const directory = openDirectory(world, path)
  const found = await ask<OpenedLogs>((done) => directory.open(done))
  const [log] = create
    ? await createLogs({ world, path, directory, remove: () => undefined }, 1, () => SILENT, CONFIG)
    : found.logs
  if (log === undefined) throw new Error('no log')
  log.configure(CONFIG)
  const base = log.lastEpoch + 1
  for (let i = 0; i < 400; i++) {
    if (i % 100 === 0) log.beginEpoch(base + i / 100)
    const list = Array.from({ length: 1 + (i % 7) }, (_, n) => ({
      timestamp: 1_700_000_000_000 + ((i * 7919) % 5000) + n,
      key: Buffer.from(`key-${i}-${n}`),
      value: Buffer.alloc(300, `value ${i} `),
      headers: [{ key: 'n', value: Buffer.from(String(n)) }],
    }))
    const marker = {
      offset: log.endOffset,
      leaderEpoch: log.lastEpoch,
      producerId: 5,
      producerEpoch: 1,
      coordinatorEpoch: 2,
      timestamp: 1_700_000_000_000 + i,
    }
    const batch =
      i % 50 === 49
        ? encodeMarker({ ...marker, type: i % 100 === 99 ? 'commit' : 'abort' })
        : encodeBatch(list, { codec: CODECS[i % CODECS.length]!, leaderEpoch: log.lastEpoch })
    setBaseOffset(batch, 0, log.endOffset)
    log.append([batch], 1_700_000_000_000)
  }
  if (create) log.truncate(log.endOffset - 300)
  records = log.endOffset
  log.checkpointHighWatermark(log.endOffset)
  await ask<void>((done) => directory.close(done))
}

function check(): void {
  const folder = join(path, 'bench-0')
  const files = readdirSync(folder).filter((name) => /\.(log|index|timeindex)$/.test(name))
  const logs = files.filter((name) => name.endsWith('.log'))
  const dump = (names: readonly string[], ...more: string[]): string =>
    execFileSync(command, [...firstArguments, '--files', names.map((name) => join(folder, name)).join(','), ...more], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const deep = dump(logs, '--deep-iteration')
  const seen = deep.split('\n').filter((line) => line.startsWith('| offset: ')).length
  const batches = deep.split('\n').filter((line) => line.startsWith('baseOffset: '))
  const invalid = batches.filter((line) => !line.includes('isvalid: true'))
  const sanity = dump(
    files.filter((name) => !name.endsWith('.log')),
    '--index-sanity-check',
  )
  const verified = dump(files, '--verify-index-only')
  const complaints = [deep, sanity, verified]
    .flatMap((text) => text.split('\n'))
    .filter((line) => /mismatch|error|exception|corrupt|not found|out of order/i.test(line))
  const passed = sanity.split('\n').filter((line) => line.includes('passed sanity check')).length
  process.stdout.write(
    `${logs.length} segments, ${batches.length} batches (${invalid.length} invalid), ${seen} of ${records} records read, ${passed} of ${files.length - logs.length} indexes sane, ${complaints.length} complaints\n`,
  )
  for (const line of complaints) process.stdout.write(`${line}\n`)
  if (seen !== records || invalid.length + complaints.length > 0 || passed !== files.length - logs.length)
    process.exitCode = 1
}
