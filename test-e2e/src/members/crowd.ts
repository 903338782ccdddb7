// The members of one group, each a process, and what they have read.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { MemberClient, MemberOptions, MemberReport } from './member.ts'
import { ReadingsFile } from './readings.ts'

const PROGRAM = fileURLToPath(new URL('program.ts', import.meta.url))
/** A client that does not end by then is killed. */
const LEAVE_MS = 20_000

/** One member. Its readings stay when its process dies. */
export class Member {
  readonly clientId: string
  readonly readings: ReadingsFile
  /** Of the wall clock. */
  readonly startedMs = Date.now()
  /** Why its client ended a stream, each time. */
  readonly reopened: string[] = []
  /** Why its client gave up. */
  failure: string | null = null
  private readonly child: ChildProcess

  constructor(options: MemberOptions) {
    this.clientId = options.clientId
    this.readings = new ReadingsFile(options.file)
    // kafkajs sets timers of negative times, and Node warns of each.
    this.child = spawn(process.execPath, ['--no-warnings', PROGRAM, JSON.stringify(options)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.child.on('message', (report: MemberReport) => {
      if (report.kind === 'reopened') this.reopened.push(report.error)
      else if (report.kind === 'failed') this.failure ??= report.error
    })
    this.child.on('error', (error) => (this.failure ??= error.message))
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Without notice; returns once the process is gone. */
  async kill(): Promise<void> {
    if (!this.running) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await gone
  }

  /** Commits, leaves the group, ends. */
  async leave(): Promise<void> {
    if (!this.running) return
    const gone = once(this.child, 'exit')
    this.child.send('leave')
    const late = setTimeout(() => {
      this.failure ??= `did not end within ${LEAVE_MS} ms of being asked to leave`
      this.child.kill('SIGKILL')
    }, LEAVE_MS)
    await gone
    clearTimeout(late)
  }
}

export interface CrowdOptions {
  readonly client: MemberClient
  readonly bootstrap: readonly string[]
  readonly group: string
  readonly topic: string
  /** For the files of readings. */
  readonly folder: string
}

export class Crowd {
  /** All that ever were, in the order of their start. */
  readonly members: Member[] = []
  private readonly options: CrowdOptions

  constructor(options: CrowdOptions) {
    this.options = options
    mkdirSync(options.folder, { recursive: true })
  }

  get running(): readonly Member[] {
    return this.members.filter(({ running }) => running)
  }

  /** Starts one more. */
  join(): Member {
    const clientId = `member-${this.members.length + 1}`
    const { folder, ...options } = this.options
    const member = new Member({ ...options, clientId, file: join(folder, clientId) })
    this.members.push(member)
    return member
  }

  /** Takes what the members have read since. */
  refresh(): void {
    for (const { readings } of this.members) readings.refresh()
  }

  /** Why clients gave up. */
  failures(): string[] {
    return this.members.flatMap(({ clientId, failure }) => (failure === null ? [] : [`${clientId}: ${failure}`]))
  }

  /** All leave in order, with what they read committed. */
  async leave(): Promise<void> {
    await Promise.all(this.running.map((member) => member.leave()))
  }

  async kill(): Promise<void> {
    await Promise.all(this.running.map((member) => member.kill()))
  }
}
