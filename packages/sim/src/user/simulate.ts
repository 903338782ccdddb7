import { CALM_DISK, CALM_NETWORK, drawPlan, type Plan } from '../run/plan.ts'
import type { RunReport } from '../run/report.ts'
import { Simulation } from '../run/simulation.ts'
import type { SimulatedCluster } from './user-workload.ts'

/** A workload of yours under the simulator's faults. */
export interface SimulateOptions {
  /** Everything that is drawn is drawn from it: the same seed and code give the same run, to the byte. */
  readonly seed: number
  /** Nodes that are broker and controller each; 3 unless given. */
  readonly nodes?: number
  /** False: nothing fails. */
  readonly faults?: boolean
  /**
   * Runs on virtual time, from the start of the nodes through the faults and beyond their end. It may use promises, but no clock, timer, chance or socket of the
   * process: those throw. What it rejects with is the run's violation.
   */
  readonly workload: (cluster: SimulatedCluster) => Promise<void>
}

/** Runs a workload on a whole simulated cluster with all invariants on. Resolves when it is over; `violation` is null when everything held. */
export function simulate({ seed, nodes = 3, faults = true, workload }: SimulateOptions): Promise<RunReport> {
  return new Simulation(planFor(seed, nodes, faults), workload).run(60)
}

/** The plan of the first seed from here on that has so many nodes of both roles: its faults fit the nodes. */
function planFor(seed: number, nodes: number, faults: boolean): Plan {
  for (let from = seed * 1_000; ; from++) {
    const plan = drawPlan(from)
    if (plan.nodes.length !== nodes || plan.nodes.some(({ broker, controller }) => !broker || !controller)) continue
    const clients = { count: 0, topics: [] }
    return faults
      ? { ...plan, clients }
      : { ...plan, clients, network: CALM_NETWORK, disk: CALM_DISK, acts: [], lost: [] }
  }
}
