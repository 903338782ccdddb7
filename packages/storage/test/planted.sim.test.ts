// Bugs that are planted into the journal, each of which the seeded lives must find: a simulation that finds none of them proves nothing.
import type { Done } from '@millrace/base'
import { afterEach, describe, expect, it } from 'vitest'
import { DirectoryOpening } from '../src/directory-opening.ts'
import { Journal } from '../src/journal.ts'
import { JournalCheckpoints } from '../src/journal-checkpoints.ts'
import { LogCuts } from '../src/log-cuts.ts'
import { LogSync } from '../src/log-sync.ts'
import { SyncScheduler, type SyncWork } from '../src/sync-scheduler.ts'
import { TailCache } from '../src/tail-cache.ts'
import { Life } from './life.ts'
import { TestRandom } from './sim-world.ts'

const MOST_SEEDS = 60

type Method = (this: never, ...args: never[]) => unknown

const undo: (() => void)[] = []
afterEach(() => {
  for (const restore of undo.splice(0)) restore()
})

/** Replaces a method; `make` gets the right one. */
function plant(owner: { prototype: object }, name: string, make: (right: Method) => Method): void {
  const right = Reflect.get(owner.prototype, name) as Method
  if (typeof right !== 'function') throw new Error(`there is no method ${name}`)
  Reflect.set(owner.prototype, name, make(right))
  undo.push(() => Reflect.set(owner.prototype, name, right))
}

const succeed = (done: Done<void>): void => done(null)

const BUGS: Readonly<Record<string, () => void>> = {
  'a durable report before the write has ended': () =>
    plant(
      Journal,
      'writeGroup',
      (right) =>
        function (this: { report(group: object): void }, group: { entries: object[] }) {
          this.report({ entries: group.entries.map((entry) => ({ ...entry, slab: null, done: null })) })
          right.call(this as never, group as never)
        },
    ),
  'a file used again before its checkpoint': () =>
    plant(
      JournalCheckpoints,
      'begin',
      () =>
        function (this: { firstNeeded: number; firstUnwritten(): number }) {
          this.firstNeeded = this.firstUnwritten()
        },
    ),
  'a checkpoint without a sync of the segments': () => plant(SyncScheduler, 'sync', () => succeed),
  'a sync that is told of and not made': () =>
    plant(
      LogSync,
      'beginSync',
      (right) =>
        function (this: LogSync) {
          return { ...(right.call(this as never) as SyncWork), run: succeed }
        },
    ),
  'what an earlier journal left taken for new': () =>
    plant(TestRandom, 'fill', () => (into: Uint8Array) => into.fill(7)),
  'a truncation that the journal does not have': () => plant(Journal, 'changed', () => () => undefined),
  'files that are cut before the journal has it': () => plant(LogCuts, 'breaksPromise', () => () => false),
  'a checkpoint that covers a cut that was not done yet': () =>
    plant(
      JournalCheckpoints,
      'begin',
      (right) =>
        function (this: { firstUnwritten(): number }) {
          const { firstUnwritten } = this
          this.firstUnwritten = () => firstUnwritten() + 1
          right.call(this as never)
          this.firstUnwritten = firstUnwritten
        },
    ),
  'memory used again before it was written': () => {
    plant(TailCache, 'pin', () => () => undefined)
    plant(
      Journal,
      'report',
      (right) =>
        function (this: object, group: { entries: object[] }) {
          return right.call(
            this as never,
            { entries: group.entries.map((entry) => ({ ...entry, slab: null })) } as never,
          )
        },
    )
  },
  'a journal forgotten before what was replayed is synced': () =>
    plant(DirectoryOpening, 'settleReplayed', () => succeed),
  'a log made without a word of it in the journal': () =>
    plant(Journal, 'begins', () => (_key: unknown, _offset: unknown, done: Done<void>) => done(null)),
}

describe('the seeded lives find', () => {
  it.each(Object.keys(BUGS))('%s', (bug) => {
    BUGS[bug]?.()
    let found = 0
    for (let seed = 1; seed <= MOST_SEEDS && found === 0; seed++)
      try {
        new Life(seed).live(250)
      } catch {
        found = seed
      }
    expect(found).toBeGreaterThan(0)
  })
})
