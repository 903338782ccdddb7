import { describe, expect, test } from 'vitest'
import { Cluster } from './cluster.ts'
import type { FakeBroker } from './cluster.ts'

function pair(): { cluster: Cluster; one: FakeBroker; two: FakeBroker } {
  const { cluster, brokers } = Cluster.led([1, 2])
  const [one, two] = brokers as [FakeBroker, FakeBroker]
  one.createTopic('t', [[1, 2]])
  return { cluster, one, two }
}

const fenced = (cluster: Cluster, id: number): boolean | undefined => cluster.controller.image.brokers.get(id)?.fenced

describe('a broker whose stream breaks', () => {
  test('is fenced at once when its address refuses, and its leadership moves', () => {
    const { cluster, one } = pair()
    cluster.dials.answers.set('b1:9000', 'refused')
    one.break()
    cluster.time.pass(5)
    expect(fenced(cluster, 1)).toBe(true)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, leaderEpoch: 1, isr: [2] })
  })

  test('keeps its leadership when it comes back within the grace', () => {
    const { cluster, one } = pair()
    one.break()
    cluster.time.pass(250)
    one.join()
    cluster.time.pass(5000)
    one.heartbeat()
    expect(fenced(cluster, 1)).toBe(false)
    expect(cluster.partition('t').leader).toBe(1)
  })

  test('is asked for again after the grace, and fenced when its address refuses by then', () => {
    const { cluster, one } = pair()
    one.break()
    cluster.time.pass(200)
    cluster.dials.answers.set('b1:9000', 'refused')
    expect(fenced(cluster, 1)).toBe(false)
    cluster.time.pass(110)
    expect(fenced(cluster, 1)).toBe(true)
  })

  test('is fenced when its session ends although something answers at its address', () => {
    const { cluster, one, two } = pair()
    one.break()
    for (let second = 0; second < 8; second++) {
      cluster.time.pass(1000)
      two.heartbeat()
    }
    expect(fenced(cluster, 1)).toBe(false)
    cluster.time.pass(1500)
    expect(fenced(cluster, 1)).toBe(true)
    expect(fenced(cluster, 2)).toBe(false)
  })

  test('is fenced within seconds when nothing answers at its address: its machine is gone', () => {
    const { cluster, one, two } = pair()
    cluster.dials.answers.set('b1:9000', 'unknown')
    one.break()
    cluster.time.pass(2000)
    expect(fenced(cluster, 1)).toBe(false)
    cluster.time.pass(1500)
    two.heartbeat()
    expect(fenced(cluster, 1)).toBe(true)
    expect(fenced(cluster, 2)).toBe(false)
  })

  test('is not taken for gone while something answers now and then', () => {
    const { cluster, one, two } = pair()
    one.break()
    for (let halfSecond = 0; halfSecond < 16; halfSecond++) {
      cluster.dials.answers.set('b1:9000', halfSecond % 4 === 0 ? 'alive' : 'unknown')
      cluster.time.pass(500)
      two.heartbeat()
    }
    expect(fenced(cluster, 1)).toBe(false)
  })

  test('is not fenced by a dial that was refused after it came back', () => {
    const { cluster, one } = pair()
    cluster.dials.answers.set('b1:9000', 'refused')
    one.break()
    one.open()
    one.register()
    cluster.time.pass(50)
    expect(fenced(cluster, 1)).toBe(false)
  })
})

