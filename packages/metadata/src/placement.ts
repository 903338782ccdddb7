import type { Random } from '@millrace/base'
import type { BrokerImage } from './image.ts'
import { isActive } from './rules.ts'
import type { ImageState } from './state.ts'

/**
 * Places the replicas of one topic. A partition's replicas avoid sharing a rack (a broker without one is a rack by itself); the
 * topic's leaderships, then its replicas, are spread evenly over the brokers; where that leaves a choice, the broker with the fewest
 * in the whole cluster gets it, so that a new broker fills up without taking all of a new topic. Chance breaks the ties. Brokers that are
 * alive come before those that are not, which never lead.
 */
export class Placement {
  private readonly random: Random
  private readonly candidates: readonly Candidate[]

  constructor(state: ImageState, brokers: readonly BrokerImage[], random: Random) {
    this.random = random
    this.candidates = brokers.map((broker) => ({
      id: broker.id,
      rack: broker.rack ?? `\0${broker.id}`,
      alive: isActive(broker),
      leaders: 0,
      replicas: 0,
      clusterLeaders: state.replicas.preferredOn(broker.id),
      clusterReplicas: state.replicas.replicasOn(broker.id),
    }))
  }

  /** Counts a partition that the topic has already. */
  count(replicas: readonly number[]): void {
    for (const [at, id] of replicas.entries()) {
      const candidate = this.candidates.find((one) => one.id === id)
      if (candidate === undefined) continue
      candidate.replicas++
      if (at === 0) candidate.leaders++
    }
  }

  /** The replicas of the next partition, the preferred leader first. There are at least `replicationFactor` brokers, one of them alive. */
  next(replicationFactor: number): readonly number[] {
    const leader = this.best(
      this.candidates.filter(({ alive }) => alive),
      leaderScore,
    )
    leader.leaders++
    leader.clusterLeaders++
    const chosen = [leader]
    while (chosen.length < replicationFactor) chosen.push(this.best(this.others(chosen), followerScore))
    for (const one of chosen) {
      one.replicas++
      one.clusterReplicas++
    }
    return chosen.map((one) => one.id)
  }

  /** Those not chosen yet, alive if any is, whose rack holds the fewest replicas of this partition. */
  private others(chosen: readonly Candidate[]): readonly Candidate[] {
    const shared = (one: Candidate): number => chosen.filter(({ rack }) => rack === one.rack).length
    const free = this.candidates.filter((one) => !chosen.includes(one))
    const alive = free.filter((one) => one.alive)
    const rest = alive.length > 0 ? alive : free
    const least = Math.min(...rest.map(shared))
    return rest.filter((one) => shared(one) === least)
  }

  private best(among: readonly Candidate[], score: (one: Candidate) => readonly number[]): Candidate {
    let best: Candidate[] = []
    let bestScore: readonly number[] = []
    for (const one of among) {
      const mine = score(one)
      const order = best.length === 0 ? -1 : compare(mine, bestScore)
      if (order < 0) {
        best = [one]
        bestScore = mine
      } else if (order === 0) best.push(one)
    }
    return best[best.length === 1 ? 0 : this.random.below(best.length)] as Candidate
  }
}

interface Candidate {
  readonly id: number
  readonly rack: string
  readonly alive: boolean
  leaders: number
  replicas: number
  clusterLeaders: number
  clusterReplicas: number
}

function leaderScore(one: Candidate): readonly number[] {
  return [one.leaders, one.clusterLeaders, one.replicas, one.clusterReplicas]
}

function followerScore(one: Candidate): readonly number[] {
  return [one.replicas, one.clusterReplicas]
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    if (difference !== 0) return difference
  }
  return 0
}
