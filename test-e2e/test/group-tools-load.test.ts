// Kafka's own kafka-consumer-groups and `millrace group describe` of twenty groups that commit while records are written: what one says lies between
// what the other said before and after it.
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createTestCluster, type TestCluster } from '@millrace/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasKafka, kafkaTool } from '../src/kafka-tools.ts'
import { MAIN } from '../src/process-cluster.ts'

const GROUPS = Array.from({ length: 20 }, (_, at) => `group-${at}`)
/** These commit all the time; the others stay where they are while the log grows. */
const MOVING = GROUPS.slice(0, 10)
const TOPIC = 'orders'
const PARTITIONS = 3
const ROUNDS = 2
const execute = promisify(execFile)

interface Row {
  readonly committed: number
  readonly end: number
  readonly lag: number
}

/** The rows of a table as both print it, by group and partition. */
function rowsOf(table: string): Map<string, Row> {
  const rows = new Map<string, Row>()
  for (const line of table.split('\n')) {
    const [group = '', topic, partition, committed, end, lag] = line.trim().split(/\s+/)
    if (topic === TOPIC)
      rows.set(`${group}-${partition}`, { committed: Number(committed), end: Number(end), lag: Number(lag) })
  }
  return rows
}

function isWithin(value: number, low: number, high: number): boolean {
  return value >= low && value <= high
}

describe.skipIf(!hasKafka)('kafka-consumer-groups and millrace group describe under load', () => {
  let cluster: TestCluster
  const stopping = new AbortController()
  let written = 0
  let commits = 0
  let load: Promise<unknown> = Promise.resolve()

  beforeAll(async () => {
    cluster = await createTestCluster({ nodes: 3 })
    await cluster.client.admin.createTopic({ name: TOPIC, partitions: PARTITIONS })
    await write(60)
    for (const group of GROUPS) await commit(group, 1)
    load = Promise.all([writing(), ...MOVING.map((group) => committing(group))])
  })

  afterAll(async () => {
    stopping.abort()
    await load
    await cluster?.close()
  })

  async function write(count: number): Promise<void> {
    const producer = cluster.client.producer()
    const records = Array.from({ length: count }, (_, at) => ({ topic: TOPIC, partition: at % PARTITIONS, value: 'x' }))
    await Promise.all(records.map((record) => producer.send(record)))
    written += count
  }

  async function writing(): Promise<void> {
    for (; !stopping.signal.aborted; await sleep(50)) await write(30)
  }

  async function commit(group: string, offset: number): Promise<void> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: TOPIC, partition, offset }))
    await cluster.client.admin.groups.alterOffsets(group, partitions)
    commits++
  }

  async function committing(group: string): Promise<void> {
    for (let offset = 2; !stopping.signal.aborted; await sleep(100)) await commit(group, offset++)
  }

  async function ours(): Promise<Map<string, Row>> {
    const bootstrap = cluster.bootstrap.join(',')
    const { stdout } = await execute(process.execPath, [MAIN, 'group', 'describe', '--all', '-b', bootstrap])
    return rowsOf(stdout)
  }

  async function theirs(): Promise<Map<string, Row>> {
    const args = ['--bootstrap-server', cluster.bootstrap.join(','), '--describe', '--all-groups']
    return rowsOf((await kafkaTool('consumer-groups', args)).out)
  }

  it('agree on commits, and on lag within what was written and committed meanwhile', async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await ours()
      const between = await theirs()
      const after = await ours()
      expect(between.size).toBe(GROUPS.length * PARTITIONS)
      expect([...before.keys()].toSorted()).toEqual([...between.keys()].toSorted())
      for (const [place, row] of between) {
        const [first, last] = [before.get(place), after.get(place)] as [Row, Row]
        const written = last.end - first.end
        const committed = last.committed - first.committed
        expect(row.lag).toBe(row.end - row.committed)
        expect(isWithin(row.committed, first.committed, last.committed)).toBe(true)
        expect(isWithin(row.end, first.end, last.end)).toBe(true)
        // The lag of who stands still grows by what is written; who moves makes up for some of it.
        expect(isWithin(row.lag, first.lag - committed, first.lag + written)).toBe(true)
      }
    }
  }, 300_000)

  it('were asked under load', async () => {
    const [writtenBefore, commitsBefore] = [written, commits]
    await theirs()
    expect(written).toBeGreaterThan(writtenBefore)
    expect(commits).toBeGreaterThan(commitsBefore + MOVING.length)
  }, 60_000)
})
