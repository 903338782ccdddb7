// What Apache Kafka 4.3.1 answered and wrote: see golden/record.ts.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ErrorCode } from '@millrace/base'
import { crc32c } from '@millrace/records'
import { expect, test } from 'vitest'
import { ProducerStates } from '../src/index.ts'
import type { ProducerVerdict } from '../src/index.ts'
import { batch } from './batches.ts'

interface Asked {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly records: number
  readonly maxTimestamp: number
  /** What Kafka answered. */
  readonly answer: string
}

function golden(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), 'golden', name)
}

function recorded(): Asked[] {
  return readFileSync(golden('verdicts.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [producerId, producerEpoch, baseSequence, records, maxTimestamp, ...answer] = line.split(' ')
      return {
        producerId: Number(producerId),
        producerEpoch: Number(producerEpoch),
        baseSequence: Number(baseSequence),
        records: Number(records),
        maxTimestamp: Number(maxTimestamp),
        answer: answer.join(' '),
      }
    })
}

/** As the lines have it: error and base offset. */
function answered(verdict: ProducerVerdict, baseOffset: number): string {
  if (verdict.outcome === 'refused') return `${verdict.error} -1`
  return `${ErrorCode.NONE} ${verdict.outcome === 'duplicate' ? verdict.baseOffset : baseOffset}`
}

/** What we say to each of them, and know afterwards. */
function replayed(): { states: ProducerStates; given: string[]; answers: string[] } {
  const states = new ProducerStates()
  const given: string[] = []
  let end = 0
  for (const { records, answer: _, ...header } of recorded()) {
    const one = batch({ ...header, lastOffsetDelta: records - 1, baseOffset: end })
    const verdict = states.check(one, 'client')
    given.push(answered(verdict, end))
    if (verdict.outcome !== 'accepted') continue
    states.appended(one, 0)
    end += records
  }
  return { states, given, answers: recorded().map(({ answer }) => answer) }
}

test('the verdicts are those of Apache Kafka, on 600 batches of four producers that number them well, twice and wrongly', () => {
  const { given, answers } = replayed()
  expect(given).toEqual(answers)
  expect(new Set(answers.map((answer) => answer.split(' ')[0]))).toEqual(new Set(['0', '45', '47']))
})

test('the state after them is what Apache Kafka wrote at its clean stop, with a window behind the last batches', () => {
  const { states } = replayed()
  const theirs = ProducerStates.load(readFileSync(golden('00000000000000000440.snapshot')), 440, crc32c)
  const ends = (from: ProducerStates): unknown[] =>
    [...from.producers()]
      .map((view) => ({ ...view, batches: view.batches.slice(-1) }))
      .toSorted((a, b) => a.producerId - b.producerId)
  expect(ends(states)).toEqual(ends(theirs))
  expect([...states.producers()].map(({ batches }) => batches.length)).toEqual([5, 5, 5, 5])
  expect([...theirs.producers()].map(({ batches }) => batches.length)).toEqual([1, 1, 1, 1])
})
