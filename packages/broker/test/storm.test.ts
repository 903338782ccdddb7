import { ErrorCode } from '@millrace/base'
import { SeededRandom } from '@millrace/host'
import { describe, expect, it } from 'vitest'
import { Cluster, eventually, sleep } from './cluster.ts'
import { contents, logOf } from './contents.ts'

const TOPICS = ['t', 'u', 'v']
const STORM_MS = 3_000

/** What befalls a cluster: one thing at a time, each undone before the next, chosen by the seed. */
class Weather {
  private readonly cluster: Cluster
  private readonly random: SeededRandom
  readonly told: string[] = []

  constructor(cluster: Cluster, random: SeededRandom) {
    this.cluster = cluster
    this.random = random
  }

  async next(): Promise<void> {
    const turns = [
      () => this.killed(),
      () => this.stopped(),
      () => this.isolated(),
      () => this.zombie(),
      () => this.broken(),
      () => this.elected(),
      () => this.slept(),
      () => this.forgotten(),
    ]
    await (turns[this.random.below(turns.length)] as () => Promise<void>)()
    await sleep(this.random.below(150))
  }

  private broker(): number {
    return 1 + this.random.below(3)
  }

  private async killed(): Promise<void> {
    const id = this.broker()
    this.told.push(`kill ${id}`)
    this.cluster.broker(id).kill()
    await sleep(this.random.below(100))
    this.cluster.controller.fence(id)
    await sleep(this.random.below(200))
    await this.cluster.broker(id).start()
  }

  private async stopped(): Promise<void> {
    const id = this.broker()
    this.told.push(`stop ${id}`)
    await this.cluster.broker(id).stop()
    await sleep(this.random.below(100))
    await this.cluster.broker(id).start()
  }

  /** From the other brokers, while the controller still hears it. */
  private async isolated(): Promise<void> {
    const id = this.broker()
    const how = this.random.below(2) === 0 ? 'silent' : 'broken'
    this.told.push(`isolate ${id} ${how}`)
    for (const { name, id: other } of this.cluster.brokers)
      if (other !== id) this.cluster.network.cut(`b${id}`, name, how)
    await sleep(this.random.below(600))
    this.heal()
  }

  /** A leader that does not know that it was replaced. */
  private async zombie(): Promise<void> {
    const id = this.broker()
    this.told.push(`zombie ${id}`)
    for (const name of ['c0', 'b1', 'b2', 'b3'])
      if (name !== `b${id}`) this.cluster.network.cut(`b${id}`, name, 'silent')
    this.cluster.controller.fence(id)
    await sleep(this.random.below(400))
    this.heal()
  }

  private async broken(): Promise<void> {
    this.told.push('breaks')
    for (let at = 0; at < 5; at++) {
      this.cluster.network.break(`b${this.broker()}`, `b${this.broker()}`)
      await sleep(this.random.below(20))
    }
  }

  private async elected(): Promise<void> {
    for (const topic of TOPICS) {
      const { isr, leader } = this.cluster.controller.partition(topic)
      const next = isr[this.random.below(Math.max(1, isr.length))]
      this.told.push(`elect ${topic} ${next}`)
      if (next !== undefined && next !== leader) this.cluster.controller.force(topic, { leader: next })
    }
  }

  private async slept(): Promise<void> {
    const id = this.broker()
    this.told.push(`sleep ${id}`)
    this.cluster.broker(id).clock.jump(1_200)
  }

  private async forgotten(): Promise<void> {
    this.told.push('controller')
    this.cluster.controller.dropAll()
  }

  heal(): void {
    const names = ['c0', 'b1', 'b2', 'b3']
    for (const one of names) for (const other of names) if (one < other) this.cluster.network.heal(one, other)
  }
}

async function produceUntil(cluster: Cluster, topic: string, name: string, signal: AbortSignal): Promise<string[]> {
  const acked: string[] = []
  for (let at = 0; !signal.aborted; at++) {
    const { leader } = cluster.controller.partition(topic)
    const broker = leader === -1 ? null : cluster.broker(leader)
    const value = `${name}-${at}`
    const timeout = sleep(400).then(() => ({ error: ErrorCode.REQUEST_TIMED_OUT }))
    const produced = broker?.broker
      ? Promise.race([broker.produce(topic, [value]), timeout])
      : { error: ErrorCode.NOT_LEADER_OR_FOLLOWER }
    const { error } = await produced
    if (error === ErrorCode.NONE) acked.push(value)
    else await sleep(3)
  }
  return acked
}

describe('a storm', () => {
  it.each(['calm-1', 'calm-2', 'calm-3'])(
    'of seed %s loses nothing acknowledged and leaves the replicas equal',
    async (seed) => {
      await using cluster = await Cluster.started(seed, 3, { controlledShutdownTimeoutMs: 500 })
      for (const topic of TOPICS) await cluster.topic(topic, [1, 2, 3], { 'min.insync.replicas': '2' })
      const weather = new Weather(cluster, new SeededRandom(seed))
      const over = new AbortController()
      const producers = TOPICS.flatMap((topic) =>
        ['p', 'q'].map((name) => produceUntil(cluster, topic, name, over.signal)),
      )
      const until = performance.now() + STORM_MS
      while (performance.now() < until) await weather.next()
      weather.heal()
      await sleep(300)
      over.abort()
      const acked = await Promise.all(producers)
      for (const { fatal } of cluster.brokers) expect([seed, weather.told, fatal]).toEqual([seed, weather.told, null])
      for (const [at, topic] of TOPICS.entries()) {
        await cluster.isr(topic, [1, 2, 3])
        const found = await eventually(async () => {
          const [one, two, three] = await Promise.all(cluster.brokers.map((broker) => contents(broker, topic)))
          expect([seed, two, three]).toEqual([seed, one, one])
          expect(cluster.leader(topic).replica(topic).latestOffset(-1, 0).offset).toBe(
            logOf(cluster.leader(topic), topic).endOffset,
          )
          return one as string[]
        })
        const values = found.map((entry) => entry.slice(entry.indexOf(':') + 1))
        const all = new Set(values)
        const expected = [...(acked[at * 2] as string[]), ...(acked[at * 2 + 1] as string[])]
        expect(expected.filter((value) => !all.has(value))).toEqual([])
        expect(all.size).toBe(values.length)
        expect(expected.length).toBeGreaterThan(20)
      }
    },
  )
})
