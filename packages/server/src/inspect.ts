import type { BrokerInspection } from '@millrace/broker'
import type { ClusterImage } from '@millrace/metadata'
import type { RaftView } from '@millrace/raft'
import type { Node } from './node.ts'

/** A running node as it is now, for checks that look after every event: getters over live state, never to be changed. */
export interface NodeView {
  readonly nodeId: number
  /** Null on a node that is no controller, and before it knows who it is. */
  readonly raft: RaftView | null
  /** What is committed as this node's controller has it; null on a node that is no controller. */
  readonly committed: ClusterImage | null
  /** Null on a node that is no broker. */
  readonly broker: BrokerInspection | null
}

/** A look inside a node, for as long as it lives. It costs nothing but what is read from it, and changes nothing. */
export function inspectNode({ config, controller, broker }: Node): NodeView {
  return {
    nodeId: config.nodeId,
    get raft() {
      return controller?.raft ?? null
    },
    committed: controller?.image ?? null,
    broker: broker?.inspection ?? null,
  }
}
