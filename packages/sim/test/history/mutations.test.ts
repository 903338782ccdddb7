import { SeededRandom } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import { Draw } from '../../src/run/draw.ts'
import type { Operation } from '../../src/seams.ts'
import { GoodHistory } from './good-history.ts'

/** Changes a history so that something in it cannot be; false where this history offers no place for that. */
type Mutation = (history: Operation[], draw: Draw) => boolean

const MUTATIONS: Readonly<Record<string, readonly [mutation: Mutation, oneOf: readonly string[]]>> = {
  'a record is gone from the middle of the final read': [
    (history, draw) => {
      const poll = pick(history, draw, (each) => each.final === true && each.values.length > 2)
      poll?.values.splice(1, 1)
      return poll !== null
    },
    ['poll-skip'],
  ],
  'the end of a log is gone': [
    (history) => {
      const at = history.findLastIndex(
        ({ final, values, topic, partition }) =>
          final === true &&
          values.some(({ offset }) => history.some((each) => isAcknowledged(each, topic, partition, offset))),
      )
      if (at < 0) return false
      const { partition } = history[at] as Operation
      const rest = history.filter((each, i) => i < at || each.final !== true || each.partition !== partition)
      history.splice(0, history.length, ...rest)
      return true
    },
    ['unseen'],
  ],
  'two records of a batch changed places': [
    (history, draw) => {
      const batches = history.filter(({ kind, copies, values }) => kind === 'send' && copies === 1 && values.length > 1)
      const poll = pick(history, draw, ({ final, values }) => {
        const [first, second] = values
        return final === true && batches.some((send) => holds(send, first?.value) && holds(send, second?.value))
      })
      if (poll === null) return false
      const [first, second] = poll.values as unknown as [{ value: string }, { value: string }]
      ;[first.value, second.value] = [second.value, first.value]
      return true
    },
    ['torn-batch', 'duplicate'],
  ],
  'a write that was read was refused': [
    (history, draw) => {
      const send = pick(history, draw, (each) => each.kind === 'send' && isRead(history, each))
      if (send !== null) Object.assign(send, { outcome: 'fail', copies: 0 })
      return send !== null
    },
    ['G1a'],
  ],
  'a write that was read never was': [
    (history, draw) => {
      const send = pick(history, draw, (each) => each.kind === 'send' && isRead(history, each))
      if (send !== null) history.splice(history.indexOf(send), 1)
      return send !== null
    },
    ['phantom'],
  ],
  'a write is acknowledged at the offset behind its own': [
    (history, draw) => {
      const send = pick(history, draw, (each) => each.kind === 'send' && each.outcome === 'ok' && isRead(history, each))
      for (const value of send?.values ?? []) value.offset++
      return send !== null
    },
    ['duplicate', 'lost-write', 'reassigned-offset', 'unseen'],
  ],
  'a reader goes on one too far': [
    (history, draw) => {
      const poll = pick(history, draw, (each) => each.kind === 'poll' && each.moved === false && each.values.length > 1)
      poll?.values.shift()
      return poll !== null
    },
    ['poll-skip'],
  ],
  'a reader gets a record again': [
    (history, draw) => {
      const poll = pick(
        history,
        draw,
        ({ kind, values, moved }) => kind === 'poll' && moved !== true && values.length > 0,
      )
      if (poll !== null) poll.values.push({ ...(poll.values[0] as { value: string; offset: number }) })
      return poll !== null
    },
    ['nonmonotonic-poll'],
  ],
  'the watermark is below what is read': [
    (history, draw) => {
      const poll = pick(history, draw, ({ kind, values }) => kind === 'poll' && values.length > 0)
      if (poll !== null) Object.assign(poll, { highWatermark: poll.values[0]?.offset })
      return poll !== null
    },
    ['beyond-watermark'],
  ],
  'a log begins above what was deleted': [
    (history, draw) => {
      const earliest = pick(history, draw, ({ asked }) => asked === 'earliest')
      if (earliest !== null) Object.assign(earliest, { answer: 1_000_000 })
      return earliest !== null
    },
    ['log-start'],
  ],
}

function pick(history: readonly Operation[], draw: Draw, fits: (each: Operation) => boolean): Operation | null {
  const fitting = history.filter(fits)
  return fitting.length === 0 ? null : draw.pick(fitting)
}

function isRead(history: readonly Operation[], send: Operation): boolean {
  const names = new Set(send.values.map(({ value }) => value))
  return history.some(({ kind, values }) => kind === 'poll' && values.some(({ value }) => names.has(value)))
}

function holds({ values }: Operation, name: string | undefined): boolean {
  return values.some(({ value }) => value === name)
}

function isAcknowledged(each: Operation, topic: string, partition: number, offset: number): boolean {
  const { kind, outcome, acks, values } = each
  const same = kind === 'send' && each.topic === topic && each.partition === partition
  return same && outcome === 'ok' && acks === -1 && values.some((value) => value.offset === offset)
}

describe('a good history with one change is not good any more', () => {
  for (const [name, [mutation, oneOf]] of Object.entries(MUTATIONS))
    it(`is found: ${name}`, () => {
      let applied = 0
      for (let seed = 0; seed < 100; seed++) {
        const { operations } = new GoodHistory(seed)
        if (!mutation(operations, new Draw(new SeededRandom(`${name}/${seed}`)))) continue
        applied++
        const found = checkHistory(operations).map(({ invariant }) => invariant)
        expect(
          found.some((invariant) => oneOf.includes(invariant)),
          `seed ${seed}: ${found.join()}`,
        ).toBe(true)
      }
      expect(applied).toBeGreaterThan(40)
    })
})