describe('a broker that says nothing on an open stream', () => {
  test('is fenced when its session ends, and its stream is closed', () => {
    const { cluster, one, two } = pair()
    for (let second = 0; second < 10; second++) {
      cluster.time.pass(1000)
      two.heartbeat()
    }
    expect(fenced(cluster, 1)).toBe(true)
    expect(one.closed).toContain('nothing')
    expect(fenced(cluster, 2)).toBe(false)
  })

  test('may come back as the same incarnation and serve again', () => {
    const { cluster, one, two } = pair()
    for (let second = 0; second < 10; second++) {
      cluster.time.pass(1000)
      two.heartbeat()
    }
    const { epoch } = one
    one.join()
    expect(one.epoch).toBe(epoch)
    expect(one.heartbeat()?.fenced).toBe(false)
    expect(cluster.partition('t')).toMatchObject({ leader: 2, leaderEpoch: 1 })
  })

  test('is not judged by the time that the controller itself slept', () => {
    const { cluster, one } = pair()
    cluster.time.sleep(60_000)
    cluster.time.pass(100)
    one.heartbeat()
    cluster.time.pass(400)
    expect(fenced(cluster, 1)).toBe(false)
    expect(fenced(cluster, 2)).toBe(false)
  })

  test('has a last chance for what it sent while the controller was held up', () => {
    const fencedAfter = (words: readonly number[]): number => {
      const { cluster, one } = pair()
      for (let ms = 1; ms < 12_000; ms++) {
        cluster.time.pass(1)
        if (words.includes(ms)) one.wantsNothing()
        if (fenced(cluster, 1) === true) return ms
      }
      return Number.POSITIVE_INFINITY
    }
    const usual = fencedAfter([])
    expect(usual).toBeLessThan(10_000)
    // The tick that completes the session comes 10 ms before the verdict.
    expect(fencedAfter([usual - 5])).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a new controller', () => {
  const takenOver = (): { cluster: Cluster; one: FakeBroker; two: FakeBroker } => {
    const { cluster, one, two } = pair()
    cluster.quorum.follow(200)
    cluster.time.pass(50)
    expect(one.last('notLeader')).toEqual({ kind: 'notLeader', leaderId: 200, term: 2 })
    expect(one.closed).not.toBeNull()
    cluster.dials.asked.splice(0)
    return { cluster, one, two }
  }

  test('leaves brokers a second to open their streams before it asks for them', () => {
    const { cluster, one, two } = takenOver()
    cluster.dials.answers.set('b1:9000', 'refused').set('b2:9000', 'refused')
    cluster.quorum.lead()
    cluster.time.pass(900)
    expect(cluster.dials.asked).toEqual([])
    two.join()
    cluster.time.pass(200)
    expect(fenced(cluster, 1)).toBe(true)
    expect(fenced(cluster, 2)).toBe(false)
    expect(one.epoch).toBeGreaterThan(0)
  })

  test('asks at once for the node of the previous controller, and fences it when its address refuses', () => {
    const { cluster } = pair()
    cluster.quorum.follow(1)
    // An election comes before the new leader, and nobody leads in it.
    cluster.quorum.follow(null)
    cluster.dials.answers.set('b1:9000', 'refused').set('b2:9000', 'refused')
    cluster.dials.asked.splice(0)
    cluster.quorum.lead()
    cluster.time.pass(10)
    expect(cluster.dials.asked).toEqual(['b1:9000'])
    expect(fenced(cluster, 1)).toBe(true)
    expect(fenced(cluster, 2)).toBe(false)
    expect(cluster.partition('t').leader).toBe(2)
  })

  test('gives a silent broker a whole session from its own start', () => {
    const { cluster } = takenOver()
    cluster.quorum.lead()
    cluster.time.pass(8500)
    expect(fenced(cluster, 1)).toBe(false)
    cluster.time.pass(1000)
    expect(fenced(cluster, 1)).toBe(true)
  })

  test('keeps the standing of brokers that come to it', () => {
    const { cluster, one, two } = takenOver()
    const { epoch } = one
    cluster.quorum.lead()
    one.join()
    two.join()
    expect(one.epoch).toBe(epoch)
    expect(one.last('registered')?.term).toBe(3)
    expect(one.heartbeat()?.fenced).toBe(false)
    expect(cluster.partition('t')).toMatchObject({ leader: 1, leaderEpoch: 0 })
  })
})
