import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../src/history/check-history.ts'
import type { Operation } from '../../src/seams.ts'
import { GoodHistory } from './good-history.ts'

/** What a history breaks, each once. */
function broken(history: readonly Operation[]): string[] {
  return [...new Set(checkHistory(history).map(({ invariant }) => invariant))]
}

const SEND: Operation = {
  client: 'client-1',
  kind: 'send',
  invokedUs: 100,
  endedUs: 200,
  outcome: 'ok',
  topic: 'topic',
  partition: 0,
  values: [],
  acks: -1,
  copies: 1,
  connection: 1,
  timestampMs: 5,
}
const POLL: Operation = {
  client: 'client-2',
  kind: 'poll',
  invokedUs: 300,
  endedUs: 400,
  outcome: 'ok',
  topic: 'topic',
  partition: 0,
  values: [],
  from: 0,
  epoch: 3,
  moved: false,
  highWatermark: 100,
  logStart: 0,
}
const LOOKUP: Operation = {
  client: 'client-2',
  kind: 'lookup',
  invokedUs: 500,
  endedUs: 600,
  outcome: 'ok',
  topic: 'topic',
  partition: 0,
  values: [],
  epoch: 3,
}

/** `a@0 b@1` */
function values(text: string): Operation['values'] {
  return text.split(' ').map((one) => {
    const [value = '', offset = '-1'] = one.split('@')
    return { value, offset: Number(offset) }
  })
}

function send(text: string, more: Partial<Operation> = {}): Operation {
  return { ...SEND, values: values(text), ...more }
}

function poll(text: string, more: Partial<Operation> = {}): Operation {
  const all = text === '' ? [] : values(text)
  return { ...POLL, values: all, from: all[0]?.offset ?? 0, ...more }
}

describe('a history without faults', () => {
  it('breaks nothing, whatever the seed', () => {
    for (let seed = 0; seed < 400; seed++) {
      const { operations } = new GoodHistory(seed)
      expect(checkHistory(operations), `seed ${seed}`).toEqual([])
    }
  })

  it('may be empty', () => {
    expect(checkHistory([])).toEqual([])
  })

  it('may lose what was sent with acks 1, and what nobody knows of', () => {
    expect(
      broken([
        send('a@0', { acks: 1 }),
        send('b', { outcome: 'info', acks: 0 }),
        send('c@0'),
        poll('c@0', { final: true }),
      ]),
    ).toEqual([])
  })

  it('may hold a repeated value twice', () => {
    const repeated = send('a@1', { copies: 2, connection: -1 })
    expect(broken([repeated, poll('a@0 a@1', { final: true })])).toEqual([])
  })

  it('may begin where records were deleted', () => {
    const deletion: Operation = { ...SEND, kind: 'admin', asked: 'delete-records', from: 2, outcome: 'info' }
    const earliest: Operation = { ...LOOKUP, asked: 'earliest', answer: 2, final: true }
    expect(broken([send('a@0 b@1 c@2'), deletion, earliest, poll('c@2', { final: true, logStart: 2 })])).toEqual([])
  })

  it('may show an older end to who does not say which leader it expects', () => {
    const old: Operation = { ...LOOKUP, asked: 'latest', answer: 1, epoch: -1 }
    expect(broken([send('a@0 b@1'), poll('a@0 b@1'), old])).toEqual([])
  })
})

