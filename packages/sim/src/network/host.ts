import type { Life } from '../seams.ts'
import type { Connection, ConnectionEnd } from './connection.ts'
import type { Pipe } from './pipe.ts'

/** What a port is for: streams between nodes, or bytes. Who dials for the other kind finds nobody. */
export type Kind = 'peer' | 'bytes'

/** An open port. */
export interface Listening {
  readonly kind: Kind
  readonly process: Process
  /** False once it was closed: those who dialled it and were not accepted yet are turned away. */
  open: boolean
  /** Makes the acceptor's end. */
  readonly answer: Answer
}

export type Answer = (listening: Listening, connection: Connection, out: Pipe) => ConnectionEnd

/** A machine on the network. */
export class Host {
  readonly name: string
  /** False while it has no power: it answers nothing, not even with a refusal. */
  on = true
  readonly ports = new Map<number, Listening>()
  /** Those who dial it while it has no power: they try again. */
  readonly dialling: (() => void)[] = []
  private nextPort = 50_000

  constructor(name: string) {
    this.name = name
  }

  freePort(): number {
    return this.nextPort++
  }
}

/** One life on a machine, with its sockets. */
export class Process {
  readonly host: Host
  readonly life: Life
  readonly connections = new Set<Connection>()

  constructor(host: Host, life: Life) {
    this.host = host
    this.life = life
  }
}
