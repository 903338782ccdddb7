import type { Random } from '@millrace/base'
import { sameVoter } from '@millrace/raft'
import type { Member } from '@millrace/raft/model'
import type { Storm } from './storm.ts'

/** What a member has under way. */
interface Busy {
  /** Another one with every incarnation: what was under way when it ended never ends. */
  life: number
  syncing: boolean
  reading: boolean
  fetching: boolean
  settling: boolean
}

const IDLE: Busy = { life: 0, syncing: false, reading: false, fetching: false, settling: false }

/** What the node around a machine does in its own time: syncs, reads, fetches of snapshots, and outputs that wait for the end of a turn. */
export class Chores {
  /** Mean time of a sync. */
  syncUs: number
  /** Of 100 inputs so many are not answered at once. */
  private laziness: number
  private readonly storm: Storm
  private readonly random: Random
  private readonly busy = new Map<Member, Busy>()

  constructor(storm: Storm, random: Random, { syncUs, laziness }: { syncUs: number; laziness: number }) {
    this.storm = storm
    this.random = random
    this.syncUs = syncUs
    this.laziness = laziness
  }

  calm(): void {
    this.syncUs = 500
    this.laziness = 0
  }

  /** The incarnation is over, and with it all that was under way. */
  end(member: Member): void {
    this.busy.set(member, { ...IDLE, life: this.of(member).life + 1 })
  }

  /** Begins what the member's last output asks for. */
  look(member: Member): void {
    const busy = this.of(member)
    if (member.writes.length > 0 && !busy.syncing) {
      busy.syncing = true
      this.later(member, 2 * this.syncUs, () => {
        busy.syncing = false
        member.sync(1 + this.random.below(member.writes.length))
        this.look(member)
      })
    }
    if (member.reads.length > 0 && !busy.reading) {
      busy.reading = true
      this.later(member, 2000, () => {
        busy.reading = false
        member.answerRead()
        this.look(member)
      })
    }
    if (member.wants !== null && !busy.fetching) {
      busy.fetching = true
      this.later(member, 20_000, () => {
        busy.fetching = false
        this.fetch(member)
        this.look(member)
      })
    }
  }

  /** A node gathers what several inputs want into one output, now and then. */
  leavesForLater(member: Member): boolean {
    if (this.laziness === 0 || this.random.below(100) >= this.laziness) return false
    const busy = this.of(member)
    if (busy.settling) return true
    busy.settling = true
    this.later(member, 5000, () => {
      busy.settling = false
      member.settle()
    })
    return true
  }

  private fetch(member: Member): void {
    const { wants } = member
    if (wants === null) return
    const { group } = this.storm
    this.storm.count('fetch')
    const source = group.all.find((other) => sameVoter(other.voter, wants.from))
    const snapshot = source?.disk.snapshot ?? null
    if (source === undefined || !source.up || group.isCut(source.voter.id, member.voter.id)) return
    if (snapshot !== null && snapshot.index === wants.index) member.install(snapshot)
  }

  /** Within so long, unless the incarnation ends before. */
  private later(member: Member, mostUs: number, run: () => void): void {
    const { life } = this.of(member)
    this.storm.agenda.after(1 + this.random.below(mostUs), () => {
      if (this.of(member).life === life) run()
    })
  }

  private of(member: Member): Busy {
    let busy = this.busy.get(member)
    if (busy === undefined) this.busy.set(member, (busy = { ...IDLE }))
    return busy
  }
}
