import { type Act, hostOf } from './act.ts'
import type { Draw } from './draw.ts'

const S = 1_000_000

/** A sequence of acts that has broken other systems, with drawn times and victims. */
export function drawScript(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  return draw.pick(SCRIPTS)(draw, nodes, atUs)
}

/** One node after the other stops in order, or is killed, and comes back: an upgrade. */
function rolling(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const kind = draw.pick(['stop', 'stop', 'kill'] as const)
  const gapUs = draw.between(1, 4) * S
  return nodes.map((node, at) => {
    const when = { atUs: atUs + at * gapUs, forUs: draw.around(S / 2) }
    return kind === 'stop' ? { kind, ...when, node } : { kind, ...when, nodes: [node] }
  })
}

/** Failover upon failover, faster than followers catch up (KIP-279). */
function chase(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const gapUs = draw.pick([100_000, 400_000, S])
  return Array.from({ length: draw.between(3, 8) }, (_, at) => ({
    kind: draw.pick(['kill', 'pause'] as const),
    atUs: atUs + at * gapUs,
    forUs: draw.around(gapUs),
    nodes: [draw.pick(nodes)],
  }))
}

/** The power of the whole house fails, perhaps twice. */
function blackout(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const once: Act = { kind: 'power-cut', atUs, forUs: draw.between(S / 10, 2 * S), nodes }
  return draw.chance(50) ? [once] : [once, { ...once, atUs: atUs + once.forUs + draw.between(0, 2 * S) }]
}

/** A minority sleeps through the writes, another machine loses its power, the rest falls asleep, and the sleepers return with it (NATS). */
function sleepers(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const first = draw.pick(nodes)
  const others = nodes.filter((node) => node !== first)
  if (others.length === 0) return []
  const second = draw.pick(others)
  const rest = others.filter((node) => node !== second)
  const acts: Act[] = [
    { kind: 'pause', atUs, forUs: 5 * S, nodes: [first] },
    { kind: 'power-cut', atUs: atUs + 4 * S, forUs: S, nodes: [second] },
  ]
  return rest.length === 0 ? acts : [...acts, { kind: 'pause', atUs: atUs + 4_500_000, forUs: 6 * S, nodes: rest }]
}

/** One node can speak and not hear, or hear and not speak, then the other way round. */
function hermit(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const hosts = nodes.map(hostOf)
  const one = draw.pick(hosts)
  const rest = hosts.filter((host) => host !== one)
  const forUs = draw.between(S, 5 * S)
  const [first, second] = draw.chance(50) ? [[one], rest] : [rest, [one]]
  return [
    { kind: 'cut', atUs, forUs, from: first, to: second, bothWays: false },
    { kind: 'cut', atUs: atUs + forUs, forUs, from: second, to: first, bothWays: false },
  ]
}

/** A node that dies again and again, mostly in the middle of its recovery. */
function crashLoop(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const node = draw.pick(nodes)
  const kind = draw.pick(['kill', 'power-cut'] as const)
  return Array.from({ length: draw.between(3, 6) }, (_, at) => ({
    kind,
    atUs: atUs + at * draw.between(S / 5, S),
    forUs: draw.between(10_000, S / 5),
    nodes: [node],
  }))
}

/** One node after the other is cut off from the rest, clients excepted, faster than they agree: leaders come back with what they wrote alone (Raft's figure 8). */
function usurpers(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const hosts = nodes.map(hostOf)
  const gapUs = draw.pick([S, 2 * S, 4 * S])
  return Array.from({ length: draw.between(3, 6) }, (_, at): Act => {
    const one = draw.pick(hosts)
    const forUs = draw.between(gapUs, 2 * gapUs)
    const to = hosts.filter((host) => host !== one)
    return { kind: 'cut', atUs: atUs + at * gapUs, forUs, from: [one], to, bothWays: draw.chance(75) }
  })
}

/** Syncs fail and the process begins again on pages that only look written; then the power goes (ATC'20). */
function lostPages(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const node = draw.pick(nodes)
  const failures = Array.from({ length: 3 }, (_, at): Act => ({
    kind: 'io-error',
    atUs: atUs + at * 300_000,
    node,
    operation: 'sync',
    code: 'EIO',
  }))
  const cutUs = atUs + draw.between(3 * S, 6 * S)
  return [...failures, { kind: 'power-cut', atUs: cutUs, forUs: draw.around(S), nodes: [node] }]
}

/** A node loses its power and comes back while one other does not hear of it, or is not heard (KIP-903). */
function returner(draw: Draw, nodes: readonly number[], atUs: number): Act[] {
  const node = draw.pick(nodes)
  const others = nodes.filter((other) => other !== node)
  if (others.length === 0) return []
  const from = [hostOf(node)]
  const to = [hostOf(draw.pick(others))]
  return [
    { kind: 'cut', atUs, forUs: draw.between(3 * S, 8 * S), from, to, bothWays: draw.chance(50) },
    { kind: 'power-cut', atUs: atUs + draw.between(0, S), forUs: draw.around(S / 2), nodes: [node] },
  ]
}

const SCRIPTS = [rolling, chase, blackout, sleepers, hermit, crashLoop, usurpers, lostPages, returner]
