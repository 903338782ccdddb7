import type { IoErrorCode } from '@millrace/base'

interface At {
  /** Virtual time of the act. */
  readonly atUs: number
}

interface Lasting extends At {
  /** After so long it is undone: the node starts again, the link heals. */
  readonly forUs: number
}

/** One thing that the nemesis does. An act that does not apply when its time comes (the node is down already) does nothing. */
export type Act =
  | (Lasting & { readonly kind: 'kill' | 'power-cut' | 'pause'; readonly nodes: readonly number[] })
  | (Lasting & { readonly kind: 'stop' | 'wipe'; readonly node: number })
  | (Lasting & { readonly kind: 'disk-full' | 'slow-disk'; readonly node: number })
  | (Lasting & {
      /** Damage of something durable; a node that is down meanwhile (`forUs` above 0) meets it at its start. */
      readonly kind: 'damage'
      readonly node: number
      readonly damage: DamageKind
    })
  | (Lasting & {
      readonly kind: 'cut'
      readonly from: readonly string[]
      readonly to: readonly string[]
      readonly bothWays: boolean
    })
  | (Lasting & { readonly kind: 'clog'; readonly from: string; readonly to: string })
  | (At & { readonly kind: 'break'; readonly from: string; readonly to: string })
  | (At & { readonly kind: 'clock-jump'; readonly node: number; readonly byMs: number })
  | (At & {
      readonly kind: 'io-error'
      readonly node: number
      readonly operation: 'read' | 'append' | 'sync' | 'open'
      readonly code: IoErrorCode
    })

export type ActKind = Act['kind']

export type DamageKind = 'bit-rot' | 'misdirected-write' | 'lost-file' | 'lost-vote'

export const ACT_KINDS: readonly ActKind[] = [
  'kill',
  'power-cut',
  'pause',
  'stop',
  'wipe',
  'disk-full',
  'slow-disk',
  'damage',
  'cut',
  'clog',
  'break',
  'clock-jump',
  'io-error',
]

/** The host of a node on the simulated network. */
export function hostOf(node: number): string {
  return `node${node}`
}

/** An act as a line of the story. */
export function tellAct(act: Act): string {
  const lasting = 'forUs' in act && act.forUs > 0 ? ` for ${(act.forUs / 1e6).toFixed(1)} s` : ''
  switch (act.kind) {
    case 'kill':
    case 'power-cut':
    case 'pause':
      return `${act.kind} of ${act.nodes.map(hostOf).join(', ')}${lasting}`
    case 'damage':
      return `${act.damage} at ${hostOf(act.node)}${lasting === '' ? '' : `, which is down${lasting}`}`
    case 'cut':
      return `nothing passes ${act.bothWays ? 'between' : 'from'} ${act.from.join(', ')} ${act.bothWays ? 'and' : 'to'} ${act.to.join(', ')}${lasting}`
    case 'clog':
      return `what ${act.from} sends to ${act.to} waits${lasting}`
    case 'break':
      return `streams between ${act.from} and ${act.to} break`
    case 'clock-jump':
      return `the wall clock of ${hostOf(act.node)} jumps by ${act.byMs} ms`
    case 'io-error':
      return `the next ${act.operation} of ${hostOf(act.node)} fails with ${act.code}`
    default:
      return `${act.kind} of ${hostOf(act.node)}${lasting}`
  }
}
