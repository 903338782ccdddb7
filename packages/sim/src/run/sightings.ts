import type { InvariantCounts } from '../invariants/invariants.ts'
import type { Operation } from '../seams.ts'

/** Paths that nodes take seldom, by the line of their log that tells of one. */
const LINES: Readonly<Record<string, RegExp>> = {
  'log opened after a crash': /^directory opened .*logs=[1-9]\d* clean=false/,
  'journal replayed': /^journal is replayed/,
  'torn tail cut': /^torn tail cut/,
  'log quarantined': /^log quarantined/,
  'log began anew at the start of its leader': /^log truncated .*restarted=true/,
  'head of a log removed': /^segments past retention/,
  'directory failed': /^log directory failed/,
  'writes refused by a full disk': /^write refused: the disk is full/,
  'checkpoint damaged': /^checkpoint is damaged/,
  'node joined anew as another voter': /^the quorum store lost data/,
  'learner became a voter': /^the voter set changes .*add=/,
  'controller changed': /^this controller leads/,
  'broker fenced': /^broker fenced/,
  'read met damage': /^(catch-up read failed|log not readable)/,
  'quarantined replica began anew': /^quarantined replica begins anew/,
  'blank replica told': /^replica quarantined .*blank=true/,
  'node knew that it was paused': /^this node was paused/,
  'leaderships handed over at a stop': /^leaderships handed over/,
  'leaderships moved back': /^leaderships moved back/,
  'damaged snapshot put aside': /^a snapshot is damaged/,
}

const TRUNCATION = /^log truncated .*from=(\d+) to=(\d+) restarted=false/
const DIVERGED = 'diverged log cut'

/** How often a run went down paths that are seldom taken. What no run takes is tested by none. */
export class Sightings {
  private readonly lines = new Map<string, number>()

  /** A line of a node's log. */
  line(text: string): void {
    for (const [path, pattern] of Object.entries(LINES)) if (pattern.test(text)) return this.saw(path)
    const cut = TRUNCATION.exec(text)
    if (cut !== null && Number(cut[2]) < Number(cut[1])) this.saw(DIVERGED)
  }

  /** All of them, those that were not seen too. */
  tell(counts: InvariantCounts, history: readonly Operation[]): Readonly<Record<string, number>> {
    const told: Record<string, number> = {}
    for (const path of [...Object.keys(LINES), DIVERGED]) told[path] = this.lines.get(path) ?? 0
    return {
      ...told,
      'election out of the ELR': counts.elrElections,
      'unclean election': counts.uncleanElections,
      'partition without a leader': counts.leaderless,
      'fewer in sync than the minimum': counts.belowMinimum,
      'replica taken out of service': counts.quarantines,
      'metadata log continued from a snapshot': counts.raftSnapshots,
      'records deleted by request': doneOf(history, 'delete-records'),
      'retention limited': doneOf(history, 'retention'),
      'election asked for': doneOf(history, 'elect-leaders'),
      'reassignment asked for': doneOf(history, 'reassign'),
      'reassignment taken back': doneOf(history, 'cancel-reassignment'),
      'idempotent batch repeated': repeatedOf(history),
      'producer went on under other numbers': renumberedOf(history),
      'partitions added': doneOf(history, 'create-partitions'),
    }
  }

  private saw(path: string): void {
    this.lines.set(path, (this.lines.get(path) ?? 0) + 1)
  }
}

function doneOf(history: readonly Operation[], what: string): number {
  return history.filter(({ kind, asked, outcome }) => kind === 'admin' && asked === what && outcome === 'ok').length
}

/** Batches that were sent more than once and acknowledged. */
function repeatedOf(history: readonly Operation[]): number {
  return history.filter(({ numbered, outcome, connection }) => numbered && outcome === 'ok' && connection === -1).length
}

function renumberedOf(history: readonly Operation[]): number {
  return history.filter(({ kind, numbered }) => kind === 'send' && numbered?.sequence === 0 && numbered.epoch > 0)
    .length
}
