import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Codec } from '@millrace/base'
import { baseOffset, codec, inflate, readRecords, recordsSection, splitBatches } from '@millrace/records'
import { describe, expect, it } from 'vitest'
import { DEFAULT_LOG_CONFIG, type PartitionLog, type TimestampHit } from '../src/index.ts'
import { openDirectory, readAll, Reports } from './log-fixture.ts'
import { SimWorld } from './sim-world.ts'

// A log directory that Apache Kafka 4.3.1 left after a clean stop: four segments, two leader epochs, batches of every codec by two
// producers; and what kcat read from it: offset, timestamp, key, value, headers.
const golden = join(import.meta.dirname, 'golden', 'kafka-4.3')
const printed = readFileSync(`${golden}.tsv`, 'utf8').replace(/\n$/, '').split('\n')
const CONFIG = { ...DEFAULT_LOG_CONFIG, indexIntervalBytes: 200 }

function kafkaWorld(seed: number, leaveOut: (name: string) => boolean = () => false): SimWorld {
  const world = new SimWorld(seed)
  for (const folder of ['', '/golden-0'])
    for (const entry of readdirSync(golden + folder, { withFileTypes: true })) {
      if (!entry.isFile() || leaveOut(entry.name)) continue
      world.disk.put(`/data${folder}/${entry.name}`, readFileSync(join(golden + folder, entry.name)))
    }
  return world
}

function openKafka(world: SimWorld): PartitionLog {
  const { found } = openDirectory(world, { tailCacheBytes: 0 })
  const [log] = found.logs
  expect([found.logs.length, found.damaged, found.torn]).toEqual([1, [], []])
  log!.configure(CONFIG)
  log!.attach(new Reports())
  return log!
}

function lines(batches: readonly Uint8Array[]): string[] {
  const text = (bytes: Uint8Array | null): string => (bytes === null ? '' : Buffer.from(bytes).toString())
  return batches.flatMap((batch) =>
    readRecords(batch, 0, inflate(codec(batch, 0) as Codec, recordsSection(batch, 0), 1 << 20)).map((record) => {
      const headers = record.headers.map(({ key, value }) => `${key}=${text(value)}`).join(',')
      return [record.offset, record.timestamp, text(record.key), text(record.value), headers].join('\t')
    }),
  )
}

describe("a log of Apache Kafka's", () => {
  it('is opened after its clean stop with its offsets, epochs and id, and read as kcat read it', () => {
    const world = kafkaWorld(1)
    const log = openKafka(world)
    expect([log.logStart, log.endOffset, log.highWatermark, log.lastEpoch]).toEqual([0, 221, 221, 2])
    expect([log.epochEnd(0), log.epochEnd(1), log.epochEnd(2)]).toEqual([
      { epoch: 0, endOffset: 218 },
      { epoch: 0, endOffset: 218 },
      { epoch: 2, endOffset: 221 },
    ])
    expect(lines(readAll(world, log))).toEqual(printed)
  })

  it.each([
    ['without the marker of its clean stop', (name: string) => name === '.kafka_cleanshutdown'],
    ['without indexes', (name: string) => name.endsWith('index')],
    [
      'without marker, indexes, epochs and recovery points',
      (name: string) => /cleanshutdown|index|leader-epoch|recovery-point/.test(name),
    ],
  ])('is opened %s with nothing lost', (_, leaveOut) => {
    const world = kafkaWorld(2, leaveOut)
    const log = openKafka(world)
    expect([log.endOffset, log.lastEpoch, log.epochEnd(0)]).toEqual([221, 2, { epoch: 0, endOffset: 218 }])
    expect(lines(readAll(world, log, 700))).toEqual(printed)
  })

  it('is searched by time as a scan of all records finds, with its indexes and with remade ones', () => {
    const records = printed.map((line) => line.split('\t').slice(0, 2).map(Number) as [number, number])
    for (const leaveOut of [() => false, (name: string) => name.endsWith('index')]) {
      const world = kafkaWorld(3, leaveOut)
      const log = openKafka(world)
      const times = records.map(([, time]) => time)
      for (const time of [
        0,
        ...times.filter((_, i) => i % 7 === 0),
        ...times.map((t) => t + 1).filter((_, i) => i % 11 === 0),
      ]) {
        const hit = world.ask<TimestampHit | null>((done) => log.offsetForTimestamp(time, done))
        const wanted = records.find(([, at]) => at >= time)
        expect(hit && [hit.offset, hit.timestamp]).toEqual(wanted ?? null)
      }
      const latest = world.ask<TimestampHit | null>((done) => log.maxTimestamp(done))
      expect([latest?.timestamp, latest?.leaderEpoch]).toEqual([Math.max(...times), 2])
    }
  })

  it('is written again byte for byte, indexes included', () => {
    const names = readdirSync(join(golden, 'golden-0')).filter((name) => name.endsWith('.log'))
    expect(names.length).toBe(4)
    for (const name of names) {
      const world = new SimWorld(4)
      const opened = openDirectory(world)
      const batches = splitBatches(readFileSync(join(golden, 'golden-0', name)))
      const request = {
        topic: 'golden',
        topicId: 'leJlINeBTOClbIlklGKT0w',
        partition: 0,
        config: CONFIG,
        startOffset: baseOffset(batches[0]!, 0),
        events: new Reports(),
      }
      const log = world.ask<PartitionLog>((done) => opened.directory.create(request, done))
      for (const batch of batches) log.append([Uint8Array.from(batch)], world.clock.wallMs())
      world.ask<void>((done) => opened.directory.close(done))
      for (const kind of ['log', 'index', 'timeindex']) {
        const file = name.replace(/log$/, kind)
        const theirs = readFileSync(join(golden, 'golden-0', file))
        // Kafka leaves an empty index file where we leave none.
        const ours = theirs.length === 0 ? theirs : world.disk.file(`/data/golden-0/${file}`).content
        expect([file, Buffer.compare(ours, theirs)]).toEqual([file, 0])
      }
      const metadata = world.disk.file('/data/golden-0/partition.metadata').content
      expect(Buffer.compare(metadata, readFileSync(join(golden, 'golden-0', 'partition.metadata')))).toBe(0)
    }
  })

  it('leaves the checkpoints that Kafka leaves', () => {
    const world = kafkaWorld(5)
    const opened = openDirectory(world)
    world.ask<void>((done) => opened.directory.close(done))
    for (const name of [
      'recovery-point-offset-checkpoint',
      'replication-offset-checkpoint',
      'log-start-offset-checkpoint',
    ])
      expect(world.disk.file(`/data/${name}`).content.toString()).toBe(readFileSync(join(golden, name), 'utf8'))
    const epochs = readFileSync(join(golden, 'golden-0', 'leader-epoch-checkpoint'), 'utf8')
    expect(world.disk.file('/data/golden-0/leader-epoch-checkpoint').content.toString()).toBe(epochs)
    const marker = JSON.parse(world.disk.file('/data/.kafka_cleanshutdown').content.toString()) as object
    expect(Object.keys(marker)).toEqual(['version', 'brokerEpoch'])
  })
})
