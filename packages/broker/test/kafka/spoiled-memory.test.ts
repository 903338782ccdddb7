import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Random } from '@millrace/base'
import { NodeDisk, SeededRandom } from '@millrace/host'
import { decodeResponse, encodeRequest, FetchApi } from '@millrace/protocol'
import { baseOffset, batchBytes, encodeBatch, nextOffset } from '@millrace/records'
import { expect, test } from 'vitest'
import { createKafkaListener } from '../../src/index.ts'
import type { BrokerListenerConfig, KafkaListener } from '../../src/index.ts'
import { BufferPool } from '../../src/kafka/buffer-pool.ts'
import { FrameAssembler } from '../../src/kafka/frames.ts'
import { Cluster, eventually } from '../cluster.ts'
import type { TestBroker } from '../cluster.ts'
import { fetchRequest } from './harness.ts'

const HOST = '127.0.0.1'
const PARTITIONS = 4
const BATCHES = 40
const BUFFERS = 10
const CHUNKS_BETWEEN_KILLS = 50

/** What the log of one partition holds, byte by byte. */
interface Truth {
  readonly bytes: Buffer
  readonly positions: number[]
}

interface ReaderParts {
  readonly port: number
  readonly random: Random
  readonly truth: readonly Truth[]
  /** A piece of an answer came. */
  readonly heard: () => void
}

/** Reads at random places, several requests at once, stops reading now and then, and compares every byte that comes. */
class Reader {
  verified = 0
  spoiled: string | null = null
  private readonly socket: Socket
  private readonly random: Random
  private readonly truth: readonly Truth[]
  private readonly frames = new FrameAssembler(1 << 26)
  private readonly asked: number[][] = []

  constructor({ port, random, truth, heard }: ReaderParts) {
    this.random = random
    this.truth = truth
    this.socket = connect(port, HOST, () => this.ask())
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk) => {
      this.data(chunk)
      heard()
    })
  }

  kill(): void {
    if (this.random.below(2) === 0) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  private ask(): void {
    const random = this.random
    for (let more = 1 + random.below(3); more > 0; more--) {
      const offsets = this.truth.map(() => random.below(BATCHES))
      const maxBytes = [1, 200_000, 1_000_000, 3_000_000][random.below(4)] as number
      const places = offsets.map((offset, partition) => ({ topic: 't', partition, offset, maxBytes }))
      this.asked.push(offsets)
      for (const part of encodeRequest(FetchApi, 11, this.asked.length, 'reader', fetchRequest(places)))
        this.socket.write(part)
    }
  }

  private data(chunk: Buffer): void {
    this.frames.push(chunk)
    for (let frame = this.frames.next(); frame !== null; frame = this.frames.next()) this.check(frame)
    if (this.random.below(20) > 0) return
    this.socket.pause()
    setTimeout(() => this.socket.resume(), 20)
  }

  private check(frame: Uint8Array): void {
    const { value } = decodeResponse(FetchApi, 11, frame)
    const offsets = this.asked.shift() as number[]
    for (const { partitionIndex, errorCode, records } of value.responses.flatMap(({ partitions }) => partitions)) {
      const { bytes, positions } = this.truth[partitionIndex] as Truth
      const at = positions[offsets[partitionIndex] as number] as number
      const found = records ?? new Uint8Array(0)
      if (errorCode !== 0 || bytes.compare(found, 0, found.length, at, at + found.length) !== 0)
        this.spoiled ??= `partition ${partitionIndex} from ${at}: error ${errorCode}, ${found.length} bytes`
    }
    this.verified++
    if (this.asked.length === 0) this.ask()
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Fills the topic, the second half after a restart: the first comes from the disk, the second from the tail cache. */
async function filled(cluster: Cluster, start: () => Promise<void>, folder: string): Promise<Truth[]> {
  const broker = cluster.broker(1)
  const append = async (from: number, to: number): Promise<void> => {
    for (let partition = 0; partition < PARTITIONS; partition++)
      for (let i = from; i < to; i++) {
        const value = new Uint8Array(60_000 + ((i * 7919) % 40_000)).fill(partition * BATCHES + i)
        const batch = encodeBatch([{ timestamp: 1_700_000_000_000, key: null, value }])
        assert.equal((await broker.append('t', batch, -1, partition)).error, 0)
      }
  }
  const all = Array.from({ length: PARTITIONS }, () => [1])
  cluster.controller.createTopic('t', all, {})
  const ready = (): Promise<void> => eventually(() => all.forEach((_, at) => void broker.replica('t', at)))
  await ready()
  await append(0, BATCHES / 2)
  await broker.stop()
  await start()
  await ready()
  await append(BATCHES / 2, BATCHES)
  return all.map((_, partition) => {
    const bytes = readFileSync(join(folder, `t-${partition}`, '00000000000000000000.log'))
    const positions: number[] = []
    for (let at = 0; positions.length < BATCHES; at += batchBytes(bytes, at)) {
      assert.deepEqual([baseOffset(bytes, at), nextOffset(bytes, at)], [positions.length, positions.length + 1])
      positions.push(at)
    }
    return { bytes, positions }
  })
}

function listen(broker: TestBroker, config: BrokerListenerConfig, buffers: BufferPool): Promise<KafkaListener> {
  const listener = createKafkaListener({ ...broker.running.context, buffers }, config)
  return new Promise((resolve, reject) => {
    listener.start((error) => (error === null ? resolve(listener) : reject(error)))
  })
}

test('no client ever sees a byte of a buffer that came back and is spoiled, while connections are killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-spoiled-'))
  await using cluster = new Cluster('spoiled', 1)
  const broker = cluster.broker(1)
  broker.disk = new NodeDisk()
  const at = { host: HOST, port: await freePort() }
  const config: BrokerListenerConfig = { name: 'PLAINTEXT', bind: at, advertised: at, securityProtocol: 'PLAINTEXT' }
  const logDirs = [{ path: folder, directoryId: broker.directoryId }]
  const start = (): Promise<void> => broker.start({ listeners: [config], logDirs, flushMode: 'pagecache' })
  await start()
  const truth = await filled(cluster, start, folder)
  let returned = 0
  const spoil = (buffer: Uint8Array): void => {
    returned++
    buffer.fill(0xdd)
  }
  const buffers = new BufferPool(broker.clock, { mostBuffers: BUFFERS, returned: spoil })
  const listener = await listen(broker, config, buffers)

  const random = new SeededRandom('killer')
  const readers: Reader[] = []
  const verified = (): number => readers.reduce((sum, reader) => sum + reader.verified, 0)
  await new Promise<void>((enough) => {
    const fresh = (): Reader => {
      const reader = new Reader({ port: at.port, random: random.fork(`reader ${readers.length}`), truth, heard })
      readers.push(reader)
      return reader
    }
    // What clients hear sets the pace, so that a slow machine kills them no earlier.
    const heard = (): void => {
      if (random.below(CHUNKS_BETWEEN_KILLS) > 0) return
      const victim = random.below(alive.length)
      alive[victim]?.kill()
      alive[victim] = fresh()
      if (readers.length >= 112 && verified() >= 400 && returned > 200) enough()
    }
    const alive = Array.from({ length: 12 }, fresh)
  })
  for (const reader of readers) reader.kill()

  expect(readers.map(({ spoiled }) => spoiled).filter((what) => what !== null)).toEqual([])
  await eventually(() => expect(buffers.available).toBe(BUFFERS))
  await new Promise<void>((resolve) => listener.stop(() => resolve()))
  await broker.stop()
  rmSync(folder, { recursive: true })
}, 40_000)
