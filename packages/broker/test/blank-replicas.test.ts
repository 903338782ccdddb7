import { ErrorCode, readSmallFile, replaceSmallFile } from '@millrace/base'
import { UNASSIGNED } from '@millrace/metadata'
import { describe, expect, it } from 'vitest'
import { Cluster, eventually, sleep, type TestBroker } from './cluster.ts'

/** Three brokers that died before they heard of the topic: its partition has an ISR of three, and no folder anywhere. */
async function unmade(seed: string): Promise<Cluster> {
  const cluster = await Cluster.started(seed, 3)
  for (const id of [1, 2, 3]) cluster.broker(id).kill()
  cluster.controller.createTopic('t', [[1, 2, 3]], { 'min.insync.replicas': '2' })
  expect(cluster.controller.partition('t')).toMatchObject({ leader: 1, isr: [1, 2, 3] })
  return cluster
}

async function serves(cluster: Cluster, value: string): Promise<void> {
  await eventually(async () => expect((await cluster.leader('t').produce('t', [value], -1)).error).toBe(ErrorCode.NONE))
  await cluster.isr('t', [1, 2, 3])
}

function removeFolder(broker: TestBroker): Promise<void> {
  return new Promise((resolve) => broker.disk.remove('/data/t-0', () => resolve()))
}

/** The folder of `u` gets the identity of `t`, whose own folder is lost: what a write to the wrong place does. */
function giveIdAway({ disk }: TestBroker): Promise<void> {
  return new Promise((resolve, reject) => {
    readSmallFile(disk, '/data/t-0/partition.metadata', (unread, id) => {
      if (unread !== null || id === null) return reject(unread ?? new Error('no identity'))
      disk.remove('/data/t-0', () =>
        replaceSmallFile(
          disk,
          '/data/u-0',
          'partition.metadata',
          id,
        )((error) => (error === null ? resolve() : reject(error))),
      )
    })
  })
}

describe('a partition whose brokers all restarted before any had made its folder', () => {
  it('begins once all of them are back, one after another', async () => {
    await using cluster = await unmade('blank-one-by-one')
    // The first one follows a leader that is not there, in a folder that it makes; the others find that they stood and have none.
    for (const id of [1, 2]) await cluster.broker(id).start()
    await sleep(100)
    const { leader, elr, directories } = cluster.controller.partition('t')
    expect({ leader, elr }).toEqual({ leader: 3, elr: [] })
    expect(directories).not.toContain(UNASSIGNED)
    await cluster.broker(3).start()
    await serves(cluster, 'first')
    expect(cluster.controller.partition('t').leaderRecovery).toBe('recovered')
    expect(await cluster.leader('t').read('t')).toEqual(['first'])
  })

  it('begins when they come back together, and again after they die together', async () => {
    await using cluster = await unmade('blank-together')
    for (let round = 0; round < 2; round++) {
      await Promise.all([1, 2, 3].map((id) => cluster.broker(id).start()))
      await eventually(() => expect(cluster.controller.partition('t').leader).not.toBe(-1))
      if (round === 0) for (const id of [1, 2, 3]) cluster.broker(id).kill()
    }
    await serves(cluster, 'first')
  })

  it('waits as long as one of them is away', async () => {
    await using cluster = await unmade('blank-one-away')
    for (const id of [1, 2, 3]) cluster.controller.fence(id)
    expect(cluster.controller.partition('t')).toMatchObject({ leader: -1, elr: [2, 3] })
    for (const id of [1, 2]) await cluster.broker(id).start()
    const waiting = { leader: -1, isr: [], elr: [3] }
    await eventually(() =>
      expect(cluster.controller.partition('t').directories.filter((one) => one === UNASSIGNED).length).toBe(2),
    )
    await sleep(100)
    expect(cluster.controller.partition('t')).toMatchObject(waiting)
    // What they told is remembered: they need not tell it again.
    for (const id of [1, 2]) cluster.broker(id).kill()
    for (const id of [1, 2]) await cluster.broker(id).start()
    expect(cluster.controller.partition('t')).toMatchObject(waiting)
    await cluster.broker(3).start()
    await serves(cluster, 'first')
  })

  it('hears of it through the next controller when the first one did not listen', async () => {
    await using cluster = await unmade('blank-deaf')
    for (const id of [1, 2, 3]) cluster.controller.fence(id)
    cluster.controller.deaf = true
    const starting = [1, 2, 3].map((id) => cluster.broker(id).start())
    await eventually(() =>
      expect(cluster.controller.received.filter(({ kind }) => kind === 'quarantined').length).toBeGreaterThan(1),
    )
    await sleep(100)
    // Those that are counted on do not come in before it is decided that they are not.
    for (const id of [2, 3]) expect(cluster.controller.image.brokers.get(id)?.fenced).toBe(true)
    cluster.controller.deaf = false
    cluster.controller.dropAll()
    await Promise.all(starting)
    await serves(cluster, 'first')
  })
})

describe('a partition that was written to', () => {
  it('waits for the one replica that has its records, when the folders of the others are gone', async () => {
    await using cluster = await Cluster.started('blank-but-one', 3)
    await cluster.topic('t', [1, 2, 3], { 'min.insync.replicas': '2' })
    expect((await cluster.leader('t').produce('t', ['kept'], -1)).error).toBe(ErrorCode.NONE)
    for (const id of [1, 2, 3]) cluster.broker(id).kill()
    for (const id of [3, 1, 2]) cluster.controller.fence(id)
    for (const id of [1, 2]) await removeFolder(cluster.broker(id))
    for (const id of [1, 2]) await cluster.broker(id).start()
    await sleep(100)
    expect(cluster.controller.partition('t')).toMatchObject({ leader: -1, isr: [], elr: [] })
    expect(cluster.controller.partition('t').directories[2]).not.toBe(UNASSIGNED)
    await cluster.broker(3).start()
    await sleep(100)
    // It left the ISR first, so an operator has to say that it will do.
    expect(cluster.controller.partition('t').leader).toBe(-1)
    const partitions = [{ topic: 't', partition: 0 }]
    cluster.controller.decide({ kind: 'electLeaders', election: 'unclean', partitions })
    await eventually(async () => expect(await cluster.broker(3).read('t')).toEqual(['kept']))
    await cluster.isr('t', [1, 2, 3])
  })
})

it('a folder whose topic id became that of another topic is nobody’s log', async () => {
  await using cluster = await Cluster.started('swapped-id', 3)
  for (const topic of ['t', 'u']) {
    await cluster.topic(topic, [1, 2, 3])
    expect((await cluster.leader(topic).produce(topic, [`of ${topic}`], -1)).error).toBe(ErrorCode.NONE)
  }
  const broker = cluster.broker(2)
  // After a clean stop no journal says what the log of that id was.
  await broker.stop()
  await giveIdAway(broker)
  await broker.start()
  // The folder of the other topic's replica is made once that of nobody's log is out of its way.
  for (const topic of ['t', 'u']) await cluster.isr(topic, [1, 2, 3])
  cluster.broker(1).kill()
  cluster.controller.fence(1)
  for (const topic of ['t', 'u']) {
    await eventually(() => expect([2, 3]).toContain(cluster.controller.partition(topic).leader))
    await eventually(async () => expect(await cluster.leader(topic).read(topic)).toEqual([`of ${topic}`]))
  }
  // Only the copy of that broker is left to be read.
  cluster.broker(3).kill()
  cluster.controller.fence(3)
  await eventually(() => expect(cluster.controller.partition('t').leader).toBe(2))
  await eventually(async () => expect(await broker.read('t')).toEqual(['of t']))
})
