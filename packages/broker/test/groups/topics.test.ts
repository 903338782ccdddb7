import { describe, expect, test } from 'vitest'
import { ImageTopics } from '../../src/groups/topics.ts'
import { CollectedChanges } from '../../src/image-changes.ts'
import { FakeImage } from '../kafka/fake-broker.ts'

function view() {
  const image = new FakeImage()
  image.addBroker(1, { rack: 'a' })
  image.addBroker(2, { rack: 'b' })
  image.addBroker(3, { rack: null })
  const topic = image.addTopic('t', [{ replicas: [1, 2] }, { replicas: [3] }])
  const topics = new ImageTopics(() => image)
  const follow = (fill: (changes: CollectedChanges) => void): boolean => {
    const changes = new CollectedChanges()
    fill(changes)
    return topics.follow(changes)
  }
  follow((changes) => (changes.all = true))
  const touched = (changes: CollectedChanges): void => {
    const now = image.topics.get(topic.id)!
    changes.add({
      all: false,
      partitions: now.partitions,
      createdTopics: [],
      deletedTopics: [],
      brokers: [],
      configs: [],
    })
  }
  return { image, topic, topics, follow, touched }
}

describe('the topics that groups see', () => {
  test('are those of the image, with the racks of the brokers that have a replica', () => {
    const { topics, topic } = view()
    expect([...topics.names()]).toEqual(['t'])
    expect(topics.byName('t')).toMatchObject({ id: topic.id, name: 't', partitions: 2 })
    expect(topics.byId(topic.id)?.racksOf(0)).toEqual(['a', 'b'])
    expect(topics.byId(topic.id)?.racksOf(1)).toEqual([])
    expect(topics.byId(topic.id)?.racksOf(9)).toEqual([])
    expect(topics.byName('none')).toBe(null)
  })

  test('do not change with leaders and in-sync sets', () => {
    const { image, topic, topics, follow, touched } = view()
    const { version } = topics
    const partitions = topic.partitions.map((one) => ({
      ...one,
      leader: 2,
      isr: [2],
      leaderEpoch: 9,
      replicas: [...one.replicas],
    }))
    image.topics.set(topic.id, { ...topic, partitions })
    expect(follow(touched)).toBe(false)
    expect(topics.version).toBe(version)
  })

  test('change with partitions, replicas, racks, and when one comes or goes', () => {
    const { image, topic, topics, follow, touched } = view()
    let { version } = topics
    const rises = (changed: boolean): void => {
      expect(changed).toBe(true)
      expect(topics.version).toBeGreaterThan(version)
      version = topics.version
    }
    const moved = topic.partitions.map((one) => ({ ...one, replicas: [2, 3] }))
    image.topics.set(topic.id, { ...topic, partitions: moved })
    rises(follow(touched))
    image.topics.set(topic.id, { ...topic, partitions: [...moved, { ...moved[0]!, partition: 2 }] })
    rises(follow(touched))
    image.addBroker(3, { rack: 'c' })
    rises(follow((changes) => changes.brokers.add(3)))
    expect(follow((changes) => changes.brokers.add(3))).toBe(false)
    const other = image.addTopic('other', [{}])
    rises(
      follow((changes) =>
        changes.add({
          all: false,
          partitions: [],
          createdTopics: [other],
          deletedTopics: [],
          brokers: [],
          configs: [],
        }),
      ),
    )
    image.topics.delete(other.id)
    rises(follow((changes) => changes.deletedTopics.set(other.id, 'other')))
  })
})
