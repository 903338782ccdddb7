// Writes to a raft store as fast as it can and prints the index of every entry that is done, until it is killed.
import { writeSync } from 'node:fs'
import type { RaftStore } from '@millrace/base'
import { LevelStoreFactory, MemoryLogger, SystemClock, SystemTimers } from '../../src/index.ts'

const timers = new SystemTimers(new SystemClock())
let last = 0
const log = new MemoryLogger()
new LevelStoreFactory({ timers, log }).open(process.argv[2] as string, (error, store) => {
  if (error !== null) throw error
  store.load((_, { lastIndex }) => {
    last = lastIndex
    for (let at = 0; at < 4; at++) append(store, ++last)
  })
})

function append(store: RaftStore, index: number): void {
  const payload = new Uint8Array(500).fill(index)
  const hardState = { term: index, votedFor: null }
  store.write({ token: index, hardState, append: [{ index, term: index, kind: 'data', payload }] }, (error) => {
    if (error !== null) throw error
    writeSync(1, `${index}\n`)
    append(store, ++last)
  })
}