describe('each anomaly is found, and told with the operations that show it', () => {
  const CASES: readonly (readonly [invariant: string, what: string, history: readonly Operation[]])[] = [
    [
      'inconsistent-offsets',
      'two readers see different values at an offset',
      [
        send('a', { outcome: 'info' }),
        send('b', { outcome: 'info' }),
        poll('a@0'),
        poll('b@0', { client: 'client-3' }),
      ],
    ],
    ['phantom', 'a value that nobody wrote is read', [poll('a@0')]],
    ['phantom', 'a value of another partition is read', [send('a', { outcome: 'info', partition: 1 }), poll('a@0')]],
    ['phantom', 'a value is read before it was sent', [send('a@0', { invokedUs: 900, endedUs: 950 }), poll('a@0')]],
    ['G1a', 'a refused value is read', [send('a', { outcome: 'fail', copies: 0 }), poll('a@0')]],
    ['duplicate', 'a value is at two offsets', [send('a', { outcome: 'info' }), poll('a@0 a@1')]],
    ['duplicate', 'an acknowledged value is read elsewhere', [send('a@0', { acks: 1 }), send('b@0'), poll('b@0 a@1')]],
    [
      'lost-write',
      'another value is read where one was acknowledged',
      [send('a@0'), send('b', { outcome: 'info' }), poll('b@0')],
    ],
    [
      'reassigned-offset',
      'an offset is acknowledged to two producers',
      [send('a@0'), send('b@0', { client: 'client-3', connection: 3 })],
    ],
    ['poll-skip', 'an offset is left out of a poll', [send('a@0 b@1 c@2'), poll('a@0 c@2')]],
    ['poll-skip', 'a poll begins above the position', [send('a@0 b@1 c@2'), poll('b@1', { from: 0 })]],
    [
      'poll-skip',
      'a consumer leaves something out between two polls',
      [send('a@0 b@1 c@2'), poll('a@0'), poll('c@2', { invokedUs: 410, endedUs: 420 })],
    ],
    ['nonmonotonic-poll', 'a poll goes back in itself', [send('a@0 b@1'), poll('a@0 b@1 a@0')]],
    [
      'nonmonotonic-poll',
      'a consumer goes back between two polls',
      [send('a@0 b@1'), poll('a@0 b@1'), poll('b@1', { invokedUs: 410, endedUs: 420 })],
    ],
    [
      'beyond-watermark',
      'a poll gives what is not committed',
      [send('a@0 b@1'), poll('a@0 b@1', { highWatermark: 1 })],
    ],
    ['torn-batch', 'a batch is in two pieces', [send('a b', { outcome: 'info' }), send('c@1'), poll('a@0 c@1 b@2')]],
    [
      'offset-order',
      'a later send is acknowledged below an earlier one',
      [send('a@5'), send('b@4', { invokedUs: 300, endedUs: 400, client: 'client-3', connection: 3 })],
    ],
    [
      'nonmonotonic-send',
      'the second of two sends on their way is appended first',
      [send('a@1', { endedUs: 900 }), send('b@0', { invokedUs: 110, endedUs: 900 })],
    ],
    [
      'unseen',
      'an acknowledged value is not there in the end',
      [send('a@0'), send('b@1'), poll('a@0', { final: true })],
    ],
    [
      'unseen',
      'the rest of an acknowledged batch is not there in the end',
      [send('a@0 b@1'), poll('a@0', { final: true })],
    ],
    [
      'vanished',
      'a value that was read is not there in the end',
      [
        send('a@0'),
        send('b', { outcome: 'info' }),
        poll('a@0 b@1'),
        poll('a@0', { final: true, client: 'client-final' }),
      ],
    ],
    ['log-start', 'a log begins where nothing was deleted', [{ ...LOOKUP, asked: 'earliest', answer: 3 }]],
    ['log-start', 'a poll tells of a log start that nobody asked for', [send('a@0 b@1'), poll('b@1', { logStart: 1 })]],
    [
      'latest-went-back',
      'the end is below what the same client has read',
      [send('a@0 b@1'), poll('a@0 b@1'), { ...LOOKUP, asked: 'latest', answer: 1 }],
    ],
    [
      'position-lost',
      'a position that was read up to is out of range',
      [
        send('a@0 b@1'),
        poll('a@0 b@1'),
        poll('', { from: 2, outcome: 'fail', error: 1, invokedUs: 410, endedUs: 420 }),
      ],
    ],
    [
      'position-lost',
      'the epoch of what was read ends before it',
      [send('a@0 b@1'), poll('a@0 b@1'), { ...LOOKUP, asked: 'epoch-end', from: 2, answer: 1 }],
    ],
    [
      'wrong-timestamp',
      'a lookup gives a record that is too old',
      [send('a@0'), poll('a@0'), { ...LOOKUP, asked: 'timestamp', from: 6, answer: 0 }],
    ],
    [
      'wrong-timestamp',
      'a lookup passes over a record that is young enough',
      [send('a@0 b@1'), poll('a@0 b@1'), { ...LOOKUP, asked: 'timestamp', from: 5, answer: 1 }],
    ],
  ]
  for (const [invariant, what, history] of CASES)
    it(`${invariant}: ${what}`, () => {
      const [first, ...others] = checkHistory(history).filter((each) => each.invariant === invariant)
      expect(first?.message).toMatch(/\d\.\d{6} to \d\.\d{6} client-\S+ (send|poll|lookup)/)
      expect(others.length).toBeLessThan(5)
    })
})
