import { type Act, ACT_KINDS, type ActKind, type DamageKind, hostOf } from './act.ts'
import type { Draw } from './draw.ts'
import { drawScript } from './scripts.ts'

/** What a tape is drawn for. */
export interface TapeShape {
  readonly nodes: readonly number[]
  readonly clients: readonly string[]
  /** Acts happen in [fromUs, toUs). */
  readonly fromUs: number
  readonly toUs: number
  /** Kinds that this run leaves out. */
  readonly without: readonly ActKind[]
}

const S = 1_000_000
/** How long a mix of faults lasts before another is drawn. */
const WINDOW_US = 12 * S
/** Of 100 windows so many are free of faults: what heals must heal by itself. */
const QUIET_WINDOWS = 25

/** How often a kind is drawn beside the others. */
const WEIGHTS: Readonly<Record<ActKind, number>> = {
  kill: 10,
  'power-cut': 9,
  pause: 8,
  stop: 6,
  wipe: 4,
  'disk-full': 3,
  'slow-disk': 4,
  damage: 9,
  cut: 12,
  clog: 6,
  break: 6,
  'clock-jump': 4,
  'io-error': 4,
}

/** All that the nemesis will do in a run, in the order of time: windows of a drawn mix of faults, a quarter of them empty. */
export function drawTape(draw: Draw, shape: TapeShape): readonly Act[] {
  const acts: Act[] = []
  for (let at = shape.fromUs; at < shape.toUs; at += WINDOW_US) {
    if (draw.chance(QUIET_WINDOWS)) continue
    const until = Math.min(shape.toUs, at + WINDOW_US)
    acts.push(...(draw.chance(25) ? drawScript(draw, shape.nodes, at) : drawWindow(draw, shape, at, until)))
  }
  return acts.filter(({ kind }) => !shape.without.includes(kind)).sort((a, b) => a.atUs - b.atUs)
}

function drawWindow(draw: Draw, shape: TapeShape, fromUs: number, toUs: number): Act[] {
  const kinds = draw.subset(ACT_KINDS, draw.pick([15, 30, 60]))
  if (kinds.length === 0) return []
  const weights = Object.fromEntries(kinds.map((kind) => [kind, WEIGHTS[kind]])) as Partial<Record<ActKind, number>>
  const gapUs = draw.pick([1, 2, 4, 6]) * S
  const acts: Act[] = []
  for (let at = fromUs + draw.between(0, gapUs); at < toUs; at += draw.around(gapUs))
    acts.push(drawAct(draw, shape, draw.weighted(weights), at))
  return acts
}

function drawAct(draw: Draw, shape: TapeShape, kind: ActKind, atUs: number): Act {
  const node = draw.pick(shape.nodes)
  switch (kind) {
    case 'kill':
    case 'power-cut':
      return { kind, atUs, forUs: draw.around(2 * S), nodes: victims(draw, shape) }
    case 'pause':
      return { kind, atUs, forUs: draw.between(S / 2, draw.pick([3, 15, 30]) * S), nodes: victims(draw, shape) }
    case 'stop':
    case 'wipe':
      return { kind, atUs, forUs: draw.around(2 * S), node }
    case 'disk-full':
    case 'slow-disk':
      return { kind, atUs, forUs: draw.around(4 * S), node }
    case 'damage':
      return { kind, atUs, forUs: draw.chance(70) ? draw.around(S) : 0, node, damage: drawDamage(draw) }
    case 'cut':
      return drawCut(draw, shape, atUs)
    case 'clog':
      return { kind, atUs, forUs: draw.around(2 * S), ...drawLink(draw, shape) }
    case 'break':
      return { kind, atUs, ...drawLink(draw, shape) }
    case 'clock-jump':
      return { kind, atUs, node, byMs: draw.pick([-1, 1]) * draw.pick([50, 2_000, 60_000, 300_000]) }
    default:
      return { kind, atUs, node, operation: draw.pick(['read', 'append', 'sync', 'open']), code: 'EIO' }
  }
}

function drawDamage(draw: Draw): DamageKind {
  return draw.weighted({ 'bit-rot': 5, 'misdirected-write': 3, 'lost-file': 2, 'lost-vote': 1 })
}

/** Mostly one node, sometimes some, seldom all. */
function victims(draw: Draw, { nodes }: TapeShape): readonly number[] {
  const many = draw.between(1, 100)
  if (many <= 5) return nodes
  if (many > 20) return [draw.pick(nodes)]
  const some = draw.subset(nodes, 50)
  return some.length > 0 ? some : [draw.pick(nodes)]
}

function drawLink(draw: Draw, shape: TapeShape): { from: string; to: string } {
  const hosts = [...shape.nodes.map(hostOf), ...shape.clients]
  const from = draw.pick(hosts)
  const others = shape.nodes.map(hostOf).filter((host) => host !== from)
  return { from, to: others.length > 0 ? draw.pick(others) : from }
}

/** Halves, one alone, one pair, or clients from a node; both ways or only one. */
function drawCut(draw: Draw, shape: TapeShape, atUs: number): Act {
  const hosts = shape.nodes.map(hostOf)
  const forUs = draw.around(draw.pick([1, 5, 10]) * S)
  const one = draw.pick(hosts)
  const rest = hosts.filter((host) => host !== one)
  const some = draw.subset(hosts, 50)
  const [left, right] = draw.pick<readonly [readonly string[], readonly string[]]>([
    [[one], rest],
    [[one], [...rest, ...shape.clients]],
    [some, hosts.filter((host) => !some.includes(host))],
    [[one], rest.length > 0 ? [draw.pick(rest)] : shape.clients],
    [[one], shape.clients],
  ])
  const way = draw.pick(['both', 'both', 'out', 'in'])
  const [from, to] = way === 'in' ? [right, left] : [left, right]
  return { kind: 'cut', atUs, forUs, from, to, bothWays: way === 'both' }
}
