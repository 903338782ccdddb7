import { describe, expect, it } from 'vitest'
import { unproductive } from '../../src/run/convergence.ts'
import type { SimNode } from '../../src/run/sim-node.ts'

/** A cluster without a topic, in which so many brokers ever registered. */
function registered(brokers: number): readonly SimNode[] {
  const image = {
    brokers: new Map(Array.from({ length: brokers }, (_, at) => [at, {}])),
    topics: new Map(),
    topicByName: () => null,
  }
  return [{ running: { controller: { active: true, image } } } as unknown as SimNode]
}

const demand = { topics: [{ name: 'topic-1', replicas: 3 }], history: [], sinceUs: 0 }

describe('a healed cluster', () => {
  it('must have the topics of its plan', () => {
    expect(unproductive(registered(3), [], demand)).toBe('topic-1 does not exist')
    expect(unproductive(registered(3), [1], demand)).toBe('topic-1 does not exist')
    expect(unproductive(registered(2), [], demand)).toBe('topic-1 does not exist')
  })

  it('may lack a topic that needs the broker which was lost before it had registered', () => {
    expect(unproductive(registered(2), [1], demand)).toBeNull()
  })
})
