// A group of processes under a kafkajs group that changes: killed, left, joined; then brokers that restart. The long versions are e2e:rebalance and e2e:rolling.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { badLines } from '../src/log-lines.ts'
import { toldOtherwise } from '../src/members/rebalance-lines.ts'
import { pausesOf } from '../src/members/pauses.ts'
import { GroupStage } from '../src/members/stage.ts'
import { toldRebalances } from '../src/members/told-rebalances.ts'
import { ProcessCluster } from '../src/process-cluster.ts'

describe.each(['kafkajs', 'platformatic'] as const)('a group of %s consumers while records are written', (client) => {
  let cluster: ProcessCluster
  let stage: GroupStage
  let begunMs = 0

  beforeAll(async () => {
    // The newer protocol's sessions are the broker's: short ones, as the classic members ask for.
    cluster = await ProcessCluster.start(3, ['group.consumer.session.timeout.ms=6000'])
    stage = new GroupStage(cluster, { client, partitions: 12, rate: 100, members: 4 })
    await stage.begin(cluster.bootstrap)
    begunMs = Date.now()
  }, 120_000)

  afterAll(async () => {
    await stage?.stop()
    await cluster?.stop()
  })

  it('comes to rest after a member is killed, one leaves and one joins, and tells each cause', async () => {
    const [killed, left] = stage.crowd.running
    await killed?.kill()
    await stage.settled()
    await left?.leave()
    await stage.settled()
    const joined = stage.crowd.join()
    await stage.settled()
    stage.crowd.refresh()
    const told = toldRebalances(cluster, stage, { startedMs: begunMs, endedMs: Date.now() })
    const causes = told.flatMap((rebalance) => rebalance.causes.map(({ reason, clientId }) => `${reason} ${clientId}`))
    expect(causes).toContain(`session-timeout ${killed?.clientId}`)
    expect(causes).toContain(`left ${left?.clientId}`)
    expect(causes).toContain(`joined ${joined.clientId}`)
    for (const rebalance of told) {
      expect(rebalance.causes).not.toEqual([])
      expect(rebalance.endedMs).toBeGreaterThanOrEqual(rebalance.startedMs)
    }
    expect(await toldOtherwise(cluster, await stage.coordinator(), stage.group)).toEqual([])
  })

  it('comes to rest after its coordinator restarts', async () => {
    const node = cluster.node(await stage.coordinator())
    await node.kill('SIGTERM')
    node.start()
    await node.listening()
    await stage.settled()
    expect(stage.crowd.failures()).toEqual([])
  })

  it('has read exactly what was written, and committed it', async () => {
    const outcome = await stage.finish()
    expect(outcome.trouble).toEqual([])
    expect(outcome).toMatchObject({ skipped: [], missing: [] })
    expect(outcome.read).toBe(outcome.written)
    expect(outcome.written).toBeGreaterThan(200)
    expect(badLines(cluster)).toEqual([])
  })
})

describe('the pauses of a member', () => {
  const reading = (atMs: number, appendedMs: number) => ({ atMs, appendedMs, partition: 0, offset: 0, value: '' })

  it('last from the record before to the record after', () => {
    expect(pausesOf([reading(100, 99), reading(500, 110), reading(501, 120)])).toEqual([{ fromMs: 110, toMs: 500 }])
  })

  it('are none while there is nothing to read', () => {
    expect(pausesOf([reading(100, 99), reading(500, 499), reading(505, 504)])).toEqual([])
  })

  it('begin with the first of what was read together after them', () => {
    expect(pausesOf([reading(100, 99), reading(500, 490), reading(510, 150)])).toEqual([{ fromMs: 150, toMs: 500 }])
  })
})
