// What the producers' state costs: batches checked and appended a second, bytes a producer, and a snapshot of many.
import { crc32c } from '@millrace/records'
import { ProducerStates } from '../src/index.ts'

const ROUNDS = 3_000_000
const TURN = 8

interface Mutable {
  producerId: number
  producerEpoch: number
  baseSequence: number
  lastOffsetDelta: number
  transactional: boolean
  control: boolean
  baseOffset: number
  maxTimestamp: number
  coordinatorEpoch: number
}

function blank(): Mutable {
  return {
    producerId: 0,
    producerEpoch: 0,
    baseSequence: 0,
    lastOffsetDelta: 99,
    transactional: false,
    control: false,
    baseOffset: 0,
    maxTimestamp: 1_700_000_000_000,
    coordinatorEpoch: -1,
  }
}

/** Processor time, which other processes do not change. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** The leader's part: a turn of batches is checked, then appended, then passed by the watermark. */
function leader(producers: number): void {
  const states = new ProducerStates()
  const turn = Array.from({ length: TURN }, blank)
  const written = new Int32Array(producers)
  let offset = 0
  const run = (rounds: number): void => {
    for (let i = 0; i < rounds; i += TURN) {
      for (let j = 0; j < TURN; j++) {
        const batch = turn[j] as Mutable
        batch.producerId = (i + j) % producers
        const count = written[batch.producerId] as number
        batch.baseSequence = (count * 100) & 0x7fff_ffff
        written[batch.producerId] = count + 1
        if (states.check(batch, 'client').outcome !== 'accepted') throw new Error('a batch was not accepted')
      }
      for (let j = 0; j < TURN; j++) {
        const batch = turn[j] as Mutable
        batch.baseOffset = offset
        offset += 100
        states.appended(batch, 1_700_000_000_000)
      }
      states.settled(offset)
    }
  }
  run(ROUNDS / 10)
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed
  const start = cpuMs()
  run(ROUNDS)
  const nanoseconds = ((cpuMs() - start) / ROUNDS) * 1e6
  const grown = (process.memoryUsage().heapUsed - heap) / ROUNDS
  process.stdout.write(
    `${producers} producers: ${nanoseconds.toFixed(0)} ns a batch, ${(1e3 / nanoseconds).toFixed(1)} M/s, heap ${grown.toFixed(2)} bytes a batch\n`,
  )
}

/** Real memory, with the index, of producers that wrote five batches each. */
function memory(producers: number): void {
  globalThis.gc?.()
  const before = process.memoryUsage()
  const states = new ProducerStates()
  const batch = blank()
  for (let round = 0; round < 5; round++)
    for (let id = 0; id < producers; id++) {
      batch.producerId = id
      batch.baseSequence = round * 100
      batch.baseOffset += 100
      states.appended(batch, 0)
      states.settled(batch.baseOffset + 100)
    }
  globalThis.gc?.()
  const after = process.memoryUsage()
  const bytes = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
  process.stdout.write(
    `${producers} producers: ${(bytes / producers).toFixed(0)} bytes each, told ${(states.bytes / producers).toFixed(0)}\n`,
  )
  let start = cpuMs()
  const file = states.snapshot(crc32c)
  const wrote = cpuMs() - start
  start = cpuMs()
  ProducerStates.load(file, batch.baseOffset + 100, crc32c)
  const read = cpuMs() - start
  start = cpuMs()
  states.expire(1, 1000)
  const swept = cpuMs() - start
  process.stdout.write(
    `  snapshot of ${(file.length / 1e6).toFixed(1)} MB: written in ${wrote.toFixed(1)} ms, read in ${read.toFixed(1)} ms; a sweep ${swept.toFixed(2)} ms\n`,
  )
}

for (const producers of [1, 8, 1000, 100_000]) leader(producers)
for (const producers of [1000, 100_000]) memory(producers)
