import { describe, expect, test } from 'vitest'
import { diskContract, raftStoreContract } from '@millrace/host'
import type { ContractCase, DiskHost, RaftStoreHost } from '@millrace/host'
import { Bench } from './fixture.ts'

function holdTo(what: string, cases: readonly ContractCase[]): void {
  describe(`The contract of ${what}`, () => {
    test.for(cases)('$name', async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })
}

async function diskHost(): Promise<DiskHost> {
  const bench = new Bench('disk')
  const until = async (condition: () => boolean, what: string): Promise<void> => bench.until(condition, what)
  return { disk: bench.disk, root: '', until, end: async () => {} }
}

async function raftHost(): Promise<RaftStoreHost> {
  const bench = new Bench('raft')
  const until = async (condition: () => boolean, what: string): Promise<void> => bench.until(condition, what)
  const spoil = (): void => {
    while (bench.storage.damage('bit-rot') === null);
  }
  return { stores: bench.storage.raftStores(bench.life), path: '/raft', spoil, until, end: async () => {} }
}

holdTo('the simulated disk', diskContract(diskHost))
holdTo('the simulated Raft store', raftStoreContract(raftHost))
