import type { Adapter } from './adapter.ts'
import type { Habits, ToolRunner } from './stage.ts'

/** A client that is on this machine now. */
export interface ReadyClient {
  start(bootstrap: string): Adapter
  /** Kafka's command line tools, for the column that is theirs. */
  readonly tool?: (bootstrap: string) => ToolRunner
}

/** One column of the table. */
export interface ClientSpec {
  readonly name: string
  /** The exact version, and the library's where the client wraps one. */
  readonly version: string
  readonly habits: Habits
  /** Rows that this client cannot have, each with the reason. */
  readonly lacks: Readonly<Record<string, string>>
  /** Brings what the machine lacks; the text says why the client can not be had here. */
  install(): Promise<ReadyClient | string>
}
