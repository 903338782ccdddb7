import { OFFSETS_TOPIC } from '@millrace/base'
import type { Controller } from '@millrace/controller'
import type { ClusterImage, PartitionImage } from '@millrace/metadata'
import type { Operation } from '../seams.ts'
import type { SimNode } from './sim-node.ts'

/** No operation takes longer: what lies further back in the history began earlier. */
const LONG_US = 120_000_000

/** The controller that leads and decides, if one does. */
export function activeController(nodes: readonly SimNode[]): Controller | null {
  return nodes.find(({ running }) => running?.controller?.active === true)?.running?.controller ?? null
}

/**
 * Why the cluster has not settled, in words, or null when it has: every living node serves, has the newest metadata, and is unfenced; every
 * partition is led and has all of its living replicas in sync. With nodes lost, a partition whose last in-sync replicas are among them may wait.
 */
export function unsettled(nodes: readonly SimNode[], lost: readonly number[]): string | null {
  const living = nodes.filter(({ id }) => !lost.includes(id))
  const idle = living.find(({ isReady }) => !isReady)
  if (idle !== undefined) return `node ${idle.id} is not ready`
  const active = activeController(living)
  if (active === null) return 'no controller is active'
  const { image } = active
  for (const node of living) {
    const { broker, controller } = node.running ?? { broker: null, controller: null }
    const index = broker?.context.image.index ?? controller?.image.index ?? 0
    if (index < image.index) return `node ${node.id} has metadata up to ${index}, the controller up to ${image.index}`
    if (broker !== null && image.brokers.get(node.id)?.fenced !== false) return `broker ${node.id} is fenced`
    if (broker !== null && !broker.status().serving) return `broker ${node.id} does not serve`
  }
  return (
    unsettledPartition(image, lost) ??
    unsettledVoters(
      living,
      active.status.voters.map(({ id }) => id),
    )
  )
}

function unsettledPartition(image: ClusterImage, lost: readonly number[]): string | null {
  for (const topic of image.topics.values())
    for (const partition of topic.partitions) {
      const living = partition.replicas.filter((id) => !lost.includes(id))
      if (waitsForLost(partition, lost)) continue
      const name = `${partition.topic}-${partition.partition}`
      if (partition.leader < 0)
        return `${name} has no leader (isr ${partition.isr.join(' ')}, elr ${partition.elr.join(' ')})`
      const missing = living.filter((id) => !partition.isr.includes(id))
      if (missing.length > 0) return `${name}: ${missing.join(', ')} not in sync (leader ${partition.leader})`
    }
  return null
}

/** Its last copies are on nodes that are lost: to be led again without them would lose what was acknowledged. */
function waitsForLost({ leader, isr, elr }: PartitionImage, lost: readonly number[]): boolean {
  return leader < 0 && lost.length > 0 && [...isr, ...elr].every((id) => lost.includes(id))
}

function unsettledVoters(living: readonly SimNode[], voters: readonly number[]): string | null {
  const outside = living.find(({ machine, id }) => machine.config.controller && !voters.includes(id))
  return outside === undefined ? null : `controller ${outside.id} is not a voter`
}

/** What clients must have got done. */
export interface Demand {
  /** Topics that must exist. */
  readonly topics: readonly { readonly name: string; readonly replicas: number }[]
  readonly history: readonly Operation[]
  readonly sinceUs: number
}

/** Why clients have not got through everywhere since then, or null when a produce with acks=all was acknowledged at each partition. */
export function unproductive(
  nodes: readonly SimNode[],
  lost: readonly number[],
  { topics, history, sinceUs }: Demand,
): string | null {
  const image = activeController(nodes)?.image ?? null
  if (image === null) return 'no controller is active'
  // One that was lost before it had ever registered is nowhere to place a replica on.
  const possible = topics.filter(({ replicas }) => lost.length === 0 || replicas <= image.brokers.size)
  const absent = possible.find(({ name }) => image.topicByName(name) === null)
  if (absent !== undefined) return `${absent.name} does not exist`
  const reached = new Set<string>()
  for (let at = history.length - 1; at >= 0; at--) {
    const { kind, outcome, acks, invokedUs, topic, partition } = history[at] as Operation
    if (invokedUs < sinceUs - LONG_US) break
    if (kind === 'send' && outcome === 'ok' && acks === -1 && invokedUs >= sinceUs) reached.add(`${topic}-${partition}`)
  }
  for (const topic of image.topics.values())
    for (const partition of topic.partitions) {
      const name = `${partition.topic}-${partition.partition}`
      if (partition.topic === OFFSETS_TOPIC) continue
      if (waitsForLost(partition, lost) || reached.has(name) || tooFew(image, partition)) continue
      return `no produce got through to ${name}`
    }
  return null
}

/** By its topic's setting a partition may take nothing while nodes are lost. */
function tooFew(image: ClusterImage, { topic, isr }: PartitionImage): boolean {
  const minimum = image.configs({ kind: 'topic', name: topic }).get('min.insync.replicas')
  return minimum !== undefined && isr.length < Number(minimum)
}
