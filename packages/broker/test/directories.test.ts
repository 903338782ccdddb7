import { ErrorCode, IoError } from '@millrace/base'
import { describe, expect, it } from 'vitest'
import { Cluster, eventually } from './cluster.ts'
import { FolderTurns } from '../src/folder-turns.ts'

const SECOND = 'AAAAAAAAAAAAAAAAAAAABQ'

describe('a broker with two directories', () => {
  it('spreads its logs over them, and finds them again', async () => {
    await using cluster = new Cluster('two-dirs', 1)
    const broker = cluster.broker(1)
    const logDirs = [
      { path: '/data', directoryId: broker.directoryId },
      { path: '/more', directoryId: SECOND },
    ]
    await broker.start({ logDirs })
    cluster.controller.createTopic(
      't',
      Array.from({ length: 4 }, () => [1]),
    )
    const produced = async (at: number): Promise<void> =>
      expect((await broker.produce('t', [`v${at}`], -1, at)).error).toBe(ErrorCode.NONE)
    for (let at = 0; at < 4; at++) await eventually(() => produced(at))
    const spread = (): number[] => broker.running.context.replicas.directories().map(({ replicas }) => replicas.length)
    expect(spread()).toEqual([2, 2])
    await broker.stop()
    await broker.start({ logDirs })
    await eventually(async () => {
      for (let at = 0; at < 4; at++) expect((await broker.read('t', 0, at)).at(-1)).toBe(`v${at}`)
    })
    expect(spread()).toEqual([2, 2])
  })

  it('goes on with one when the other fails, and the controller is told', async () => {
    await using cluster = new Cluster('dir-fails', 2)
    const broker = cluster.broker(1)
    const logDirs = [
      { path: '/data', directoryId: broker.directoryId },
      { path: '/more', directoryId: SECOND },
    ]
    await Promise.all([broker.start({ logDirs }), cluster.broker(2).start()])
    cluster.controller.createTopic(
      't',
      Array.from({ length: 6 }, () => [1, 2]),
    )
    for (let at = 0; at < 6; at++)
      await eventually(async () => expect((await broker.produce('t', ['x'], -1, at)).error).toBe(ErrorCode.NONE))
    const replicas = broker.running.context.replicas
    const lost = new Set(replicas.directories()[1]?.replicas.map(({ partition }) => partition))
    expect(lost.size).toBe(3)
    broker.faults.append = new IoError('EIO', '/more', 'the disk is gone')
    broker.faults.under = '/more'
    for (let at = 0; at < 6; at++) {
      const { error } = await broker.produce('t', ['y'], 1, at)
      expect([at, error]).toEqual([at, lost.has(at) ? ErrorCode.KAFKA_STORAGE_ERROR : ErrorCode.NONE])
    }
    expect(broker.fatal).toBeNull()
    expect(replicas.directories().map(({ error }) => error)).toEqual([0, ErrorCode.KAFKA_STORAGE_ERROR])
    for (const at of lost) {
      await eventually(() => expect(cluster.controller.partition('t', at).leader).toBe(2))
      await eventually(async () =>
        expect((await cluster.broker(2).produce('t', ['z'], -1, at)).error).toBe(ErrorCode.NONE),
      )
    }
    expect(cluster.controller.image.brokers.get(1)?.directories).toEqual([broker.directoryId])
  })
})

describe('work on folders', () => {
  it('of one name is done in its order, of different names side by side', () => {
    const turns = new FolderTurns()
    const order: string[] = []
    const ends: (() => void)[] = []
    for (const name of ['a', 'a', 'b', 'a'])
      turns.run(name, (ended) => {
        order.push(name)
        ends.push(ended)
      })
    expect(order).toEqual(['a', 'b'])
    ends[0]?.()
    expect(order).toEqual(['a', 'b', 'a'])
    ends[2]?.()
    ends[3]?.()
    turns.run('a', () => order.push('again'))
    expect(order).toEqual(['a', 'b', 'a', 'a', 'again'])
  })
})
