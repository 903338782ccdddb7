import type { Controller } from '@millrace/controller'
import type { ClusterImage } from '@millrace/metadata'
import type { FaultAtlas } from '../seams.ts'
import { activeController } from './convergence.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './sim-node.ts'

/** Watches nodes that were damaged, and tells the atlas when one has again everything that is committed. */
export class Recovery {
  private readonly cluster: Cluster
  private readonly atlas: FaultAtlas

  constructor(cluster: Cluster, atlas: FaultAtlas) {
    this.cluster = cluster
    this.atlas = atlas
  }

  /** The nodes that have recovered since the last look. */
  look(): readonly number[] {
    const back = this.atlas.damagedNodes.filter((id) => this.hasEverything(this.cluster.node(id)))
    for (const id of back) this.atlas.recovered(id)
    return back
  }

  /** Whether this node was damaged and does not have everything yet. */
  missing(id: number): boolean {
    this.look()
    return this.atlas.damagedNodes.includes(id)
  }

  private hasEverything(node: SimNode): boolean {
    const { storage } = node.machine
    if (!node.isReady || !storage.intact || storage.raftMirrors.some(({ damage }) => damage !== null)) return false
    const active = activeController(this.cluster.nodes)
    if (active === null) return false
    return inSync(node, active.image) && votes(node, active.status.voters)
  }
}

function inSync({ id }: SimNode, image: ClusterImage): boolean {
  for (const { isr } of image.partitionsOf(id)) if (!isr.includes(id)) return false
  return true
}

/** A node that forgot what it had acknowledged comes back as another voter, with another directory, once it has the log. */
function votes({ id, running }: SimNode, voters: Controller['status']['voters']): boolean {
  const self = running?.controller?.raft?.self
  if (self === undefined) return running?.controller === null
  return voters.some((voter) => voter.id === id && voter.directoryId === self.directoryId)
}
