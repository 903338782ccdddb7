import { rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  LevelStoreFactory,
  MemoryLogger,
  MemoryRaftStores,
  raftStoreContract,
  SystemClock,
  SystemTimers,
  untilReal,
} from '../src/index.ts'
import type { RaftStoreHost } from '../src/index.ts'
import { holdTo, temporaryFolder } from './contracts.ts'

async function levelHost(): Promise<RaftStoreHost> {
  const folder = temporaryFolder()
  const stores = new LevelStoreFactory({ timers: new SystemTimers(new SystemClock()), log: new MemoryLogger() })
  return {
    stores,
    path: join(folder.path, 'raft'),
    spoil: () => rmSync(join(folder.path, 'raft', 'quorum-state')),
    until: untilReal,
    end: async () => folder.remove(),
  }
}

async function memoryHost(): Promise<RaftStoreHost> {
  const stores = new MemoryRaftStores()
  return { stores, path: 'raft', spoil: () => stores.damage('raft', 'spoilt'), until: untilReal, end: async () => {} }
}

holdTo('the raft store in LevelDB', raftStoreContract(levelHost))
holdTo('the raft store in memory', raftStoreContract(memoryHost))
