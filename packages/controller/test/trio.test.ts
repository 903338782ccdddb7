import { afterEach, describe, expect, test } from 'vitest'
import { Trio } from './trio.ts'
import type { Node } from './trio.ts'

let trio: Trio
afterEach(() => trio.stop())

async function formed(snapshotMaxBytes?: number): Promise<Node> {
  trio = new Trio(snapshotMaxBytes)
  trio.start()
  await trio.until(() => trio.nodes.size === 3 && trio.settled, 'three brokers in service')
  return trio.leader as Node
}

async function createTopic(node: Node, name: string, partitions: number): Promise<void> {
  node.createTopic(name, partitions)
  await trio.until(() => trio.settled && trio.leader?.image.topicByName(name) !== null, `topic ${name} everywhere`)
}

describe('three nodes with a quorum of their own', () => {
  test('form a cluster, put their brokers into service and agree on a topic', { timeout: 30_000 }, async () => {
    const leader = await formed()
    await createTopic(leader, 't', 12)
    const [first, ...others] = [...trio.nodes.values()]
    expect(first?.image.clusterId).not.toBeNull()
    for (const other of others) expect(other.image.snapshot()).toEqual(first?.image.snapshot())
    expect(first?.image.topicByName('t')?.partitions.every(({ isr }) => isr.length === 3)).toBe(true)
  })

  test(
    'move every leadership off a killed node that was the controller too, within a moment',
    { timeout: 30_000 },
    async () => {
      const leader = await formed()
      await createTopic(leader, 't', 12)
      trio.kill(leader.id)
      const survivors = [...trio.nodes.values()]
      const moved = (): boolean =>
        survivors.every((node) =>
          node.image.topicByName('t')?.partitions.every((one) => one.leader !== leader.id && one.leader !== -1),
        )
      const tookMs = await trio.until(moved, 'leaderships among the survivors')
      // A session is 3 s: the refused dial was enough.
      expect(tookMs).toBeLessThan(2500)
      expect(survivors.every((node) => node.image.brokers.get(leader.id)?.fenced)).toBe(true)
      for (const node of survivors)
        expect(node.image.brokers.get(node.id)).toMatchObject({ fenced: false, epoch: node.epoch })
    },
  )

  test('take a restarted node back as a new incarnation that continues its image', { timeout: 30_000 }, async () => {
    const leader = await formed()
    await createTopic(leader, 't', 3)
    const victim = [...trio.nodes.values()].find((node) => node !== leader) as Node
    const epoch = victim.epoch
    trio.kill(victim.id)
    await createTopic(leader, 'failed', 3).catch(() => undefined)
    await trio.until(() => leader.image.brokers.get(victim.id)?.fenced === true, 'the fencing')
    trio.start(victim.id)
    await trio.until(() => trio.settled, 'the node back in service')
    const back = trio.node(victim.id)
    expect(back.epoch).toBeGreaterThan(epoch)
    expect(back.snapshots).toBe(0)
    expect(back.image.snapshot()).toEqual(leader.image.snapshot())
  })

  test('survive the restart of all of them, from snapshots of the log', { timeout: 30_000 }, async () => {
    const leader = await formed(4000)
    for (let i = 0; i < 6; i++) await createTopic(leader, `t${i}`, 20)
    for (const id of [1, 2, 3]) trio.kill(id)
    trio.start()
    await trio.until(() => trio.settled, 'all of them back in service')
    const again = trio.leader as Node
    expect(again.controller.image.topics.size).toBe(6)
    for (const topic of again.image.topics.values())
      for (const partition of topic.partitions) expect(partition.leader).not.toBe(-1)
  })

  test('let a broker go that asks for it, its leaderships having moved', { timeout: 30_000 }, async () => {
    const leader = await formed()
    await createTopic(leader, 't', 9)
    const leaving = [...trio.nodes.values()].find((node) => node !== leader) as Node
    leaving.wantShutdown = true
    const tookMs = await trio.until(() => leaving.mayShutDown, 'the permission')
    expect(tookMs).toBeLessThan(2000)
    const partitions = leader.image.topicByName('t')?.partitions ?? []
    expect(partitions.some((one) => one.leader === leaving.id || one.isr.includes(leaving.id))).toBe(false)
  })

  test('go on after the controller handed its leadership on', { timeout: 30_000 }, async () => {
    const leader = await formed()
    await createTopic(leader, 't', 3)
    await new Promise<void>((resolve) => leader.controller.stop(() => resolve()))
    await trio.until(() => trio.leader !== undefined && trio.leader !== leader, 'another controller')
    const next = trio.leader as Node
    await trio.until(() => [...trio.nodes.values()].every((node) => node.registrations === 2), 'all brokers at it')
    next.createTopic('later', 3)
    await trio.until(
      () => [...trio.nodes.values()].every((node) => node.image.topicByName('later') !== null),
      'a new topic',
    )
    expect([...trio.nodes.values()].every((node) => node.image.brokers.get(node.id)?.fenced === false)).toBe(true)
  })
})
