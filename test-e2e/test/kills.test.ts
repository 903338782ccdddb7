// SIGKILL of each of the roles that a node can have, while programs that we did not write send with acks=all.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClusterView } from '../src/cluster-view.ts'
import { badLines } from '../src/log-lines.ts'
import { ProcessCluster } from '../src/process-cluster.ts'
import { readBack } from '../src/read-back.ts'
import {
  compare,
  hasKcat,
  KafkaJsWriter,
  KcatWriter,
  longestGap,
  type NumberedWriter,
  progress,
} from '../src/writers.ts'

const ROUNDS = 2

let cluster: ProcessCluster
let view: ClusterView
const gaps: { role: string; writer: string; ms: number }[] = []

beforeAll(async () => {
  cluster = await ProcessCluster.start(3)
  view = new ClusterView(cluster)
})

afterAll(async () => {
  for (const { role, writer, ms } of gaps)
    process.stdout.write(
      `${role.padEnd(26)} ${writer.padEnd(8)} no acknowledgement for ${ms.toFixed(0).padStart(5)} ms\n`,
    )
  const sorted = gaps.map(({ ms }) => ms).sort((a, b) => a - b)
  process.stdout.write(
    `${sorted.length} gaps: median ${sorted[Math.floor(sorted.length / 2)]?.toFixed(0)} ms, worst ${sorted.at(-1)?.toFixed(0)} ms\n`,
  )
  await cluster?.stop()
})

interface Roles {
  readonly controller: number
  readonly others: readonly number[]
}

/** The victim and the replicas of a new topic, its leader first. */
type Scenario = (roles: Roles) => { victim: number; replicas: readonly number[] }

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a follower': ({ controller, others: [a = 0, b = 0] }) => ({ victim: b, replicas: [a, b, controller] }),
  'the leader': ({ controller, others: [a = 0, b = 0] }) => ({ victim: a, replicas: [a, b, controller] }),
  'the controller': ({ controller, others: [a = 0, b = 0] }) => ({ victim: controller, replicas: [a, b, controller] }),
  'the controller and leader': ({ controller, others: [a = 0, b = 0] }) => ({
    victim: controller,
    replicas: [controller, a, b],
  }),
}

interface Outcome {
  readonly writer: string
  readonly lost: readonly string[]
  readonly reordered: boolean
  readonly failures: number
}

async function killUnderLoad(role: string, round: number): Promise<Outcome[]> {
  const controller = await view.controller()
  const others = cluster.nodes.map(({ id }) => id).filter((id) => id !== controller)
  const { victim, replicas } = (SCENARIOS[role] as Scenario)({
    controller,
    others,
  })
  const topic = `${role.replaceAll(' ', '-')}-${round}`
  await view.createTopic(topic, [replicas], { 'min.insync.replicas': '2' })
  expect(await view.inSync(topic, 3)).toBe(replicas[0])
  const kafkaJs = new KafkaJsWriter(cluster.bootstrap, topic)
  const kcat = hasKcat() ? new KcatWriter(cluster.bootstrap, topic) : null
  await kafkaJs.start()
  const writers: NumberedWriter[] = kcat === null ? [kafkaJs] : [kafkaJs, kcat]
  await Promise.all(writers.map((writer) => progress(writer, 50)))

  const killed = performance.now()
  await cluster.node(victim).kill('SIGKILL')
  await Promise.all(writers.map((writer) => progress(writer, 50)))
  for (const writer of writers) gaps.push({ role, writer: writer.name, ms: longestGap(writer, killed) })
  cluster.node(victim).start()
  await view.inSync(topic, 3)
  await Promise.all(writers.map((writer) => progress(writer, 20)))
  await Promise.all(writers.map((writer) => writer.stop()))

  const { values } = await readBack(cluster.bootstrap, topic, 0)
  return writers.map((writer) => {
    const { lost, outOfOrder } = compare(writer.acknowledged, values, writer.prefix)
    return { writer: writer.name, lost, reordered: writer.ordered && outOfOrder > 0, failures: writer.failures }
  })
}

describe('a node killed under acks=all load', () => {
  for (const role of Object.keys(SCENARIOS))
    for (let round = 1; round <= ROUNDS; round++)
      it(`loses nothing acknowledged when it is ${role}, and writing resumes (${round})`, async () => {
        for (const outcome of await killUnderLoad(role, round))
          expect(outcome).toEqual({ ...outcome, lost: [], reordered: false, failures: 0 })
      })

  it('is a voter again in the end', async () => {
    const { voters } = await view.ask((wire) => wire.quorum())
    expect(voters.toSorted((a, b) => a - b)).toEqual([1, 2, 3])
  })

  it('leaves only lines that are JSON with level, time, node and event', () => {
    expect(badLines(cluster)).toEqual([])
  })
})
