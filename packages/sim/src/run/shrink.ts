import type { Act } from './act.ts'
import { CALM_DISK, CALM_NETWORK, type Plan } from './plan.ts'

/** Whether a reduced plan still breaks the same invariant. */
export type StillFails = (plan: Plan) => Promise<boolean>

/**
 * Reduces a plan that breaks an invariant: a shorter horizon, fewer kinds of faults, a calm network and disk, fewer clients and topics, then fewer
 * acts (ddmin). Every step is kept only when the same invariant still breaks. `atUs` is when it broke.
 */
export async function shrink(plan: Plan, atUs: number, stillFails: StillFails): Promise<Plan> {
  let best = plan
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (!(await stillFails(candidate))) return false
    best = candidate
    return true
  }
  if (atUs < best.horizonUs) await attempt(until(best, atUs))
  for (const kind of new Set(best.acts.map((act) => act.kind)))
    await attempt({ ...best, acts: best.acts.filter((act) => act.kind !== kind) })
  await attempt({ ...best, lost: [] })
  await attempt({ ...best, network: CALM_NETWORK })
  await attempt({ ...best, disk: CALM_DISK })
  await attempt({ ...best, nodes: best.nodes.map((node) => ({ ...node, driftPpm: 0, wallOffsetMs: 0 })) })
  await reduceClients(() => best, attempt)
  const acts = await ddmin(best.acts, (kept) => attempt({ ...best, acts: kept }))
  await attempt({ ...best, acts })
  return best
}

/** What comes after the violation cannot have caused it; a horizon before it moves the healed phase, so it stays just behind. */
function until(plan: Plan, atUs: number): Plan {
  return { ...plan, horizonUs: Math.min(plan.horizonUs, atUs + 1), acts: plan.acts.filter((act) => act.atUs <= atUs) }
}

async function reduceClients(current: () => Plan, attempt: (plan: Plan) => Promise<boolean>): Promise<void> {
  for (let count = 1; count < current().clients.count; count++)
    if (await attempt({ ...current(), clients: { ...current().clients, count } })) break
  for (const topic of current().clients.topics.slice(1)) {
    const { clients } = current()
    await attempt({
      ...current(),
      clients: { ...clients, topics: clients.topics.filter(({ name }) => name !== topic.name) },
    })
  }
}

/** Zeller's ddmin: the smallest list, by removing chunks, for which `fails` still says yes. The list given is known to fail. */
export async function ddmin(
  acts: readonly Act[],
  fails: (acts: readonly Act[]) => Promise<boolean>,
): Promise<readonly Act[]> {
  let kept = acts
  let chunks = 2
  while (kept.length > 0) {
    const size = Math.ceil(kept.length / chunks)
    let removed = false
    for (let at = 0; at < kept.length; at += size) {
      const candidate = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (!(await fails(candidate))) continue
      kept = candidate
      removed = true
      break
    }
    if (removed) chunks = Math.max(2, chunks - 1)
    else if (size === 1) break
    else chunks = Math.min(kept.length, chunks * 2)
  }
  return kept
}
